/* The web UI's text fields, one for each unit, from which the script gets its units. */

(() => {
    /* Keep a field's text on the script's side. Nobody sees the field, and to put 30 MB into it takes a browser half a
       second; gradio reads and writes it through this property. */
    function keepOutOfThePage(field) {
        if (Object.hasOwn(field, "value")) return;
        let text = field.value;
        Object.defineProperty(field, "value", {get: () => text, set: (value) => (text = String(value))});
    }

    function isSame(parts, others) {
        return parts.length === others.length && parts.every((part, index) => part === others[index]);
    }

    ipAdapter.Fields = class {
        /* `part` returns an element of the panel by its name. */
        constructor(part) {
            this.part = part;
            this.written = []; // by unit: what this panel wrote, as text and in parts
        }

        field(index) {
            const field = this.part(`unit_${index + 1}`).querySelector("textarea, input");
            keepOutOfThePage(field);
            return field;
        }

        isWritten(index, text) {
            return text === (this.written[index]?.text ?? "");
        }

        /* Return the unit that the web UI put into a field from pasted parameters, or "". */
        pasted(index) {
            const text = this.field(index).value;
            return this.isWritten(index, text) ? "" : text;
        }

        /* Write a unit, given as parts of JSON; none at all where it is not to be sent. */
        write(index, parts) {
            const field = this.field(index);
            const before = this.written[index];
            if (before && isSame(parts, before.parts) && this.isWritten(index, field.value)) return;
            const joined = parts.reduce((whole, part) => whole + part, "");
            // gradio compares the new text with the old one, which is quick only where their lengths differ
            const text = joined && joined.length === field.value.length ? `${joined} ` : joined;
            this.written[index] = {text, parts};
            if (field.value === text) return;
            field.value = text;
            field.dispatchEvent(new Event("input", {bubbles: true}));
        }
    };
})();

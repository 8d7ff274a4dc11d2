/* The hidden text fields, one per unit, from which the web UI gives the script its units. */

(() => {
    /* Keep a field's text in a variable instead of the page. The field is hidden, and a browser takes half a second to
       put 30 MB into it; gradio only uses this property. */
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

        /* Return the unit that the web UI wrote to a field from pasted parameters, or "". */
        pasted(index) {
            const text = this.field(index).value;
            return this.isWritten(index, text) ? "" : text;
        }

        /* Write a unit, given as parts of its JSON; without parts, the field is cleared and the unit is not sent. */
        write(index, parts) {
            const field = this.field(index);
            const before = this.written[index];
            if (before && isSame(parts, before.parts) && this.isWritten(index, field.value)) return;
            const joined = parts.reduce((whole, part) => whole + part, "");
            // gradio compares the new text with the old one, which is fast only if their lengths differ
            const text = joined && joined.length === field.value.length ? `${joined} ` : joined;
            this.written[index] = {text, parts};
            if (field.value === text) return;
            field.value = text;
            field.dispatchEvent(new Event("input", {bubbles: true}));
        }
    };
})();

/* The server's sentences in the web UI's language. The server says everything in English, as to programs. A sentence with
   values in it is found by its text with placeholders, such as "{file} runs on the CPU.", and the values are put into the
   translation of that. It happens once, when an answer arrives; drawing costs nothing. */

(() => {
    const LEAST = 10; // letters that a text has besides its placeholders, or else it would fit other sentences too
    const PREFIX = /^(IP-Adapter(?: unit \d+)?: )(.+)$/s; // of errors
    const BETWEEN = /(?<=[.?]) (?=["A-Z])/; // two sentences
    const OURS = ["sentence", "reason", "note", "slow", "advice", "remedies", "error", "damaged_presets"]; // parts of answers
    const USERS = ["pictures", "unit", "presets"]; // parts in which such words may be the user's own
    const known = new Map(); // a sentence -> its translation
    const english = new Map(); // and back
    let forms = null; // the texts with placeholders, those with most letters first

    function formOf(text) {
        const [parts, names] = [text.split(/\{\w+\}/), text.match(/\{\w+\}/g)];
        const escaped = parts.map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
        return {text, names, size: parts.join("").length, fits: new RegExp(`^${escaped.join("(.*?)")}$`, "s")};
    }

    function allForms() {
        const texts = Object.keys(window.localization || {}).filter((text) => /\{\w+\}/.test(text));
        const found = texts.map(formOf).filter(({size}) => size >= LEAST);
        return found.sort((one, other) => other.size - one.size);
    }

    /* Return the translation of a whole text, or undefined. */
    function translated(text) {
        if (text in window.localization) return window.localization[text];
        forms ??= allForms();
        for (const {text: form, names, fits} of forms) {
            const values = fits.exec(text)?.slice(1);
            if (values) return filled(window.localization[form], names, values);
        }
    }

    function filled(text, names, values) {
        const value = Object.fromEntries(names.map((name, at) => [name, values[at]]));
        return text.replace(/\{\w+\}/g, (name) => (name in value ? ipAdapter.sentence(value[name]) : name));
    }

    /* Translate sentences one after another, each time as many together as a text of the template has. */
    function inParts(sentences) {
        if (sentences.length === 0) return [];
        for (let count = sentences.length; count > 0; count--) {
            const words = translated(sentences.slice(0, count).join(" "));
            if (words !== undefined) return [words, ...inParts(sentences.slice(count))];
        }
        return [sentences[0], ...inParts(sentences.slice(1))];
    }

    const isEnglish = () => !Object.keys(window.localization || {}).length;

    /* Translate what the server says: one or more sentences, of which those that are unknown stay as they are. */
    ipAdapter.sentence = (text) => {
        if (known.has(text)) return known.get(text);
        if (!text || isEnglish()) return text;
        const [, prefix, rest] = PREFIX.exec(text) || ["", "", text];
        const words = prefix + inParts(rest.split(BETWEEN)).join(" ");
        known.set(text, words);
        english.set(words, text);
        return words;
    };

    /* Return a translated sentence as the server said it. */
    ipAdapter.asSaid = (text) => english.get(text) ?? text;

    function said(value) {
        if (typeof value === "string") return ipAdapter.sentence(value);
        if (value === null || typeof value !== "object") return value;
        if (Array.isArray(value)) return value.map(said);
        return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, said(each)]));
    }

    function walk(answer) {
        if (answer === null || typeof answer !== "object") return;
        for (const [name, value] of Object.entries(answer)) {
            if (OURS.includes(name)) answer[name] = said(value);
            else if (!USERS.includes(name)) walk(value);
        }
    }

    /* Translate the sentences in an answer of the server, in place. */
    ipAdapter.translate = (answer) => {
        if (!isEnglish()) walk(answer);
    };
})();

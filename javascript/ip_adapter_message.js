/* The panel's message line: what was done or went wrong, with buttons to act on it. */

ipAdapter.Message = class {
    constructor() {
        this.root = ipAdapter.element("p", {className: "ipadapter-message", role: "status"});
        this.text = "";
        this.wrong = false;
        this.lastError = "";
    }

    /* `acts` has a function for the label of each button. */
    show(text, wrong = false, acts = {}) {
        Object.assign(this, {text, wrong});
        if (wrong && text) this.lastError = ipAdapter.asSaid(text);
        this.root.classList.toggle("wrong", wrong);
        this.root.replaceChildren(text, ...Object.entries(acts).map(([word, act]) => ipAdapter.button(word, act)));
    }

    clear() {
        this.show("");
    }
};

/* The panel's own line: what was done or went wrong, with buttons for what can be done about it. */

ipAdapter.Message = class {
    constructor() {
        this.root = ipAdapter.element("p", {className: "ipadapter-message", role: "status"});
        this.text = "";
        this.wrong = false;
    }

    /* `acts` are functions by the words on their buttons. */
    show(text, wrong = false, acts = {}) {
        Object.assign(this, {text, wrong});
        this.root.classList.toggle("wrong", wrong);
        this.root.replaceChildren(text, ...Object.entries(acts).map(([word, act]) => ipAdapter.button(word, act)));
    }

    clear() {
        this.show("");
    }
};

/* What the server has: adapters, saved references, subjects and presets, and what it can be asked for. */

ipAdapter.Files = class {
    constructor() {
        this.models = null; // until the server has listed them
        this.saved = [];
        this.subjects = [];
        this.adoptable = []; // folders with pictures that are no subject yet
        this.presets = {};
        this.damaged_presets = {}; // by name, with the reason
        this.asks = [];
        this.base = ""; // of the loaded checkpoint, where it is known
        this.suited = {}; // a purpose, or "" for none -> adapters for it that can run, the best first
    }

    get isListed() {
        return this.models !== null;
    }

    /* Take what an answer of the server brings. */
    take(answer) {
        Object.assign(this, answer);
    }

    offers(what) {
        return this.asks.includes(what);
    }

    modelOf(unit) {
        return (this.models || []).find((model) => model.name === unit.model);
    }

    /* Return the name of the best adapter for a purpose, or "". */
    best(purpose = "") {
        return (this.suited[purpose] || [])[0] || "";
    }
};

/* What the server has: adapters, saved references, subjects and presets; and the requests that it answers. */

ipAdapter.FOR_NEW_UNITS = "Default"; // the preset whose settings new units begin with

ipAdapter.Files = class {
    constructor() {
        this.models = null; // until the server has listed them
        this.saved = [];
        this.subjects = [];
        this.adoptable = []; // folders of pictures that are not a subject yet
        this.presets = {};
        this.damaged_presets = {}; // name -> reason
        this.asks = [];
        this.base = ""; // base model of the loaded checkpoint, if known
        this.suited = {}; // a purpose, or "" for none -> usable adapters for it, the best first
    }

    get isListed() {
        return this.models !== null;
    }

    /* Take over the lists in a server's answer. */
    take(answer) {
        Object.assign(this, answer);
    }

    /* The settings of new units. Their adapter is chosen when they get their first picture. */
    get newSettings() {
        const {model, ...settings} = this.presets[ipAdapter.FOR_NEW_UNITS] || {};
        return settings;
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

/* What the server has: adapters, saved references, subjects and presets; and the requests that it answers. */

ipAdapter.FOR_NEW_UNITS = "Default"; // the preset whose settings new units begin with

ipAdapter.Files = class {
    constructor() {
        this.models = null; // until the server has listed them
        this.isUnknown = false; // whether the server failed to list them
        this.version = 0; // of the list of adapters
        this.saved = [];
        this.subjects = [];
        this.adoptable = []; // folders of pictures that are not a subject yet
        this.presets = {};
        this.damaged_presets = {}; // name -> reason
        this.partial_presets = {}; // name -> names of settings that only a later version knows
        this.strengths = null; // the table of the strength slider, until then the shipped one
        this.asks = [];
        this.news = false; // whether nobody has read yet what an update changed
        this.finds_faces = false; // whether packages and models for finding faces are installed
        this.base = ""; // base model of the loaded checkpoint, if known
        this.titles = {}; // of published adapters, by name
        this.suited = {}; // a purpose, or "" for none -> usable adapters for it, the best first
    }

    get isListed() {
        return this.models !== null;
    }

    /* Take over the lists in a server's answer. */
    take(answer) {
        Object.assign(this, answer);
        this.isUnknown = !this.isListed;
        if ("models" in answer) this.version += 1;
    }

    /* The user's settings of new units, or null. Their adapter is chosen when they get their first picture. */
    get newSettings() {
        if (!(ipAdapter.FOR_NEW_UNITS in this.presets)) return null;
        const {model, ...settings} = this.presets[ipAdapter.FOR_NEW_UNITS];
        return settings;
    }

    offers(what) {
        return this.asks.includes(what);
    }

    modelOf(unit) {
        return (this.models || []).find((model) => model.name === unit.model);
    }

    /* Return an adapter that can run and has the same use as another one, or undefined. */
    instead(name) {
        const before = this.modelOf({model: name});
        const uses = before?.uses || ["general"];
        const names = [...new Set(Object.values(this.suited).flat())];
        const usable = names.map((each) => this.modelOf({model: each}));
        const alike = usable.filter((model) => model.name !== name && model.uses.some((use) => uses.includes(use)));
        return alike.find((model) => model.family === before?.family) || alike[0];
    }

    isUsable(name) {
        return Object.values(this.suited).flat().includes(name);
    }

    /* Return an adapter's display name: the title of the published file, if there is only one copy of it. */
    titleOf({name}) {
        const title = this.titles[name];
        const isOnly = Object.values(this.titles).filter((other) => other === title).length === 1;
        return title && isOnly ? ipAdapter.say(title) : name;
    }

    /* Return the name of the best adapter for a purpose, or "". */
    best(purpose = "") {
        return (this.suited[purpose] || [])[0] || "";
    }
};

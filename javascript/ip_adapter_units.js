/* The state of a panel: its units, which of them is open, and what is sent of them. */

ipAdapter.Units = class {
    constructor(spec, files) {
        this.spec = spec;
        this.files = files;
        this.ticked = false;
        this.current = 0;
        this.defaults = Object.fromEntries(spec.controls.map((control) => [control.name, control.default]));
        this.suggested = new WeakMap(); // a unit -> the adapter that was chosen for it automatically
        this.untouched = new WeakMap(); // a new unit -> its JSON
        this.pasted = new WeakSet(); // units from pasted parameters whose adapter the user has not changed
        this.expanded = new WeakSet(); // empty units of which the user wants to see everything
        this.strength = new ipAdapter.Strength(this);
        this.trying = null; // what is to be tried with the next generation: {index, asked}
        this.all = Array.from({length: spec.units}, () => this.newUnit());
    }

    /* A unit with the default of every field, as the API has them. */
    emptyUnit() {
        return {enabled: true, model: "", images: [], ...structuredClone(this.defaults)};
    }

    /* A unit as the user wants new ones, or at normal strength. */
    newUnit() {
        return this.makeNew({});
    }

    makeNew(unit) {
        const {newSettings} = this.files;
        Object.assign(unit, this.emptyUnit(), structuredClone(newSettings));
        if (!newSettings) this.strength.begin(unit);
        this.untouched.set(unit, JSON.stringify(unit));
        return unit;
    }

    /* The settings of new units, as a preset has them. */
    get newSettings() {
        const unit = this.files.newSettings || this.newUnit();
        return Object.fromEntries(this.spec.settings.filter((name) => name in unit).map((name) => [name, unit[name]]));
    }

    /* Make the units that nobody has touched like new ones. They stay the same objects: one may be about to get a
       picture that is still being read. */
    renew() {
        const isUntouched = (unit) => !this.isFilled(unit) && this.untouched.get(unit) === JSON.stringify(unit);
        this.all.filter(isUntouched).forEach((unit) => this.makeNew(unit));
    }

    get open() {
        return this.all[this.current];
    }

    isFilled(unit) {
        return this.hasReferences(unit) || unit.model !== "";
    }

    hasReferences(unit) {
        return unit.images.length > 0 || unit.subject !== "" || unit.embeds !== "";
    }

    /* Return whether a unit has nothing yet that its settings could apply to. */
    isEmpty(unit) {
        return !this.hasReferences(unit) && !this.isChosen(unit) && !this.isPasted(unit) && !this.expanded.has(unit);
    }

    expand(unit) {
        this.expanded.add(unit);
    }

    /* Return whether a unit has references, and all of them are switched off. */
    isSilent({images, subject, embeds}) {
        return images.length > 0 && images.every(ipAdapter.isOff) && subject === "" && embeds === "";
    }

    isUsed(unit) {
        return unit.enabled && this.isFilled(unit) && !this.isSilent(unit);
    }

    /* If nothing is in a ticked panel, the first unit is sent, so that the server says what is missing. */
    isSent(index) {
        if (this.trying?.index === index) return true;
        if (!this.ticked && !this.trying) return false;
        return this.isUsed(this.all[index]) || (index === 0 && !this.all.some((unit) => this.isFilled(unit)));
    }

    suggest(unit, model) {
        unit.model = model;
        this.suggested.set(unit, model);
    }

    choose(unit, model) {
        unit.model = model;
        this.suggested.delete(unit);
        this.pasted.delete(unit);
    }

    /* Replace a unit with pasted settings. */
    paste(index, settings) {
        this.put(index, {...this.emptyUnit(), ...settings});
        this.pasted.add(this.all[index]);
        this.strength.recognise(this.all[index]);
    }

    isPasted(unit) {
        return this.pasted.has(unit);
    }

    /* Return whether the user has chosen a unit's adapter. */
    isChosen(unit) {
        return unit.model !== "" && this.suggested.get(unit) !== unit.model;
    }

    /* Return whether a field has an effect. Some need certain values of other fields, some a certain kind of adapter;
       if the adapter is unknown, they may have one. */
    hasMeaning(control, unit) {
        if (!Object.entries(control.when).every(([name, values]) => values.includes(unit[name]))) return false;
        if (!control.conditional) return true;
        const model = this.files.modelOf(unit);
        return model ? (model.fields || []).includes(control.name) : unit.model !== "";
    }

    /* Return whether other fields have an effect only with some values of this one. */
    decides(name) {
        return this.spec.controls.some((control) => name in control.when);
    }

    /* Return a unit as it is sent, with the defaults in fields that have no effect. */
    sent(unit) {
        const idle = this.spec.controls.filter((control) => !this.hasMeaning(control, unit));
        return {...unit, ...Object.fromEntries(idle.map(({name}) => [name, this.defaults[name]])), enabled: true};
    }

    /* Return the parts of a unit's JSON, or none if it is not sent. */
    jsonParts(index) {
        if (!this.isSent(index)) return [];
        const extra = this.trying?.index === index ? {try: this.trying.asked} : {};
        return ipAdapter.jsonParts({...extra, ...this.sent(this.all[index])}, this.all[index]);
    }

    /* Replace a unit; return a function that undoes it. */
    put(index, unit) {
        const before = this.all[index];
        this.all[index] = unit;
        this.current = index;
        return () => this.put(index, before);
    }

    controlsOf(group) {
        return this.spec.controls.filter((control) => control.group === group && this.hasMeaning(control, this.open));
    }

    control(name) {
        return this.spec.controls.find((control) => control.name === name);
    }

    isChanged({name}) {
        const value = this.open[name];
        return Array.isArray(value) ? value.length > 0 : value !== this.defaults[name];
    }
};

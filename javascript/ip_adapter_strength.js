/* The purpose and the strength of units. A strength is one number, 0 (off) to 4 (full), that stands for weight, start
   and end as they suit the purpose and the base model. */

(() => {
    const MOVED = ["weight", "start", "end"];
    const STEP = 0.25; // between two places of the slider
    const NORMAL = 2;

    function round(number) {
        return Math.round(number * 100) / 100;
    }

    function isSame(one, other) {
        return MOVED.every((name) => one[name] === other[name]);
    }

    ipAdapter.Strength = class {
        constructor(state) {
            this.state = state;
            this.chosen = new WeakMap(); // a unit -> the purpose that the user chose
            this.placed = new WeakMap(); // a unit -> where the slider put it, and the values that it gave
            this.custom = new WeakSet(); // units whose weight, start and end the user sets
        }

        get most() {
            return this.state.spec.strength.marks.length;
        }

        /* The purposes whose weight types have a meaning for the open unit's network. */
        get offered() {
            const {spec} = this.state;
            const {pictures} = spec.weight_types;
            const layout = ipAdapter.layoutShown(this.state);
            return Object.keys(spec.intents).filter((name) => layout in pictures[this.settingsFor(name).weight_type]);
        }

        /* Return the fields that a purpose sets, with their values. */
        settingsFor(purpose) {
            const {spec, defaults} = this.state;
            const plain = Object.fromEntries(spec.purpose_fields.map((name) => [name, defaults[name]]));
            return {...plain, ...spec.intents[purpose].values};
        }

        /* Return the purposes whose settings a unit has: the one chosen, then those that suit its adapter best. */
        purposesOf(unit) {
            const {spec, files} = this.state;
            const sent = this.state.sent(unit);
            const uses = files.modelOf(unit)?.uses || ["general"];
            const rank = (purpose) => {
                if (purpose === this.chosen.get(unit)) return -1;
                const place = spec.intents[purpose].uses.findIndex((use) => uses.includes(use));
                return place < 0 ? Infinity : place;
            };
            const fitting = Object.keys(spec.intents).filter((purpose) =>
                Object.entries(this.settingsFor(purpose)).every(([name, value]) => sent[name] === value),
            );
            return fitting.sort((one, other) => (rank(one) === rank(other) ? 0 : rank(one) - rank(other)));
        }

        purposeOf(unit) {
            return this.purposesOf(unit)[0] || "";
        }

        /* Give a pasted unit the purpose whose table has its values. */
        recognise(unit) {
            const has = (purpose) =>
                this.places.some((place) => isSame(unit, this.valuesAt(place, purpose, this.rowsOf(unit))));
            const purpose = this.purposesOf(unit).find(has);
            if (purpose) this.chosen.set(unit, purpose);
        }

        /* Return the rows of the table that may hold a unit's values, the first one found counts: its kind of adapter,
           its base model, any. */
        rowsOf(unit) {
            const {files, spec} = this.state;
            const model = files.modelOf(unit);
            return [spec.strength.rows[model?.family], model?.base || files.base, spec.strength.any_base];
        }

        /* Return weight, start and end at a place of the slider. */
        valuesAt(place, purpose, rows) {
            const {spec, files} = this.state;
            const table = files.strengths || spec.strength.table;
            const bases = table[purpose || Object.keys(table)[0]];
            const marks = rows.map((row) => bases[row]).find(Boolean);
            const [light, ...others] = spec.strength.marks.map((mark) => marks[mark]);
            const points = [{...light, weight: 0}, light, ...others];
            const [from, to] = [points[Math.floor(place)], points[Math.ceil(place)]];
            const between = (name) => round(from[name] + (to[name] - from[name]) * (place % 1));
            return Object.fromEntries(MOVED.map((name) => [name, between(name)]));
        }

        /* Return the function from a place of the slider to its values for a unit. */
        scaleOf(unit) {
            const [purpose, rows] = [this.purposeOf(unit), this.rowsOf(unit)];
            return (place) => this.valuesAt(place, purpose, rows);
        }

        /* All places of the slider. */
        get places() {
            return Array.from({length: this.most / STEP + 1}, (_, index) => index * STEP);
        }

        /* Return the slider's place for a unit, or null if its values are not on the table. */
        placeOf(unit) {
            const valuesAt = this.scaleOf(unit);
            return this.places.find((place) => isSame(unit, valuesAt(place))) ?? null;
        }

        isCustom(unit) {
            return this.custom.has(unit) || this.placeOf(unit) === null;
        }

        /* Put a unit to a place of the slider. */
        put(unit, place) {
            this.custom.delete(unit);
            const values = this.scaleOf(unit)(place);
            Object.assign(unit, values);
            this.placed.set(unit, {place, values});
        }

        /* Let a new unit begin at normal. */
        begin(unit) {
            this.put(unit, NORMAL);
        }

        /* Switch between the slider, which takes the place nearest to the unit's weight, and the user's own values. */
        toggle(unit) {
            if (!this.isCustom(unit)) return this.custom.add(unit);
            this.custom.delete(unit);
            if (this.placeOf(unit) === null) this.put(unit, this.nearest(unit));
        }

        nearest(unit) {
            const valuesAt = this.scaleOf(unit);
            const off = (place) => Math.abs(valuesAt(place).weight - unit.weight);
            return this.places.reduce((best, place) => (off(place) < off(best) ? place : best));
        }

        /* Take over the purpose of a unit that is a changed copy of another. */
        choose(unit, purpose, before) {
            const place = this.isCustom(before) ? null : this.placeOf(before);
            this.chosen.set(unit, purpose);
            if (place === null) this.custom.add(unit);
            else this.put(unit, place);
        }

        /* Keep a unit at its place when its purpose or base model changes, unless its values were set otherwise. */
        follow(unit) {
            const placed = this.placed.get(unit);
            if (placed && !this.custom.has(unit) && isSame(unit, placed.values)) this.put(unit, placed.place);
        }
    };
})();

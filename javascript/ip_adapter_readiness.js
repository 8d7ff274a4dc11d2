/* Whether each unit would run: shortly after a change, one request checks them all. Each tab shows a sign, and the open
   unit shows what is wrong, with buttons that repair it. Generate itself is never blocked. */

(() => {
    const {element, say, button} = ipAdapter;
    const PAUSE = 300; // milliseconds without a change before the server is asked
    const SETTINGS_TAB = "#tab_settings"; // the web UI's own, with a tab for each section in it
    const SETTINGS = "#settings_ipadapter";
    const STATES = {
        ready: () => say("ready"),
        poor: () => say("will run, but with poor results"),
        stops: () => say("will stop Generate"),
        off: () => say("not used"),
    };

    /* Pictures are long, and the server does not need them for this. */
    function withoutPictures(key, value) {
        return typeof value === "string" && value.startsWith("data:") ? "picture" : value;
    }

    ipAdapter.Readiness = class {
        constructor(panel) {
            this.panel = panel;
            this.root = element("div", {className: "ipadapter-findings", role: "status"});
            this.line = element("span", {className: "ipadapter-ready"}); // the open unit's state in words
            this.found = new WeakMap(); // a unit -> the server's answer about it
            this.asked = "";
            gradioApp().addEventListener("input", ({target}) => {
                if (target.closest(`#${panel.tab}_cfg_scale`)) this.refresh();
            });
            gradioApp().addEventListener("click", ({target}) => {
                if (target.closest(`#tab_${panel.tab} #script_list`)) this.refresh();
            });
        }

        /* The web UI's CFG scale, or null if it has none. */
        get cfgScale() {
            const field = gradioApp().querySelector(`#${this.panel.tab}_cfg_scale input[type=number]`);
            return field && field.value !== "" ? Number(field.value) : null;
        }

        /* Ask soon, if any unit is in use. */
        refresh() {
            const {state, files} = this.panel;
            clearTimeout(this.timer);
            if (!state.ticked || !files.offers("ready") || !state.all.some((unit) => state.isUsed(unit))) return;
            this.timer = setTimeout(() => this.ask(), PAUSE);
        }

        /* Whether the script that gives each generation another reference is chosen. */
        get hasSeries() {
            const chosen = gradioApp().querySelector(`#tab_${this.panel.tab} #script_list input`);
            return Boolean(chosen?.value.startsWith("IP-Adapter:"));
        }

        /* Return a unit as it is sent, with a placeholder for a reference that the script will add. */
        asUsed(unit) {
            const {state} = this.panel;
            const sent = state.sent(unit);
            const isGiven = this.hasSeries && !unit.images.length && !unit.subject && !unit.embeds;
            return isGiven ? {...sent, images: ["picture"]} : sent;
        }

        /* The units in use as they would be sent, and null for the others, so that each keeps its number. */
        question() {
            const {state} = this.panel;
            const units = state.all.map((unit) => (state.isUsed(unit) ? this.asUsed(unit) : null));
            return JSON.stringify({units, cfg_scale: this.cfgScale}, withoutPictures);
        }

        async ask() {
            const text = this.question();
            const key = `${this.panel.files.version} ${text}`;
            if (key === this.asked || this.isAsking) return;
            const units = [...this.panel.state.all];
            this.asked = key;
            this.isAsking = true;
            const answer = await this.panel.server.answerTo("ready", JSON.parse(text));
            this.isAsking = false;
            for (const each of answer.units || []) this.found.set(units[each.unit - 1], each);
            this.panel.tabs.draw();
            this.draw();
            this.refresh(); // it may have changed meanwhile
        }

        /* Return the state of a unit, or "" while it is unknown. */
        stateOf(unit) {
            const {state} = this.panel;
            if (!state.isFilled(unit)) return "";
            if (!unit.enabled || state.isSilent(unit)) return "off";
            return this.found.get(unit)?.state || "";
        }

        drawSign(unit) {
            const state = this.stateOf(unit);
            if (!state) return null;
            const ariaLabel = STATES[state]();
            return element("span", {className: `ipadapter-state ${state}`, role: "img", ariaLabel, title: ariaLabel});
        }

        /* Return what is wrong with the open unit, except for what an empty one shows anyway. */
        get findings() {
            const {unit, state} = this.panel;
            if (!state.isUsed(unit) || unit.model === "") return [];
            return this.found.get(unit)?.findings || [];
        }

        /* Take the note about the adapter, which is shown above and hidden if it says the same. */
        below(note) {
            this.note = note;
            this.draw();
            return this.root;
        }

        draw() {
            const {findings} = this;
            this.drawLine();
            if (this.note) this.note.hidden = findings.some(({sentence}) => sentence === this.note.textContent);
            const lines = findings.map((finding) => this.drawFinding(finding));
            if (lines.map((line) => line.textContent).join("") === this.root.textContent) return; // nothing new to read out
            this.root.replaceChildren(...lines);
        }

        drawLine() {
            const state = this.stateOf(this.panel.unit);
            const parts = state ? [this.drawSign(this.panel.unit), element("span", {}, STATES[state]())] : [];
            this.line.replaceChildren(...parts);
        }

        drawFinding({sentence, stops, field, repair}) {
            const isEmpty = field === "images" && this.panel.unit.images.length === 0;
            const text = isEmpty ? say("Add a picture, or choose a subject.") : sentence;
            const className = `ipadapter-note${stops && !isEmpty ? " wrong" : ""}`;
            return element("p", {className}, text, ...this.drawRepair(repair || {}));
        }

        drawRepair(repair) {
            const repairs = {
                "choose adapter": () => this.drawOther(repair),
                get: () => this.drawGet(repair),
                set: () => this.drawSet(repair),
                "install faces": () => this.drawSettings(),
            };
            return repairs[repair.do]?.() || [];
        }

        /* A button for the adapter of this name, for another one with the same use, or for getting one. */
        drawOther({name: model}) {
            const {panel} = this;
            const other = model ? panel.files.modelOf({model}) : panel.files.instead(panel.unit.model);
            if (!other) return this.drawGet({});
            const take = () => {
                panel.state.choose(panel.unit, other.name);
                panel.draw();
            };
            return [" ", button(say("Use {name}", {name: panel.files.titleOf(other)}), take)];
        }

        drawGet({files = [], title, bytes}) {
            if (!this.panel.files.offers("catalogue")) return [];
            const values = {title: title && say(title), size: title && ipAdapter.sizeOf(bytes)};
            const words = title ? say("Get {title} ({size})…", values) : say("Get models…");
            return [" ", button(words, () => this.panel.getModels.open(files))];
        }

        /* A button that opens the settings, where the packages can be installed. */
        drawSettings() {
            if (!gradioApp().querySelector(SETTINGS)) return [];
            const open = () =>
                [SETTINGS_TAB, SETTINGS].forEach((tab) => ipAdapter.openTab(gradioApp().querySelector(tab)));
            return [" ", button(say("Open the settings"), open)];
        }

        drawSet({field, value}) {
            const control = this.panel.state.control(field);
            if (!control) return [];
            const set = () => {
                this.panel.unit[field] = value;
                this.panel.draw();
            };
            const values = {field: say(control.label), value: say(String(value)) || say("nothing")};
            return [" ", button(say("Set {field} to {value}", values), set)];
        }
    };
})();

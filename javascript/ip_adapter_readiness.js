/* Whether each unit would run: shortly after a change, one request checks them all. Each tab shows a sign, and the open
   unit shows what is wrong, with buttons that repair it. Generate itself is never blocked. */

(() => {
    const {element, say} = ipAdapter;
    const PAUSE = 300; // milliseconds without a change before the server is asked
    const STATES = {
        ready: () => say("ready"),
        poor: () => say("will run, but with poor results"),
        stops: () => say("will stop Generate"),
        off: () => say("not used"),
    };

    const SAMPLES = 64; // characters of a picture in its stand-in

    /* Return a short text that stands for a picture, because pictures are long. The server, which computes the same,
       recognises the pictures that it has read before. */
    function standIn(url) {
        const step = Math.max(1, Math.floor(url.length / SAMPLES));
        const count = Math.min(SAMPLES, Math.ceil(url.length / step));
        const samples = Array.from({length: count}, (_, i) => url[url.length - 1 - i * step]);
        return `picture:${url.length}:${samples.join("")}`;
    }

    function withoutPictures(key, value) {
        return typeof value === "string" && value.startsWith("data:") ? standIn(value) : value;
    }

    /* Return a copy of an object with stand-ins for its pictures. */
    ipAdapter.lightCopy = (values) => JSON.parse(JSON.stringify(values, withoutPictures));

    ipAdapter.Readiness = class {
        constructor(panel) {
            this.panel = panel;
            this.root = element("div", {className: "ipadapter-findings", role: "status"});
            this.line = element("span", {className: "ipadapter-ready"}); // the open unit's state in words
            this.found = new WeakMap(); // a unit -> the server's answer about it
            this.asked = "";
            this.shown = new Set(); // stand-ins of the pictures that the server was given for a look
            onAfterUiUpdate(() => this.noteGeneration());
            ipAdapter.watchSteps(panel.tab, () => this.refresh());
            gradioApp().addEventListener("input", ({target}) => {
                if (target.closest(`#${panel.tab}_cfg_scale`) || target === this.innerBox) this.refresh();
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

        /* ADetailer's checkbox, or null. */
        get innerBox() {
            return gradioApp().querySelector(`#script_${this.panel.tab}_adetailer_ad_main_accordion-checkbox input`);
        }

        get hasInner() {
            return Boolean(this.innerBox?.checked);
        }

        /* Ask soon, if any unit is in use. */
        refresh() {
            const {state, files} = this.panel;
            clearTimeout(this.timer);
            if (!state.ticked || !files.offers("ready") || !state.all.some((unit) => state.isUsed(unit))) return;
            this.timer = setTimeout(() => this.ask(), PAUSE);
        }

        /* Ask again after a generation, which may have encoded pictures: the web UI then shows a new log. */
        noteGeneration() {
            const log = gradioApp().querySelector(`#html_log_${this.panel.tab}`)?.textContent || "";
            if (log === this.log) return;
            this.log = log;
            this.forget();
        }

        /* Ask again, although the question may be the same. */
        forget() {
            this.asked = "";
            this.refresh();
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
            const steps = ipAdapter.stepsOfPasses(this.panel.tab);
            return JSON.stringify({units, cfg_scale: this.cfgScale, steps, inner: this.hasInner}, withoutPictures);
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
            if (await this.show(answer.units || [], units)) this.asked = "";
            this.panel.tabs.draw();
            this.draw();
            this.refresh(); // it may have changed meanwhile
        }

        /* Send the pictures that the server wants to look at, each once; return whether there were any. */
        async show(answers, units) {
            const wanted = answers.flatMap(({unit, unseen = []}) =>
                unseen.map((i) => units[unit - 1].images[i]?.image),
            );
            const isNew = (url) => url && !this.shown.has(standIn(url));
            const urls = [...new Set(wanted)].filter(isNew);
            for (const image of urls) {
                this.shown.add(standIn(image));
                await this.panel.asking.ask("see", {image});
            }
            return urls.length > 0;
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
            const lines = [
                ...findings.map((finding) => ipAdapter.drawFinding(this.panel, finding)),
                ...this.drawCost(),
            ];
            if (lines.map((line) => line.textContent).join("") === this.root.textContent) return; // nothing new to read out
            this.root.replaceChildren(...lines);
        }

        drawLine() {
            const state = this.stateOf(this.panel.unit);
            const parts = state ? [this.drawSign(this.panel.unit), element("span", {}, STATES[state]())] : [];
            this.line.replaceChildren(...parts);
        }

        /* What Generate has to encode first, unless everything is cached. */
        drawCost() {
            const {unit, state} = this.panel;
            const {encodes: n = 0, slow = ""} = (state.isUsed(unit) && this.found.get(unit)) || {};
            if (n === 0) return [];
            const text = n === 1 ? say("Encodes 1 picture.") : say("Encodes {n} pictures.", {n});
            return [element("p", {className: "ipadapter-note ipadapter-cost"}, [text, slow].filter(Boolean).join(" "))];
        }
    };
})();

/* The generations of a tab since the page was opened: what each was made with. */

(() => {
    const {say} = ipAdapter;
    const NUMBERS = {
        steps: () => say("Steps"),
        cfg_scale: () => say("CFG scale"),
        denoising_strength: () => say("Denoising strength"),
        width: () => say("Width"),
        height: () => say("Height"),
    };
    const TEXTS = {prompt: () => say("Prompt"), neg_prompt: () => say("Negative prompt")};
    const LINES = ".comments, .performance, .error"; // what the web UIs write into the log (modules/call_queue.py)
    const LONG = 40; // characters from which a value is not repeated

    function fieldOf(tab, name, kind) {
        return gradioApp().querySelector(`#${tab}_${name} ${kind}`)?.value ?? "";
    }

    /* What the web UI's own fields ask for. */
    function askedOf(tab) {
        const numbers = Object.keys(NUMBERS).map((name) => [name, ipAdapter.numberOfTab(tab, name)]);
        return {
            ...Object.fromEntries(numbers),
            seed: fieldOf(tab, "seed", "input"),
            sampling: fieldOf(tab, "sampling", "input"),
            checkpoint: (typeof opts === "object" && opts.sd_model_checkpoint) || "",
            ...Object.fromEntries(Object.keys(TEXTS).map((name) => [name, fieldOf(tab, name, "textarea")])),
        };
    }

    function shown(value) {
        if (Array.isArray(value)) return say("{n} pictures", {n: value.length});
        const text = value === "" || value === null ? say("nothing") : say(String(value));
        return text.length > LONG ? "…" : text;
    }

    function change(label, before, now) {
        const [from, to] = [shown(before), shown(now)];
        return from === to ? say("{field} changed", {field: label}) : `${label} ${from} → ${to}`;
    }

    /* Return in words what differs between two generations, without a prompt. */
    function changesBetween(panel, before, now) {
        const lists = now.units.map((unit, index) => changesOfUnit(panel, index, before.units[index], unit));
        const labels = {...NUMBERS, seed: () => say("Seed"), sampling: () => say("Sampler")};
        labels.checkpoint = () => say("Checkpoint");
        const differs = (name) => before.asked[name] !== now.asked[name];
        const isKnown = (name) => ![before, now].some(({asked}) => asked[name] === "" || asked[name] === null);
        return [
            ...lists.flat(),
            ...Object.keys(labels)
                .filter((name) => differs(name) && isKnown(name)) // the web UI knows its checkpoint only after loading it
                .map((name) => change(labels[name](), before.asked[name], now.asked[name])),
            ...Object.keys(TEXTS)
                .filter(differs)
                .map((name) => say("{field} changed", {field: TEXTS[name]()})),
        ];
    }

    function changesOfUnit({state}, index, before, now) {
        const name = say("Unit {n}", {n: index + 1});
        if (!before && !now) return [];
        if (!before || !now) return [`${name} ${now ? say("on") : say("off")}`];
        const labels = {model: say("Adapter"), images: say("References")};
        const label = (field) => labels[field] || say(state.control(field)?.label || field);
        return Object.keys(now)
            .filter((field) => JSON.stringify(before[field]) !== JSON.stringify(now[field]))
            .map((field) => `${name}: ${change(label(field), before[field], now[field])}`);
    }

    ipAdapter.Generations = class {
        constructor(panel) {
            this.panel = panel;
            this.latest = null; // the last one with units that made a picture
            this.ended = new Set(); // called after each, with what was changed since the one before, and whether units were used
            const buttons = `#${panel.tab}_generate, #${panel.tab}_upscale`;
            document.addEventListener("click", ({target}) => target.closest?.(buttons) && this.begin(), {
                capture: true,
            });
            onAfterUiUpdate(() => this.look());
        }

        /* What stands in the web UI's results, except for what shows progress. */
        get results() {
            const {tab} = this.panel;
            const pictures = gradioApp().querySelectorAll(`#${tab}_gallery img`);
            const own = [...pictures].filter((image) => !image.closest(".livePreview"));
            const lines = [...gradioApp().querySelectorAll(`#html_log_${tab} :is(${LINES})`)];
            return [...lines.map((line) => line.textContent), ...new Set(own.map(({src}) => src))].join("\n");
        }

        get isRefused() {
            return Boolean(gradioApp().querySelector(`#html_log_${this.panel.tab} .error`));
        }

        begin() {
            const {state, tab} = this.panel;
            if (state.trying) return; // small pictures to compare are no result
            const units = state.all.map((unit) =>
                state.ticked && state.isUsed(unit) ? ipAdapter.lightCopy(state.sent(unit)) : null,
            );
            this.running = {units, asked: askedOf(tab), steps: ipAdapter.stepsOfPasses(tab)};
            this.before = this.results;
        }

        /* See whether the generation has ended: then there are other pictures, or another log. */
        look() {
            if (!this.running || this.results === this.before) return;
            const {running} = this;
            this.running = null;
            if (this.isRefused) return this.tell([], false);
            const changes = this.latest ? changesBetween(this.panel, this.latest, running) : [];
            const isUsed = running.units.some(Boolean);
            if (isUsed) this.latest = running;
            this.tell(changes, isUsed);
        }

        tell(changes, isUsed) {
            this.ended.forEach((call) => call(changes, isUsed));
        }
    };
})();

/* Start and end of the open unit as two handles on a bar with the sampling steps, one bar for each pass, and the curve
   above it, which can be pulled at its points. */

(() => {
    const {element, say, drawing} = ipAdapter;
    const UNKNOWN = 20; // steps of the grid where the web UI's number is unknown
    const PAGE = 5; // steps for Page up and Page down

    function within(part, least = 0, most = 1) {
        return Math.min(most, Math.max(least, part));
    }

    /* Call `moved` with the place of the pointer in `area`, as fractions, while it is held on an element. */
    function onDrag(part, area, moved) {
        part.addEventListener("pointerdown", (event) => {
            if (event.button !== 0) return;
            part.setPointerCapture(event.pointerId);
            const {left, top, width, height} = area.getBoundingClientRect();
            part.onpointermove = (move) =>
                moved([within((move.clientX - left) / width), within((move.clientY - top) / height)]);
        });
        for (const end of ["pointerup", "pointercancel"]) part.addEventListener(end, () => (part.onpointermove = null));
    }

    ipAdapter.StepsBar = class {
        constructor(panel) {
            this.panel = panel;
            this.factors = null; // of the weight over a pass, as the server computed them
            this.root = element("div", {className: "ipadapter-steps"});
            this.bars = [];
            ipAdapter.watchSteps(panel.tab, () => this.mark());
        }

        /* Take over the server's weights over the steps. */
        take(passes) {
            const {weight, hires_weight} = this.panel.unit;
            const whole = [weight, hires_weight ?? weight];
            const active = passes.findIndex(({steps}, index) => whole[index] && steps.some(Boolean));
            this.factors = active < 0 ? null : passes[active].steps.map((each) => each / whole[active]);
            this.mark();
        }

        /* Show the unit's values. */
        mark() {
            const counts = ipAdapter.stepsOfPasses(this.panel.tab);
            if (counts.length !== this.bars.length) this.build(counts);
            this.bars.forEach((bar, index) => this.markBar(bar, index, counts[index]));
            this.curve.mark(this.factors);
        }

        draw() {
            this.build(ipAdapter.stepsOfPasses(this.panel.tab));
            return this.root;
        }

        build(counts) {
            this.curve = new ipAdapter.CurveEditor(this.panel, onDrag);
            this.bars = counts.map((_, index) => this.drawBar(index));
            this.root.replaceChildren(...this.bars.map(({root}) => root), this.curve.buttons);
        }

        drawBar(index) {
            const words = element("span", {className: "ipadapter-steps-words"});
            const ticks = drawing("svg", {preserveAspectRatio: "none", "aria-hidden": "true"});
            const range = element("div", {className: "ipadapter-range"});
            const track = element("div", {className: "ipadapter-ruler"}, ticks, range);
            const stage = element("div", {className: "ipadapter-curve"});
            const handles = index === 0 ? ["start", "end"].map((name) => this.drawHandle(name, track)) : [];
            track.append(...handles);
            if (index === 0) this.curve.drawOn(stage);
            const parts = [element("div", {className: "ipadapter-row"}, words), ...(index ? [] : [stage]), track];
            const root = element("div", {className: "ipadapter-pass"}, ...parts);
            return {root, words, ticks, range, track, stage, handles};
        }

        drawHandle(name, track) {
            const handle = element("div", {
                className: `ipadapter-handle ${name}`,
                role: "slider",
                tabIndex: 0,
                ariaLabel: name === "start" ? say("Start of the unit") : say("End of the unit"),
                ariaValuemin: 0,
                ariaValuemax: 100,
                onkeydown: (event) => this.key(event, name),
                ondblclick: () => this.put(name, name === "start" ? 0 : this.count),
            });
            onDrag(handle, track, ([x]) => this.put(name, Math.round(x * this.count)));
            return handle;
        }

        /* The steps of the first pass, or of the grid. */
        get count() {
            return ipAdapter.stepsOfPasses(this.panel.tab)[0] || UNKNOWN;
        }

        /* Put a handle after the first `done` steps, before or after the other one. */
        put(name, done) {
            const {unit} = this.panel;
            const {count} = this;
            const [first, last] = ipAdapter.stepsBetween(unit.start, unit.end, count);
            const place = name === "start" ? within(done, 0, Math.max(0, last - 1)) : within(done, first, count);
            const value = ipAdapter.fractionAt(place, count);
            const other = name === "start" ? unit.end > value : unit.start < value;
            if (other && value !== unit[name]) this.panel.set(name, value);
        }

        key(event, name) {
            const {unit} = this.panel;
            const [first, last] = ipAdapter.stepsBetween(unit.start, unit.end, this.count);
            const now = name === "start" ? first - 1 : last;
            const by = {ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -PAGE, PageUp: PAGE};
            const to = {Home: 0, End: this.count, ...(event.key in by ? {[event.key]: now + by[event.key]} : {})};
            if (!(event.key in to)) return;
            event.preventDefault();
            this.put(name, to[event.key]);
        }

        markBar(bar, index, known) {
            const {unit} = this.panel;
            const isActive = unit.pass === "both" || (unit.pass === "hires") === (index === 1);
            bar.root.classList.toggle("off", !isActive);
            bar.words.textContent = this.wordsOf(index, known, isActive);
            const {start, end} = unit;
            bar.range.style = `left: ${start * 100}%; width: ${Math.max(0, end - start) * 100}%`;
            bar.range.classList.toggle("away", unit.weight < 0);
            this.markTicks(bar.ticks, known || UNKNOWN);
            bar.handles.forEach((handle, place) => this.markHandle(handle, [start, end][place], place, known));
        }

        wordsOf(index, known, isActive) {
            const {unit} = this.panel;
            const pass = this.bars.length === 1 ? "" : `${index ? say("Hires pass") : say("Base pass")}: `;
            if (!isActive) return pass + say("not active");
            const values = {from: Math.round(unit.start * 100), to: Math.round(unit.end * 100)};
            if (!known) return pass + say("from {from} % to {to} % of the steps", values);
            const [first, last] = ipAdapter.stepsBetween(unit.start, unit.end, known);
            if (last < first) return pass + say("none of the {n} steps", {n: known});
            return pass + say("steps {first} to {last} of {n}", {first, last, n: known});
        }

        /* A line between any two steps, where there is space for them. */
        markTicks(ticks, count) {
            if (ticks.dataset.count === String(count)) return;
            ticks.dataset.count = count;
            ticks.setAttribute("viewBox", `0 0 ${count} 1`);
            const every = Math.ceil(count / 60);
            const places = Array.from({length: Math.floor(count / every) + 1}, (_, index) => index * every);
            ticks.replaceChildren(...places.map((x) => drawing("line", {x1: x, x2: x, y1: 0, y2: 1})));
        }

        markHandle(handle, value, place, known) {
            const percent = Math.round(value * 100);
            const step = known && ipAdapter.stepsBetween(value, value, known)[place];
            handle.style.left = `${value * 100}%`;
            handle.setAttribute("aria-valuenow", percent);
            const text = known ? say("step {step} of {n}", {step, n: known}) : say("{n} %", {n: percent});
            handle.setAttribute("aria-valuetext", text);
        }
    };
})();

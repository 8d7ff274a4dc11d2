/* The curve over the steps: a line with points that are pulled by pointer or moved by keys. */

(() => {
    const {element, say, button, drawing} = ipAdapter;
    const STEP = 0.05; // of a point, for a key

    ipAdapter.CurveEditor = class {
        /* `onDrag` calls back while a pointer is held on an element. */
        constructor(panel, onDrag) {
            this.panel = panel;
            this.onDrag = onDrag;
            this.points = [];
            this.handles = [];
            this.area = drawing("polygon", {class: "area"});
            this.line = drawing("polyline", {class: "line"});
            this.buttons = element(
                "div",
                {className: "ipadapter-row"},
                button(say("Add a point"), () => this.add(), {title: say("Add a point to the curve")}),
                button(say("Flat"), () => this.set([]), {title: say("The same weight from start to end")}),
                element("small", {}, say("Pull the points to change the weight over the steps.")),
            );
        }

        drawOn(stage) {
            const size = {viewBox: "0 0 1 1", preserveAspectRatio: "none", "aria-hidden": "true"};
            stage.append(drawing("svg", size, this.area, this.line));
            this.stage = stage;
        }

        /* The least and the greatest factor that the stage shows. */
        get limits() {
            const factors = this.points.map(([, factor]) => factor);
            return [Math.min(0, ...factors), Math.max(1, ...factors)];
        }

        /* Return where a point is on the stage, as fractions. */
        placeOf([place, factor]) {
            const {start, end} = this.panel.unit;
            const [least, most] = this.limits;
            return [start + (end - start) * place, 1 - (factor - least) / (most - least)];
        }

        /* Return the point at a place of the stage. */
        pointAt([x, y]) {
            const {start, end} = this.panel.unit;
            const [least, most] = this.limits;
            return [end > start ? (x - start) / (end - start) : 0, most - y * (most - least)];
        }

        mark(factors) {
            const {unit} = this.panel;
            this.points = ipAdapter.curvePoints(unit, factors);
            if (this.handles.length !== this.points.length) this.drawHandles();
            const places = this.points.map((point) => this.placeOf(point));
            const whole = [[unit.start, places[0][1]], ...places, [unit.end, places.at(-1)[1]]];
            const floor = this.placeOf([0, 0])[1];
            const outline = [[unit.start, floor], ...whole, [unit.end, floor]];
            this.line.setAttribute("points", whole.map((pair) => pair.join()).join(" "));
            this.area.setAttribute("points", outline.map((pair) => pair.join()).join(" "));
            for (const shape of [this.line, this.area]) shape.classList.toggle("away", unit.weight < 0);
            this.handles.forEach((handle, index) => this.markHandle(handle, places[index], this.points[index]));
        }

        drawHandles() {
            for (const handle of this.handles) handle.remove();
            this.handles = this.points.map((_, index) => this.drawHandle(index));
            this.stage.append(...this.handles);
        }

        drawHandle(index) {
            const handle = element("div", {
                className: "ipadapter-point",
                role: "slider",
                tabIndex: 0,
                ariaLabel: say("Point {n} of the curve", {n: index + 1}),
                title: say("Arrow keys move the point, and Delete removes it."),
                onkeydown: (event) => this.key(event, index),
            });
            this.onDrag(handle, this.stage, (place) => this.move(index, this.pointAt(place)));
            return handle;
        }

        markHandle(handle, [x, y], [place, factor]) {
            const [least, most] = this.limits;
            handle.style = `left: ${x * 100}%; top: ${y * 100}%`;
            const values = {place: Math.round(place * 100), factor: Math.round(factor * 100)};
            handle.setAttribute("aria-valuemin", least * 100);
            handle.setAttribute("aria-valuemax", most * 100);
            handle.setAttribute("aria-valuenow", values.factor);
            handle.setAttribute("aria-valuetext", say("{factor} % of the weight, {place} % of the way", values));
        }

        key(event, index) {
            const [place, factor] = this.points[index];
            const [least, most] = this.limits;
            const within = (value) => Math.min(most, Math.max(least, value));
            const to = {
                ArrowLeft: [place - STEP, factor],
                ArrowRight: [place + STEP, factor],
                ArrowUp: [place, within(factor + STEP)],
                ArrowDown: [place, within(factor - STEP)],
                Home: [place, least],
                End: [place, most],
            }[event.key];
            if (to) this.move(index, to);
            else if (event.key === "Delete" || event.key === "Backspace") this.remove(index);
            else return;
            event.preventDefault();
        }

        move(index, point) {
            ipAdapter.movePoint(this.points, index, point);
            this.set(this.points);
        }

        remove(index) {
            if (this.points.length === 1) return;
            this.set(this.points.filter((_, each) => each !== index));
            this.handles[Math.max(0, index - 1)]?.focus();
        }

        add() {
            const index = ipAdapter.addPoint(this.points);
            this.set(this.points);
            this.handles[index]?.focus();
        }

        /* Write points into the unit, and into the field for the curve in words. */
        set(points) {
            const text = ipAdapter.curveText(points);
            this.panel.set("curve", text);
            const field = this.panel.root.querySelector(`[aria-label="${say("Curve")}"]`);
            if (field) field.value = text;
        }
    };
})();

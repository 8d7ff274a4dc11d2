/* The box on a picture: drawn, moved and stretched by mouse, finger or keys. */

(() => {
    const {element, say} = ipAdapter;
    const HANDLES = ["lt", "t", "rt", "r", "rb", "b", "lb", "l"];
    const LEAST = 8; // pixels of the screen between two edges
    const STEP = 0.01; // by which an arrow key moves or stretches the box
    const ARROWS = {ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, -STEP], ArrowDown: [0, STEP]};

    ipAdapter.Cropper = class {
        /* `view` shows the whole picture; `changed` is called when the user has changed the box. */
        constructor(view, box, changed) {
            this.value = box;
            this.changed = changed;
            this.edge = element(
                "div",
                {className: "ipadapter-cut", tabIndex: 0, role: "group", onkeydown: (event) => this.key(event)},
                ...HANDLES.map((edges) => element("span", {className: `ipadapter-grip ${edges}`, "data-edges": edges})),
            );
            this.root = element(
                "div",
                {
                    className: "ipadapter-cropper",
                    style: `aspect-ratio: ${view.width} / ${view.height}; width: min(100%, ${(54 * view.width) / view.height}vh)`,
                    onpointerdown: (event) => this.begin(event),
                    onpointermove: (event) => this.follow(event),
                    onpointerup: () => (this.drag = null),
                    onpointercancel: () => (this.drag = null),
                },
                view,
                this.edge,
            );
            this.isOn = true;
            this.show();
        }

        /* Whether the box can be changed; the brush needs the pointer for itself. */
        set isOn(isOn) {
            this.works = isOn;
            this.root.classList.toggle("cropping", isOn);
            this.edge.hidden = !isOn;
        }

        set(box) {
            this.value = ipAdapter.cropBox.rounded(box);
            this.show();
            this.changed();
        }

        show() {
            const [left, top, right, bottom] = this.value.map((edge) => edge * 100);
            this.edge.style = `left: ${left}%; top: ${top}%; width: ${right - left}%; height: ${bottom - top}%`;
            const values = {left: Math.round(left), top: Math.round(top)};
            const size = {width: Math.round(right - left), height: Math.round(bottom - top)};
            this.edge.setAttribute(
                "aria-label",
                say("Box: {left} % from the left, {top} % from the top, {width} % wide, {height} % high", {
                    ...values,
                    ...size,
                }),
            );
        }

        at(event) {
            const {left, top, width, height} = this.root.getBoundingClientRect();
            return [(event.clientX - left) / width, (event.clientY - top) / height];
        }

        get least() {
            const {width, height} = this.root.getBoundingClientRect();
            return [LEAST / width, LEAST / height];
        }

        begin(event) {
            if (!this.works || event.button !== 0) return;
            event.preventDefault();
            this.root.setPointerCapture(event.pointerId);
            this.edge.focus({preventScroll: true});
            const edges = event.target.dataset.edges || "";
            const isInside = this.edge.contains(event.target) && !ipAdapter.cropBox.isWhole(this.value);
            this.drag = {from: this.at(event), box: this.value, edges, isNew: !edges && !isInside};
        }

        follow(event) {
            if (!this.drag) return;
            const {from, box, edges, isNew} = this.drag;
            const to = this.at(event);
            const by = [to[0] - from[0], to[1] - from[1]];
            const {least} = this;
            if (isNew) {
                if (by.some((part, axis) => Math.abs(part) < least[axis])) return;
                this.set(ipAdapter.cropBox.between(from, to));
            } else
                this.set(edges ? ipAdapter.cropBox.stretched(box, edges, by, least) : ipAdapter.cropBox.moved(box, by));
        }

        /* Arrow keys move the box; with Shift, they move its right and lower edge. */
        key(event) {
            const by = ARROWS[event.key];
            if (!by) return;
            event.preventDefault();
            event.stopPropagation();
            const {cropBox} = ipAdapter;
            this.set(
                event.shiftKey ? cropBox.stretched(this.value, "rb", by, this.least) : cropBox.moved(this.value, by),
            );
        }
    };
})();

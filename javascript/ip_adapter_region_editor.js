/* The region editor: the regions of all units over the last result or img2img's picture. Boxes are drawn, moved and
   pulled at their edges; the brush paints any shape. */

(() => {
    const {element, say} = ipAdapter;
    const REACH = {mouse: 9, pen: 9, touch: 20}; // pixels of the screen from which an edge is grabbed
    const STEP = 0.01; // by which an arrow key moves a box
    const ARROWS = {ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, -STEP], ArrowDown: [0, STEP]};
    const UNDERS = {result: () => say("Last result"), input: () => say("img2img's picture")};
    let preferred = "result"; // the picture that was chosen last

    ipAdapter.RegionEditor = class extends ipAdapter.Painting {
        /* `layers` can be edited, `shown` are only shown; `pictures` are images by the names in `UNDERS`. */
        constructor(title, {layers, shown, pictures, current}, [width, height]) {
            super(title, null, element("canvas", {width, height}), "box");
            Object.assign(this, {layers, shown, pictures, current, past: [], drag: null});
            this.under = pictures[preferred] || Object.values(pictures)[0] || null;
            if (!current.hasBoxes) this.tool = "brush";
            this.legend = element("div", {className: "ipadapter-row"});
            this.numbers = element("div", {className: "ipadapter-row ipadapter-edges"});
            this.toolbar.before(this.legend);
            this.view.parentElement.after(this.numbers);
            this.view.tabIndex = 0;
            this.view.setAttribute("role", "application");
            this.view.addEventListener("keydown", (event) => this.moveByKey(event));
            this.redraw();
        }

        drawTools() {
            this.toolbar ||= element("div", {className: "ipadapter-tools"});
            return this.toolbar;
        }

        /* Handles and numbers have a size on the screen, which is known once the dialog is open. */
        open(parent) {
            const opened = this.dialog.open(parent);
            this.show();
            return opened;
        }

        /* Draw everything but the canvas again: the legend, the tools and the box in numbers. */
        redraw() {
            ipAdapter.keepFocus(this.dialog.root, () => {
                this.legend.replaceChildren(...ipAdapter.drawLegend(this));
                this.toolbar.replaceChildren(...ipAdapter.drawRegionTools(this));
                this.numbers.replaceChildren(...ipAdapter.drawEdges(this));
            });
            this.dialog.show(this.hint());
            this.show();
        }

        hint() {
            if (this.current.isEverywhere)
                return say("No region yet: the unit applies everywhere. Drag a box, or paint.");
            if (this.tool === "box")
                return say("Drag the box or its edges. Arrow keys move it; with Shift, they change its size.");
            return say("Bright areas are used, dark areas are ignored.");
        }

        show(event) {
            const context = this.view.getContext("2d");
            if (!this.layers) return; // while the dialog is built
            const {under, current, scale} = this;
            const [layers, canDrag] = [[...this.layers, ...this.shown], this.tool === "box"];
            ipAdapter.drawRegions(context, {under, layers, current, scale, canDrag});
            this.view.style.cursor = canDrag ? ipAdapter.cursorOf(event && this.grabAt(event)?.grab) : "none";
            if (!canDrag && event && event.pointerType !== "touch") this.showBrush(context, this.at(event));
        }

        /* The pointer's place as fractions. */
        placeOf(event) {
            const [x, y] = this.at(event);
            return [x / this.view.width, y / this.view.height];
        }

        /* Return the box of the edited layer under the pointer, and which of its edges are grabbed. */
        grabAt(event) {
            const place = this.placeOf(event);
            const far = (REACH[event.pointerType] || REACH.mouse) * this.scale;
            const reach = [far / this.view.width, far / this.view.height];
            const found = this.current.boxes.map((box, index) => ({
                index,
                grab: ipAdapter.grabbed(box, place, reach),
            }));
            return found.filter(({grab}) => grab).sort((one) => (one.index === this.current.selected ? -1 : 1))[0];
        }

        begin(event) {
            if (event.button !== 0) return;
            this.view.focus({preventScroll: true});
            if (this.tool !== "box") {
                this.remember();
                this.shade = this.current.paintable(this.view.width, this.view.height, this.tool === "brush");
                super.begin(event);
                return;
            }
            event.preventDefault();
            this.view.setPointerCapture(event.pointerId);
            const found = this.grabAt(event);
            if (found) this.current.selected = found.index;
            const box = found ? [...this.current.box] : null;
            this.drag = {from: this.placeOf(event), box, grab: found?.grab, undo: this.current.keep(), moved: false};
        }

        follow(event) {
            if (this.tool !== "box") super.follow(event);
            else if (this.drag) this.dragTo(event);
            else this.show(event);
        }

        dragTo(event) {
            const {from, box, grab} = this.drag;
            const to = this.placeOf(event);
            const others = ipAdapter.edgesOf(
                [...this.layers, ...this.shown].filter((layer) => layer !== this.current).flatMap(({boxes}) => boxes),
            );
            const by = [to[0] - from[0], to[1] - from[1]];
            const next = box ? ipAdapter.stretchedBox(box, grab, by, others) : ipAdapter.boxBetween(from, to, others);
            if (!next) return;
            if (!this.drag.moved) this.past.push(this.drag.undo);
            this.drag.moved = true;
            this.current.setBox(next);
            this.redraw();
        }

        /* A click on another unit's region opens that unit. */
        end() {
            super.end();
            const {drag} = this;
            this.drag = null;
            if (drag && !drag.moved && !drag.box) this.chooseAt(drag.from);
            if (this.layers) this.redraw();
        }

        chooseAt([x, y]) {
            const [width, height] = [64, 64];
            const at = [Math.floor(x * (width - 1)), Math.floor(y * (height - 1)), 1, 1];
            const found = this.layers.find(
                (layer) =>
                    layer !== this.current &&
                    !layer.isEverywhere &&
                    layer
                        .coverage(width, height)
                        .getContext("2d")
                        .getImageData(...at).data[3] > 127,
            );
            if (found) this.edit(found);
        }

        edit(layer) {
            this.current = layer;
            if (!layer.hasBoxes && this.tool === "box") this.tool = "brush";
            this.redraw();
        }

        remember() {
            this.past.push(this.current.keep());
            if (this.past.length > 20) this.past.shift();
        }

        /* Do something to the painted shape, such as turning it around. */
        change(act) {
            this.remember();
            this.shade = this.current.paintable(this.view.width, this.view.height, false);
            act();
            this.redraw();
        }

        setBox(box) {
            this.remember();
            this.current.setBox(box);
            this.redraw();
        }

        clear() {
            this.remember();
            Object.assign(this.current, {boxes: [], shade: null, isChanged: true});
            this.redraw();
        }

        undo() {
            const back = this.past.pop();
            if (back) back();
            this.redraw();
        }

        moveByKey(event) {
            const by = ARROWS[event.key];
            if (!by || this.tool !== "box" || !this.current.box) return;
            event.preventDefault();
            const grab = event.shiftKey ? [false, false, true, true] : [true, true, true, true];
            this.setBox(ipAdapter.stretchedBox(this.current.box, grab, by, null));
        }

        key(event) {
            if (event.target.type === "number") return;
            if (event.key.toLowerCase() === "r" && this.current.hasBoxes) this.pick("box");
            else super.key(event);
        }

        choose(index) {
            this.pick(["brush", "eraser"][index]);
        }

        pick(tool) {
            this.tool = tool;
            this.redraw();
        }

        look(name) {
            preferred = name;
            this.under = this.pictures[name] || null;
            this.redraw();
        }
    };

    ipAdapter.UNDERS = UNDERS;
})();

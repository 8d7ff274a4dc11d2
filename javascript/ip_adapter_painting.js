/* The mask editor: a brush and an eraser on a canvas over a picture, by mouse, pen or finger. */

(() => {
    const {element, say, button, canvasOf, loaded, quickButtons, shadeOfMask} = ipAdapter;
    const KEPT = 20; // steps that can be taken back

    ipAdapter.Painting = class {
        /* `title` tells what is drawn; `under` is what is seen below, or null for an empty picture; `shade` is a canvas. */
        constructor(title, under, shade, tool) {
            this.under = under;
            this.shade = shade;
            this.context = shade.getContext("2d", {willReadFrequently: true});
            this.tool = tool;
            this.size = 0.12; // of the shorter side
            this.softness = 0.3; // of the brush's radius
            this.past = [];
            this.stroke = [];
            this.view = element("canvas", {
                width: shade.width,
                height: shade.height,
                className: "ipadapter-canvas",
                ariaLabel: title,
                onpointerdown: (event) => this.begin(event),
                onpointermove: (event) => this.follow(event),
                onpointerup: () => this.end(),
                onpointercancel: () => this.end(),
                onpointerleave: () => this.show(),
            });
            this.dialog = new ipAdapter.Dialog(
                title,
                say("Use"),
                say("What is bright counts, what is dark does not."),
                {
                    onkeydown: (event) => this.key(event),
                    ondrop: (event) => this.drop(event),
                    onpaste: (event) => event.clipboardData.files.length && this.take(event.clipboardData.files[0]),
                },
                this.drawTools(),
                element("div", {className: "ipadapter-stage"}, this.view),
            );
        }

        /* Show the editor; return whether the person wants what was drawn. */
        open(parent) {
            this.show();
            return this.dialog.open(parent);
        }

        drawTools() {
            const radio = (tool, text) => {
                const made = button(
                    text,
                    () => {
                        this.tool = tool;
                        for (const other of made.parentElement.children)
                            other.setAttribute("aria-pressed", String(other === made));
                    },
                    {ariaPressed: String(this.tool === tool)},
                );
                return made;
            };
            const slider = (text, name, min, max) => {
                const input = element("input", {
                    type: "range",
                    min,
                    max,
                    step: 0.01,
                    value: this[name],
                    ariaLabel: text,
                    oninput: () => (this[name] = Number(input.value)),
                });
                return element("label", {}, text, input);
            };
            const file = element("input", {
                type: "file",
                accept: "image/*",
                ariaLabel: say("Mask file"),
                onchange: () => this.take(file.files[0]),
            });
            return element(
                "div",
                {className: "ipadapter-tools"},
                element(
                    "span",
                    {role: "group", className: "ipadapter-pair"},
                    radio("brush", say("Brush")),
                    radio("eraser", say("Eraser")),
                ),
                slider(say("Size"), "size", 0.01, 0.6),
                slider(say("Soft edge"), "softness", 0, 1),
                button(say("Fill"), () =>
                    this.change(() => this.context.clearRect(0, 0, this.shade.width, this.shade.height)),
                ),
                button(say("Clear"), () => this.change(() => this.cover())),
                button(say("Invert"), () => this.change(() => this.invert())),
                button(say("Undo"), () => this.undo()),
                element("label", {className: "ipadapter-button ipadapter-file"}, say("Take a file"), file),
                quickButtons((box) => this.change(() => this.fillBox(box))),
            );
        }

        show(event) {
            const context = this.view.getContext("2d");
            const {width, height} = this.view;
            context.clearRect(0, 0, width, height);
            context.fillStyle = "#e8e8e8";
            if (this.under) context.drawImage(this.under, 0, 0, width, height);
            else context.fillRect(0, 0, width, height);
            context.globalAlpha = 0.8;
            context.drawImage(this.shade, 0, 0);
            context.globalAlpha = 1;
            if (event && event.pointerType !== "touch") this.showBrush(context, this.at(event));
        }

        showBrush(context, [x, y]) {
            for (const [colour, wide] of [
                ["black", 3],
                ["white", 1],
            ]) {
                context.beginPath();
                context.arc(x, y, this.radius, 0, 2 * Math.PI);
                context.strokeStyle = colour;
                context.lineWidth = wide * this.scale;
                context.stroke();
            }
        }

        get radius() {
            return (this.size * Math.min(this.shade.width, this.shade.height)) / 2;
        }

        /* Pixels of the drawing a pixel of the screen. */
        get scale() {
            return this.view.width / (this.view.getBoundingClientRect().width || this.view.width);
        }

        at(event) {
            const {left, top} = this.view.getBoundingClientRect();
            return [(event.clientX - left) * this.scale, (event.clientY - top) * this.scale];
        }

        begin(event) {
            if (event.button !== 0) return;
            event.preventDefault();
            this.view.setPointerCapture(event.pointerId);
            this.remember();
            this.stroke = [this.at(event)];
            this.paint();
            this.show(event);
        }

        follow(event) {
            if (this.stroke.length) {
                this.stroke.push(this.at(event));
                this.paint();
            }
            this.show(event);
        }

        end() {
            this.stroke = [];
        }

        /* Draw the whole stroke anew on what was there before, so that its soft edge is the same all along. */
        paint() {
            const {context, shade} = this;
            const before = this.past[this.past.length - 1];
            const away = shade.width * 4; // the line itself is drawn off the canvas, only its shadow is seen
            context.save();
            context.globalCompositeOperation = "copy";
            context.drawImage(before, 0, 0);
            context.globalCompositeOperation = this.tool === "brush" ? "destination-out" : "source-over";
            context.lineCap = context.lineJoin = "round";
            context.lineWidth = Math.max(1, 2 * this.radius * (1 - this.softness / 2));
            context.shadowColor = "black";
            context.shadowBlur = this.radius * this.softness;
            context.shadowOffsetX = away;
            context.beginPath();
            const [first, ...rest] = this.stroke;
            context.moveTo(first[0] - away, first[1]);
            for (const [x, y] of rest.length ? rest : [[first[0] + 0.01, first[1]]]) context.lineTo(x - away, y);
            context.stroke();
            context.restore();
        }

        remember() {
            const [copy, context] = canvasOf(this.shade.width, this.shade.height);
            context.drawImage(this.shade, 0, 0);
            this.past.push(copy);
            if (this.past.length > KEPT) this.past.shift();
        }

        undo() {
            const before = this.past.pop();
            if (!before) return;
            this.context.clearRect(0, 0, before.width, before.height);
            this.context.drawImage(before, 0, 0);
            this.show();
        }

        change(act) {
            this.remember();
            act();
            this.show();
        }

        cover() {
            this.context.fillStyle = "black";
            this.context.fillRect(0, 0, this.shade.width, this.shade.height);
        }

        invert() {
            this.context.save();
            this.context.globalCompositeOperation = "xor";
            this.cover();
            this.context.restore();
        }

        fillBox([left, top, right, bottom]) {
            const {width, height} = this.shade;
            this.cover();
            this.context.clearRect(left * width, top * height, (right - left) * width, (bottom - top) * height);
        }

        drop(event) {
            event.preventDefault();
            const [file] = event.dataTransfer.files;
            if (file) this.take(file);
        }

        /* Take a black and white picture for the mask. */
        async take(file) {
            const url = URL.createObjectURL(file);
            try {
                const taken = shadeOfMask(await loaded(url), this.shade.width, this.shade.height);
                this.change(() => {
                    this.context.clearRect(0, 0, this.shade.width, this.shade.height);
                    this.context.drawImage(taken, 0, 0);
                });
            } catch {
                this.dialog.tell(say("{name} is no picture that the browser can read.", {name: file.name}));
            } finally {
                URL.revokeObjectURL(url);
            }
        }

        key(event) {
            const keys = {
                b: () => this.choose(0),
                e: () => this.choose(1),
                z: () => (event.ctrlKey || event.metaKey) && this.undo(),
            };
            const act = keys[event.key.toLowerCase()];
            if (act && event.target.type !== "file") act();
        }

        choose(index) {
            this.dialog.root.querySelectorAll(".ipadapter-pair button")[index].click();
        }
    };
})();

/* The mask editor: a brush and an eraser on a canvas over a picture, by mouse, pen or finger. */

(() => {
    const {element, say, button, loaded, quickButtons, shadeOfMask} = ipAdapter;

    ipAdapter.Painting = class {
        /* `title` names the mask; `under` is the picture below it, or null for an empty one; `canvas` is the shade. */
        constructor(title, under, canvas, tool) {
            this.under = under;
            this.shade = new ipAdapter.Shade(canvas);
            this.tool = tool;
            this.size = 0.12; // diameter of the brush, as a fraction of the shorter side
            this.softness = 0.3; // width of the soft edge, as a fraction of the brush's radius
            this.stroke = [];
            this.view = element("canvas", {
                width: canvas.width,
                height: canvas.height,
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
                say("Apply"),
                say("Bright areas are used, dark areas are ignored."),
                {
                    onkeydown: (event) => this.key(event),
                    ondrop: (event) => this.drop(event),
                    onpaste: (event) => event.clipboardData.files.length && this.take(event.clipboardData.files[0]),
                },
                this.drawTools(),
                element("div", {className: "ipadapter-stage"}, this.view),
            );
        }

        /* Show the editor; return whether the user confirmed the mask. */
        open(parent) {
            this.show();
            return this.dialog.open(parent);
        }

        drawTools() {
            return element(
                "div",
                {className: "ipadapter-tools"},
                element(
                    "span",
                    {role: "group", className: "ipadapter-pair"},
                    this.drawTool("brush", say("Brush")),
                    this.drawTool("eraser", say("Eraser")),
                ),
                this.drawSlider(say("Size"), "size", 0.01, 0.6),
                this.drawSlider(say("Soft edge"), "softness", 0, 1),
                button(say("Fill"), () => this.change(() => this.shade.clear())),
                button(say("Clear"), () => this.change(() => this.shade.cover())),
                button(say("Invert"), () => this.change(() => this.shade.invert())),
                button(say("Undo"), () => this.undo()),
                this.drawFile(),
                quickButtons((box) => this.change(() => this.shade.fillBox(box))),
            );
        }

        drawTool(tool, text) {
            const choose = () => {
                this.tool = tool;
                for (const other of made.parentElement.children)
                    other.setAttribute("aria-pressed", String(other === made));
            };
            const made = button(text, choose, {ariaPressed: String(this.tool === tool)});
            return made;
        }

        drawSlider(text, name, min, max) {
            const take = () => (this[name] = Number(input.value));
            const range = {type: "range", min, max, step: 0.01, value: this[name]};
            const input = element("input", {...range, ariaLabel: text, oninput: take});
            return element("label", {}, text, input);
        }

        drawFile() {
            const take = () => this.take(file.files[0]);
            const file = element("input", {
                type: "file",
                accept: "image/*",
                ariaLabel: say("Load from file…"),
                onchange: take,
            });
            return element("label", {className: "ipadapter-button ipadapter-file"}, say("Load from file…"), file);
        }

        show(event) {
            const context = this.view.getContext("2d");
            const {width, height} = this.view;
            context.clearRect(0, 0, width, height);
            context.fillStyle = "#e8e8e8";
            if (this.under) context.drawImage(this.under, 0, 0, width, height);
            else context.fillRect(0, 0, width, height);
            context.globalAlpha = 0.8;
            context.drawImage(this.shade.canvas, 0, 0);
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
            return (this.size * this.shade.side) / 2;
        }

        /* Pixels of the canvas per pixel of the screen. */
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
            this.shade.remember();
            this.stroke = [this.at(event)];
            this.shade.paint(this.stroke, this);
            this.show(event);
        }

        follow(event) {
            if (this.stroke.length) {
                this.stroke.push(this.at(event));
                this.shade.paint(this.stroke, this);
            }
            this.show(event);
        }

        end() {
            this.stroke = [];
        }

        change(act) {
            this.shade.remember();
            act();
            this.show();
        }

        undo() {
            this.shade.undo();
            this.show();
        }

        drop(event) {
            event.preventDefault();
            const [file] = event.dataTransfer.files;
            if (file) this.take(file);
        }

        /* Load a black and white picture as the mask. */
        async take(file) {
            const url = URL.createObjectURL(file);
            try {
                const {width, height} = this.shade.canvas;
                const taken = shadeOfMask(await loaded(url), width, height);
                this.change(() => this.shade.put(taken));
            } catch {
                this.dialog.show(
                    say("The browser cannot open {name} as a picture. Use a PNG, JPEG or WebP file.", {
                        name: file.name,
                    }),
                );
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

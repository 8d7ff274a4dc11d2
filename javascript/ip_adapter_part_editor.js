/* The editor of a reference: a box around the part that is used, a brush for what to leave out, and beside them what the
   encoder sees. */

(() => {
    const {element, say, button, choice, option, canvasOf} = ipAdapter;
    const HINTS = {
        box: () => say("Drag a box, its edges or its corners. Arrow keys move it; with Shift, they change its size."),
        brush: () => say("Bright areas are used, dark areas are ignored."),
    };

    /* The mask editor, which says when it has drawn. */
    class Brush extends ipAdapter.Painting {
        show(event) {
            super.show(event);
            this.drawn?.();
        }
    }

    ipAdapter.PartEditor = class {
        constructor(panel, picture, {title, cropLabel}) {
            Object.assign(this, {panel, picture, title, cropLabel});
            this.crop = picture.crop || "";
            this.found = []; // the faces in the picture, each with an `image` of it as the adapter sees it
        }

        /* Let the user edit a picture with its shade; return whether the user confirmed. */
        open(under, shade) {
            this.under = under;
            this.size = [under.naturalWidth, under.naturalHeight];
            this.brush = new Brush(this.title, under, shade, "eraser");
            const {dialog, view} = this.brush;
            this.cropper = new ipAdapter.Cropper(view, this.picture.box || ipAdapter.cropBox.whole, () => this.look());
            [this.brushTools, this.stage] = ["tools", "stage"].map((name) =>
                dialog.root.querySelector(`.ipadapter-${name}`),
            );
            this.boxTools = element("div", {className: "ipadapter-tools"}, ...this.drawBoxTools());
            const both = element("div", {className: "ipadapter-toolboxes"});
            this.brushTools.before(this.drawModes(), both);
            both.append(this.boxTools, this.brushTools);
            this.stage.replaceChildren(
                element("div", {className: "ipadapter-around"}, this.cropper.root),
                this.drawSide(),
            );
            this.stage.classList.add("ipadapter-part");
            this.brush.drawn = () => this.look();
            this.choose("box");
            this.findFaces();
            return this.brush.open(this.panel.root);
        }

        get isPainted() {
            return this.brush.shade.past.length > 0;
        }

        /* Keep the box and the crop in the picture. */
        keep() {
            const {picture, crop, cropper} = this;
            if (ipAdapter.cropBox.isWhole(cropper.value)) delete picture.box;
            else picture.box = cropper.value;
            if (crop) picture.crop = crop;
            else delete picture.crop;
        }

        drawModes() {
            const mode = (name, text) => button(text, () => this.choose(name));
            this.modes = {box: mode("box", say("Crop")), brush: mode("brush", say("Paint"))};
            return element(
                "div",
                {className: "ipadapter-modes", role: "group", ariaLabel: say("Tools")},
                ...Object.values(this.modes),
            );
        }

        choose(name) {
            const isBox = name === "box";
            for (const [each, made] of Object.entries(this.modes))
                made.setAttribute("aria-pressed", String(each === name));
            this.boxTools.hidden = !isBox;
            this.brushTools.hidden = isBox;
            this.cropper.isOn = isBox;
            this.brush.dialog.show(HINTS[name]());
        }

        drawBoxTools() {
            const {cropBox} = ipAdapter;
            const {width, height} = ipAdapter.canvasOfTab(this.panel.tab);
            const shape = (ratio) => this.cropper.set(cropBox.shaped(this.cropper.value, this.size, ratio));
            this.faces = element("div", {className: "ipadapter-found", role: "group", ariaLabel: say("Faces")});
            return [
                button(say("Square"), () => shape(1)),
                button(say("Picture's shape"), () => shape(width / height), {
                    title: say("The shape of the next picture, {width} × {height}", {width, height}),
                }),
                button(say("Reset"), () => this.cropper.set(cropBox.whole), {title: say("Use the whole picture")}),
                button(say("Use its size"), () => this.useSize(), {
                    title: say("Give the next picture the shape of this part, with as many pixels as now"),
                }),
                this.faces,
            ];
        }

        useSize() {
            const {tab} = this.panel;
            const [wide, high] = ipAdapter.cropBox.sizeOf(this.cropper.value, this.size);
            const size = ipAdapter.sizeOfShape(tab, wide / high);
            ipAdapter.setSizeOfTab(tab, size);
            const [width, height] = size;
            this.brush.dialog.show(say("The next picture will have {width} × {height} pixels.", {width, height}));
        }

        /* Offer the boxes of the faces in the whole picture, or say why there are none. */
        async findFaces() {
            const note = (text, title = "") =>
                this.faces.replaceChildren(element("span", {className: "ipadapter-note", title}, text));
            note(say("Looking for faces…"));
            const found = await this.panel.checking.facesIn(this.picture.image);
            if (this.panel.checking.choosesFaces) this.keepFaces(found);
            const use = ({box}) => this.cropper.set(ipAdapter.cropBox.ofFace(box, [found.width, found.height]));
            const faces = found.faces || [];
            if (found.message) note(say("Faces cannot be found without the face models."), found.message);
            else if (faces.length === 0) note(say("No face was found."));
            else
                this.faces.replaceChildren(
                    ...faces.map((face, index) => button(say("Face {n}", {n: index + 1}), () => use(face))),
                );
        }

        /* Show the faces as the adapter sees them from now on. */
        keepFaces({faces = [], width, height}) {
            this.found = faces.map(({box: [left, top, right, bottom], crop}) => ({
                centre: [(left + right) / 2 / width, (top + bottom) / 2 / height],
                image: element("img", {src: crop, onload: () => this.look()}),
            }));
        }

        /* Return the largest face in a box, or undefined. */
        faceIn([left, top, right, bottom]) {
            return this.found.find(
                ({centre: [x, y], image}) => image.naturalWidth && left <= x && x <= right && top <= y && y <= bottom,
            );
        }

        drawSide() {
            const side = ipAdapter.ENCODER_SIDE;
            this.view = element("canvas", {
                width: side,
                height: side,
                role: "img",
                ariaLabel: say("What the encoder sees"),
            });
            this.note = element("p", {className: "ipadapter-note"});
            const {options} = this.panel.state.control("crop");
            const select = choice(
                [option("", say("same as unit")), ...options.map((crop) => option(crop))],
                this.crop,
                {
                    ariaLabel: this.cropLabel,
                    onchange: () => {
                        this.crop = select.value;
                        this.look();
                    },
                },
            );
            return element(
                "div",
                {className: "ipadapter-encoder"},
                element("span", {}, say("What the encoder sees")),
                this.view,
                element("label", {}, element("span", {}, say("Made square by")), select),
                this.note,
            );
        }

        /* Show what the encoder sees, once before the next frame. */
        look() {
            if (this.isWaiting) return;
            this.isWaiting = true;
            requestAnimationFrame(() => {
                this.isWaiting = false;
                this.drawView();
            });
        }

        drawView() {
            const box = this.cropper.value;
            const face = this.faceIn(box);
            if (face) this.view.getContext("2d").drawImage(face.image, 0, 0, this.view.width, this.view.height);
            else ipAdapter.drawEncoderView(this.view, this.part(), box, this.crop || this.panel.unit.crop);
            const [width, height] = ipAdapter.cropBox.sizeOf(box, this.size);
            const size = say("{width} × {height} pixels", {width, height});
            this.note.textContent = [`${size}.`, ...this.remarks(Math.min(width, height))].join(" ");
        }

        /* What else the encoder does to a part whose shorter side has `pixels`. */
        remarks(pixels) {
            if (this.panel.checking.choosesFaces)
                return [say("This adapter takes the face in the box, turned upright.")];
            const n = this.panel.unit.encoder_size || ipAdapter.ENCODER_SIDE;
            return pixels < n ? [say("It is enlarged, because the encoder takes {n} pixels.", {n})] : [];
        }

        /* The picture without what the brush leaves out. */
        part() {
            const {canvas} = this.brush.shade;
            const [part, context] = canvasOf(...this.size);
            context.drawImage(this.under, 0, 0);
            context.globalCompositeOperation = "destination-out";
            context.drawImage(canvas, 0, 0, ...this.size);
            return part;
        }
    };
})();

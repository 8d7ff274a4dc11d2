/* The picture of a face's five key points, for the ControlNet that comes with an adapter. The face comes from a
   reference or another photo, and stays where it is or goes where the user puts it. */

(() => {
    const {element, say, button, choice, option} = ipAdapter;
    const OTHER = "other"; // a photo that is not a reference
    const LEAST = 0.02; // smallest height of a face that the server draws, as a fraction of the picture's
    const MIDDLE = [0.5, 0.5, 0.5]; // the other two numbers of a place when one is set
    const NAME = "keypoints.png";

    ipAdapter.Keypoints = class {
        constructor(panel) {
            this.panel = panel;
            this.states = panel.state.all.map(() => ({
                photo: "0",
                other: null,
                face: "largest",
                place: null,
                drawn: null,
            }));
        }

        /* The choices for the open unit: `photo` is a reference's number from 0, `place` is x, y and height. */
        get state() {
            return this.states[this.panel.state.current];
        }

        get offered() {
            const {files, model} = this.panel;
            return files.offers("keypoints") && Boolean(model && model.controlnet);
        }

        /* What the picture depends on, or null without a photo. */
        question() {
            const {photo, other, face, place} = this.state;
            const {images, face: ofUnit} = this.panel.unit;
            const reference = images[photo] || images[0];
            const image = photo === OTHER ? other : reference && reference.image;
            const which = photo === OTHER ? face : ofUnit;
            const {width, height} = ipAdapter.canvasOfTab(this.panel.tab);
            return image ? {image, width, height, face: which === "all" ? "largest" : which, place} : null;
        }

        draw() {
            if (!this.offered) return [];
            const drop = async (event) => {
                event.preventDefault();
                event.stopPropagation();
                await this.take(await ipAdapter.filesOf(event.dataTransfer));
            };
            return [
                element(
                    "section",
                    {
                        className: "ipadapter-keypoints",
                        ariaLabel: say("Key points"),
                        ondragover: (event) => event.preventDefault(),
                        ondrop: drop,
                    },
                    element("span", {}, say("Key points for InstantID's ControlNet")),
                    element(
                        "p",
                        {className: "ipadapter-note"},
                        say(
                            "Shows where the face goes and how it is turned. Drag a box to place the face there, as tall as the box.",
                        ),
                    ),
                    element("div", {className: "ipadapter-row"}, ...this.drawPhoto()),
                    this.drawStage(),
                    element("div", {className: "ipadapter-row"}, ...this.drawPlace()),
                    element("div", {className: "ipadapter-row"}, ...this.drawActs()),
                ),
            ];
        }

        /* The choice of photo: a reference, with the unit's choice of face, or another one. */
        drawPhoto() {
            const {images} = this.panel.unit;
            const {photo, other} = this.state;
            const options = images.map((_, index) => option(String(index), say("Reference {n}", {n: index + 1})));
            if (other) options.push(option(OTHER, say("Other photo")));
            if (options.length === 0) options.push(option("0", say("No photo yet")));
            const set = (value) => {
                this.state.photo = value;
                this.panel.view.draw();
            };
            const select = choice(options, photo === OTHER || photo in images ? photo : "0", {
                ariaLabel: say("Photo"),
                onchange: () => set(select.value),
            });
            const file = element("input", {
                type: "file",
                accept: "image/*",
                ariaLabel: say("Choose photo"),
                onchange: () => this.take([...file.files]),
            });
            const add = element("label", {className: "ipadapter-button ipadapter-file"}, say("Choose photo…"), file);
            return photo === OTHER ? [select, this.drawFace(), add] : [select, add];
        }

        drawFace() {
            const places = this.panel.spec.controls
                .find(({name}) => name === "face")
                .places.filter((place) => place !== "all");
            const faces = [...places, ...Array(10).keys()];
            const select = choice(
                faces.map((face) => option(face)),
                this.state.face,
                {
                    ariaLabel: say("Face in the other photo"),
                    onchange: () => (this.state.face = faces.find((face) => String(face) === select.value)),
                },
            );
            return select;
        }

        async take(files) {
            const [url] = await this.panel.intake.urlsOf(files.slice(0, 1));
            if (url) Object.assign(this.state, {photo: OTHER, other: url});
            this.panel.view.draw();
        }

        /* The picture. A box drawn on it places the face. */
        drawStage() {
            const {drawn} = this.state;
            const {width, height} = ipAdapter.canvasOfTab(this.panel.tab);
            const box = element("span", {className: "ipadapter-drag", hidden: true});
            const put = ([left, top, right, bottom]) =>
                bottom - top >= LEAST && this.put([(left + right) / 2, (top + bottom) / 2, bottom - top]);
            const stage = element(
                "div",
                {
                    className: "ipadapter-points",
                    style: `aspect-ratio: ${width} / ${height}; width: min(100%, 22em, ${(22 * width) / height}em)`,
                    onpointerdown: (event) => ipAdapter.dragBox(event, stage, box, put, () => this.panel.view.draw()),
                },
                drawn ? element("img", {src: drawn.url, alt: say("Key points"), draggable: false}) : null,
                box,
            );
            return stage;
        }

        put(place) {
            this.state.place = place && place.map((part) => Math.round(part * 1000) / 1000);
            if (this.question()) this.picture();
            this.panel.view.draw();
        }

        /* The place in numbers; without them, the face stays where it is in the photo. */
        drawPlace() {
            const {place} = this.state;
            const number = (text, index, most) => {
                const input = element("input", {
                    type: "number",
                    min: index === 2 ? LEAST * 100 : 0,
                    max: most,
                    step: "any",
                    ariaLabel: text,
                    placeholder: say("auto"),
                    value: place ? Math.round(place[index] * 1000) / 10 : "",
                    onchange: () => {
                        if (!input.validity.valid || input.value === "") return;
                        this.put(Object.assign([...(place || MIDDLE)], {[index]: Number(input.value) / 100}));
                    },
                });
                return element("label", {}, text, input);
            };
            return [
                number(say("X (%)"), 0, 100),
                number(say("Y (%)"), 1, 100),
                number(say("Height (%)"), 2, 200),
                button(say("Reset position"), () => this.put(null), {disabled: !place}),
            ];
        }

        drawActs() {
            const gone = {disabled: !this.question()};
            const title = say("Puts this picture, InstantID's model and its weight into a ControlNet unit");
            const send = button(say("Set up ControlNet"), () => this.send(), {...gone, title});
            return [
                button(say("Draw key points"), () => this.picture(), gone),
                button(say("Download"), () => this.download(), gone),
                ...(ipAdapter.hasControlNet(this.panel.tab) ? [send] : []),
            ];
        }

        /* Return the picture, drawn again if anything that it depends on has changed, or null if there is none. */
        async picture() {
            const {state} = this;
            const question = this.question();
            const of = JSON.stringify(question);
            if (state.drawn && state.drawn.of === of) return state.drawn.url;
            this.panel.message.show(say("Detecting the face…"));
            const {image, message} = await this.panel.server.answerTo("keypoints", question);
            this.panel.message.show(message || "", true);
            if (image) state.drawn = {of, url: image};
            this.panel.view.draw();
            return image || null;
        }

        async download() {
            const href = await this.picture();
            if (href) element("a", {href, download: NAME}).click();
        }

        async send() {
            const url = await this.picture();
            if (url) await ipAdapter.setUpControlNet(this.panel, url, NAME);
        }
    };
})();

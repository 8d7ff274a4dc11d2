/* The reference check: what the encoder sees of a unit's references, and the server's advice on them. */

(() => {
    const {element, say, button, drawing} = ipAdapter;
    const MUCH = 0.7; // of a picture, from which a face's box leaves out too little to be worth it

    ipAdapter.Checking = class {
        constructor(panel) {
            this.panel = panel;
            this.reports = new Map(); // URL of a picture -> the server's report on it, and the settings it was made with
            this.faces = new Map(); // URL of a picture -> by its box as text, the server's answer on the faces in it
            this.advice = {}; // on the whole unit, with the settings it was made with
        }

        /* The settings that a report on a picture depends on. */
        settingsOf(picture) {
            const {unit} = this.panel;
            const names = ["model", "encoder", "encoder_size", "variant", "crop", "tiles", "enhance", "face"];
            return JSON.stringify([...names.map((name) => unit[name]), picture.crop, picture.box]);
        }

        get offered() {
            return this.panel.files.offers("check");
        }

        /* Whether the reports on display were made with other settings. */
        get isOutdated() {
            return this.reports.size > 0 && this.drawn !== this.settingsOf({});
        }

        /* The button, and the advice on the whole unit. */
        draw() {
            this.drawn = this.settingsOf({});
            if (!this.offered || this.panel.unit.images.length === 0) return [];
            const title = say("Show each reference as the encoder sees it, with advice");
            return [
                element(
                    "div",
                    {className: "ipadapter-row"},
                    button(say("Check references"), () => this.ask(), {title}),
                ),
                ...this.adviceOnAll().map((text) => element("p", {className: "ipadapter-note"}, say(text))),
            ];
        }

        adviceOnAll() {
            const {unit, settings, lines} = this.advice;
            return unit === this.panel.unit && settings === this.settingsOf({}) ? lines : [];
        }

        async ask() {
            const {unit} = this.panel;
            const settings = this.settingsOf({});
            const asked = unit.images.map((picture) => ({image: picture.image, settings: this.settingsOf(picture)}));
            this.panel.message.show(say("Checking the references…"));
            this.panel.view.draw();
            const answer = await this.panel.server.answerTo("check", {unit: this.panel.state.sent(unit)});
            if (!answer.references) {
                this.panel.message.show(answer.message, true);
            } else {
                this.panel.message.clear();
                this.advice = {unit, settings, lines: answer.advice || []};
                asked.forEach(({image, ...of}, index) => this.reports.set(image, {...of, ...answer.references[index]}));
            }
            this.panel.view.draw();
            if (answer.references && this.choosesFaces) await this.findFaces(unit);
        }

        /* Whether the adapter uses a face, which the unit selects if a picture has several. */
        get choosesFaces() {
            const {files, model} = this.panel;
            return files.offers("faces") && Boolean(model && (model.fields || []).includes("face"));
        }

        async findFaces(unit) {
            for (const {image, box} of [...unit.images]) await this.facesIn(image, box);
            this.panel.view.draw();
        }

        /* Return the server's answer on the faces in a picture, or in a box of it. It is asked once, and again after an
           error once the files have been listed anew. */
        async facesIn(image, box = null) {
            if (!this.panel.files.offers("faces")) return {};
            if (!this.faces.has(image)) this.faces.set(image, {});
            const answers = this.faces.get(image);
            const key = String(box);
            if (!answers[key] || (answers[key].message && answers[key].version < this.panel.files.version))
                answers[key] = this.askForFaces(image, box, answers);
            return answers[key];
        }

        async askForFaces(image, box, answers) {
            const {unit, files, server} = this.panel;
            const {version} = files;
            const answer = await server.answerTo("faces", {image, model: unit.model, ...(box ? {box} : {})});
            answers[box] = {...answer, version};
            return answers[box];
        }

        /* Whether a picture is whole and the adapter was trained on pictures of a face. */
        wantsFace(field, picture) {
            const {files, model, state, unit} = this.panel;
            if (field !== "images" || picture.box || ipAdapter.isOff(picture)) return false;
            return state.ticked && unit.enabled && files.offers("faces") && Boolean(model?.uses?.includes("face"));
        }

        /* For such an adapter, a button that cuts out the face of a picture that shows more than that. */
        drawOffer(field, picture) {
            if (!this.wantsFace(field, picture)) return [];
            const found = this.faces.get(picture.image)?.null;
            if (!found) this.facesIn(picture.image).then(({faces}) => faces?.length && this.panel.view.draw());
            if (!found?.faces?.length) return [];
            const box = ipAdapter.cropBox.ofFace(found.faces[0].box, [found.width, found.height]);
            if ((box[2] - box[0]) * (box[3] - box[1]) > MUCH) return [];
            const cut = () => {
                picture.box = box;
                this.panel.draw();
                ipAdapter.offerUndo(this.panel, say("Cropped to the face."), () => delete picture.box);
            };
            const title = say("This adapter was trained on pictures that show little more than a face");
            return [button(say("Crop to the face"), cut, {className: "ipadapter-button ipadapter-offer", title})];
        }

        /* Numbered boxes around the faces in a picture; clicking one selects it. */
        drawFaces(field, picture) {
            const found =
                field === "images" && this.choosesFaces && this.faces.get(picture.image)?.[String(picture.box || null)];
            if (!found?.faces?.length) return [];
            const {width, height, faces} = found;
            const boxes = faces.flatMap(({number, box: [left, top, right, bottom]}) => [
                drawing(
                    "rect",
                    {
                        x: left,
                        y: top,
                        width: right - left,
                        height: bottom - top,
                        class: this.panel.unit.face === number ? "chosen" : "",
                        tabindex: 0,
                        role: "button",
                        "aria-label": say("Use face {n}", {n: number}),
                        onclick: () => this.choose(number),
                    },
                    drawing("title", {}, say("Use face {n}", {n: number})),
                ),
                drawing("text", {x: left, y: top - height * 0.01, "font-size": height * 0.1}, String(number)),
            ]);
            return [drawing("svg", {viewBox: `0 0 ${width} ${height}`, class: "ipadapter-faces"}, ...boxes)];
        }

        choose(number) {
            this.panel.unit.face = number;
            this.panel.draw();
        }

        /* The report below a reference. */
        drawAdvice(field, picture) {
            const report = field === "images" && this.reports.get(picture.image);
            if (!report || report.settings !== this.settingsOf(picture)) return [];
            const seen = (report.seen || []).map((src) =>
                element("img", {src, alt: say("What the encoder sees"), title: say("What the encoder sees")}),
            );
            return [
                element("div", {className: "ipadapter-seen"}, ...seen),
                ...(report.advice || []).map((text) => element("p", {className: "ipadapter-note"}, say(text))),
            ];
        }
    };
})();

/* The controls of a unit's fields, one way to draw each widget that the field table names. */

(() => {
    const {element, say, button, sign, choice, option} = ipAdapter;

    /* Controls that hold labels or buttons of their own, so that no label may be around them. */
    const WHOLE = ["pictures", "mask", "saved-reference", "subject"];

    ipAdapter.Controls = class {
        constructor(panel) {
            this.panel = panel;
        }

        value(control) {
            return this.panel.unit[control.name];
        }

        draw(control) {
            const draw = {
                checkbox: this.drawFlag,
                choice: this.drawChoice,
                face: this.drawFace,
                mask: this.drawMask,
                "optional-slider": this.drawOptionalNumber,
                pictures: this.drawPictures,
                points: this.drawText,
                region: this.drawText,
                "saved-reference": this.drawSaved,
                slider: this.drawNumber,
                subject: this.drawSubject,
                text: this.drawText,
            }[control.widget];
            return element(
                WHOLE.includes(control.widget) ? "div" : "label",
                {className: `ipadapter-field ${control.widget}`, title: say(control.help)},
                ...(control.label === control.group && WHOLE.includes(control.widget)
                    ? []
                    : [element("span", {}, say(control.label))]),
                element("div", {className: "ipadapter-row"}, ...draw.call(this, control, say(control.label))),
            );
        }

        drawPictures(control) {
            return [new ipAdapter.Strip(this.panel, control.name).draw()];
        }

        /* A region: by a click, by hand or from a file. */
        drawMask(control, label) {
            const mask = this.value(control);
            const {width, height} = this.panel.canvas();
            const set = (value) => {
                this.panel.set(control.name, value);
                this.panel.drawBody();
            };
            const edit = async () => {
                const drawn = await this.panel.editRegion(label, mask);
                if (drawn !== undefined) set(drawn);
            };
            const input = element("input", {
                type: "file",
                accept: "image/*",
                ariaLabel: label,
                onchange: async () => {
                    const [url] = await this.panel.urlsOf([...input.files]);
                    if (url) set(url);
                    else this.panel.drawBody();
                },
            });
            const shown = () =>
                element(
                    "figure",
                    {className: "ipadapter-drawn"},
                    element("img", {src: mask, alt: label, style: `aspect-ratio: ${width / height}`, onclick: edit}),
                    sign("×", say("Remove region"), () => set(null), {className: "ipadapter-sign ipadapter-remove"}),
                );
            return [
                ...(mask ? [shown()] : []),
                element(
                    "div",
                    {className: "ipadapter-choices"},
                    ipAdapter.quickButtons((box) => set(ipAdapter.maskOfBox(box))),
                    element(
                        "div",
                        {className: "ipadapter-row"},
                        button(say("Draw…"), edit),
                        element("label", {className: "ipadapter-button ipadapter-file"}, say("Take a file"), input),
                    ),
                ),
            ];
        }

        /* A choice of what was saved, and a way to save this unit's pictures. */
        drawSaved(control, label) {
            const {saved} = this.panel.files;
            const current = this.value(control);
            const options = [option("", say("None"))];
            if (current && !saved.some((each) => each.name === current)) options.push(option(current, current));
            for (const each of saved) {
                const title =
                    each.reason || say(each.tiles ? "{n} pictures in tiles" : "{n} pictures", {n: each.references});
                options.push(option(each.name, each.name, {disabled: Boolean(each.reason), title}));
            }
            const select = choice(options, current, {
                ariaLabel: label,
                onchange: () => this.panel.set(control.name, select.value),
            });
            const {images, subject} = this.panel.unit;
            const title = say("Save this unit's pictures, as its encoder sees them, under a name");
            return [
                select,
                button(say("Save references as…"), () => this.panel.save(), {
                    title,
                    disabled: images.length === 0 && subject === "",
                }),
            ];
        }

        drawSubject(control, label) {
            return this.panel.subjects.draw(label);
        }

        drawFlag(control, label) {
            const box = element("input", {
                type: "checkbox",
                ariaLabel: label,
                checked: this.value(control),
                onchange: () => this.panel.set(control.name, box.checked),
            });
            return [box, element("small", {}, say(control.help))];
        }

        /* A text; where some words have a meaning, they are offered. */
        drawText(control, label) {
            const list = `ipadapter_${this.panel.tab}_${control.name}_words`;
            const words = (control.names || []).map((name) => option(name, name));
            const text = element("input", {
                type: "text",
                ariaLabel: label,
                placeholder: control.example || "",
                value: this.value(control),
                oninput: () => this.panel.set(control.name, text.value),
            });
            if (words.length === 0) return [text];
            text.setAttribute("list", list);
            return [text, element("datalist", {id: list}, ...words)];
        }

        drawOptionalNumber(control, label) {
            const number = element("input", {
                type: "number",
                min: control.minimum,
                max: control.maximum,
                step: control.step,
                ariaLabel: label,
                placeholder: say("same"),
                value: this.value(control) ?? "",
                oninput: () => {
                    if (number.validity.valid)
                        this.panel.set(control.name, number.value === "" ? null : Number(number.value));
                },
            });
            return [number];
        }

        drawChoice(control, label) {
            const chosen = () => control.options.find((each) => String(each) === select.value);
            const options = control.options.map((each) => option(each));
            const select = choice(options, this.value(control), {
                ariaLabel: label,
                onchange: () => this.panel.set(control.name, chosen()),
            });
            return [select];
        }

        /* By place, or by number: a list of ten is enough for a click. */
        drawFace(control, label) {
            return this.drawChoice({...control, options: [...control.places, ...Array(10).keys()]}, label);
        }

        drawNumber(control, label) {
            const range = {min: control.minimum, max: control.maximum, step: control.step, ariaLabel: label};
            const change = (from, to) => () => {
                const value = Number(from.value);
                if (from.value === "" || value < control.minimum || value > control.maximum) return;
                to.value = from.value;
                this.panel.set(control.name, value);
            };
            const slider = element("input", {type: "range", ...range, ...control.slider, value: this.value(control)});
            const number = element("input", {type: "number", ...range, value: this.value(control)});
            slider.addEventListener("input", change(slider, number));
            number.addEventListener("input", change(number, slider));
            number.addEventListener("blur", () => (number.value = this.value(control)));
            return [slider, number];
        }
    };
})();

/* The controls of a unit's fields: one method for each widget in the field table. */

(() => {
    const {element, say, button, choice, option} = ipAdapter;

    /* Widgets that contain labels or buttons, and therefore must not be inside a label. */
    const WHOLE = ["pictures", "mask", "saved-reference", "subject", "weight-type"];

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
                "weight-type": this.drawWeightType,
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

        drawMask(control, label) {
            return ipAdapter.drawRegion(this.panel, control.name, label);
        }

        /* A menu of saved references, and a button that saves this unit's pictures as one. */
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
            const title = say("Encode this unit's pictures and save the result (embeds) under a name");
            return [
                select,
                button(say("Save references as…"), () => this.panel.server.save(), {
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

        /* A text field, with suggestions if the field has named values. */
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

        /* The options of `numberField` for a control. */
        numberOf(control, ariaLabel) {
            const {minimum: min, maximum: max, step} = control;
            const {message} = this.panel;
            const report = (text) => message.show(text, Boolean(text));
            const set = (value) => this.panel.set(control.name, value);
            return {min, max, step, ariaLabel, report, set, value: () => this.value(control)};
        }

        drawOptionalNumber(control, label) {
            const number = this.numberOf(control, label);
            return [ipAdapter.numberField({...number, isOptional: true, placeholder: say("same")})];
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

        drawWeightType(control, label) {
            return ipAdapter.drawWeightTypes(this.panel, control, label);
        }

        /* By position, or by number; ten numbers are enough for a menu. */
        drawFace(control, label) {
            return this.drawChoice({...control, options: [...control.places, ...Array(10).keys()]}, label);
        }

        drawNumber(control, label) {
            const {set, report, value, ...range} = this.numberOf(control, label);
            const number = ipAdapter.numberField({
                ...range,
                report,
                value,
                set: (taken) => {
                    slider.value = taken;
                    set(taken);
                },
            });
            const take = () => {
                number.value = slider.value;
                set(Number(slider.value));
            };
            const slider = element("input", {
                type: "range",
                ...range,
                ...control.slider,
                value: value(),
                oninput: take,
            });
            return [slider, number];
        }
    };
})();

/* The panel of the IP-Adapter extension. It draws itself from the field table that the server sends, keeps one state a
   unit, and writes each as JSON into a text field that the web UI hands to the script. */

const ipAdapter = (() => {
    const MAX_FILE = 1500000; // bytes of a picture that is sent as it is; larger ones are resized first
    const MAX_SIDE = 1536; // pixels of a resized picture's longer side; encoders take 224 to 336
    const SENDABLE = ["image/png", "image/jpeg", "image/webp", "image/gif", "image/bmp"];

    const panels = {};

    function element(kind, attributes = {}, ...children) {
        const made = document.createElement(kind);
        for (const [name, value] of Object.entries(attributes)) {
            if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
            else if (name in made) made[name] = value;
            else made.setAttribute(name, value);
        }
        made.append(...children);
        return made;
    }

    function readAsUrl(blob) {
        return new Promise((resolve, reject) => {
            const reader = new FileReader();
            reader.onload = () => resolve(reader.result);
            reader.onerror = () => reject(reader.error);
            reader.readAsDataURL(blob);
        });
    }

    async function pictureUrl(file) {
        const bitmap = await createImageBitmap(file);
        if (file.size <= MAX_FILE && SENDABLE.includes(file.type)) return readAsUrl(file);
        const scale = Math.min(1, MAX_SIDE / Math.max(bitmap.width, bitmap.height));
        const canvas = element("canvas", {
            width: Math.max(1, Math.round(bitmap.width * scale)),
            height: Math.max(1, Math.round(bitmap.height * scale)),
        });
        const context = canvas.getContext("2d");
        context.imageSmoothingQuality = "high";
        context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
        return readAsUrl(await new Promise((resolve) => canvas.toBlob(resolve, "image/webp", 0.95)));
    }

    /* The way to the server, which is one button: questions wait for each other, and each has a number that comes back
       with its answer. */
    class Asking {
        constructor(part) {
            this.part = part;
            this.waiting = []; // the first one is with the server
            this.count = 0;
        }

        /* Return the server's answer to {do: what, ...more}; `message` tells what went wrong. */
        ask(what, more = {}) {
            return new Promise((resolve) => {
                const id = ++this.count;
                this.waiting.push({id, text: JSON.stringify({do: what, id, ...more}), resolve});
                if (this.waiting.length === 1) this.next();
            });
        }

        get request() {
            return this.waiting.length ? this.waiting[0].text : "";
        }

        next() {
            const part = this.part("ask");
            (part.matches("button") ? part : part.querySelector("button")).click();
        }

        /* Where the server failed, what comes is the answer before, or none. */
        answer(text) {
            const answer = text ? JSON.parse(text) : {};
            const asked = this.waiting.shift();
            if (!asked) return;
            if (this.waiting.length) setTimeout(() => this.next());
            asked.resolve(answer.id === asked.id ? answer : {message: "The server failed. Its console has the details."});
        }
    }

    class Panel {
        constructor(root) {
            this.tab = root.dataset.tab;
            this.spec = JSON.parse(root.dataset.spec);
            this.ticked = false;
            this.models = null;
            this.saved = [];
            this.asking = new Asking((part) => this.part(part));
            this.current = 0;
            this.written = []; // what this panel wrote into the text fields; anything else there was pasted
            this.units = Array.from({length: this.spec.units}, () => this.emptyUnit());
            this.opened = new Set(Object.keys(this.spec.notes)); // a note must not be folded away
            this.tabs = element("div", {className: "ipadapter-tabs", role: "tablist"});
            this.body = element("div", {className: "ipadapter-body"});
            root.append(this.tabs, this.body);
            this.draw();
        }

        emptyUnit() {
            const values = Object.fromEntries(this.spec.controls.map((control) => [control.name, control.default]));
            return {enabled: true, model: "", images: [], ...structuredClone(values)};
        }

        get unit() {
            return this.units[this.current];
        }

        isUsed(unit) {
            return unit.enabled && (unit.images.length > 0 || unit.model !== "");
        }

        /* A ticked panel always sends a unit: an empty first one makes the server say what is missing. */
        isSent(index) {
            if (!this.ticked) return false;
            return this.isUsed(this.units[index]) || (index === 0 && !this.units.some((unit) => this.isUsed(unit)));
        }

        modelOf(unit) {
            return (this.models || []).find((model) => model.name === unit.model);
        }

        /* Some fields have a meaning for some adapters only; while an adapter is unknown, they may have one. */
        hasMeaning(control, unit) {
            if (!control.conditional) return true;
            const model = this.modelOf(unit);
            return model ? (model.fields || []).includes(control.name) : unit.model !== "";
        }

        /* What is sent of a unit: fields without a meaning for its adapter at their defaults. */
        sent(unit) {
            const idle = this.spec.controls.filter((control) => !this.hasMeaning(control, unit));
            return {...unit, ...Object.fromEntries(idle.map((control) => [control.name, control.default])), enabled: true};
        }

        write() {
            let pasted = false;
            this.units.forEach((_, index) => {
                const field = this.part(`unit_${index + 1}`).querySelector("textarea, input");
                if (field.value !== "" && field.value !== this.written[index]) pasted = this.take(index, field.value);
                const text = this.isSent(index) ? JSON.stringify(this.sent(this.units[index])) : "";
                this.written[index] = text;
                if (field.value === text) return;
                field.value = text;
                field.dispatchEvent(new Event("input", {bubbles: true}));
            });
            if (pasted) this.drawBody();
            this.drawTabs();
        }

        set(name, value) {
            this.unit[name] = value;
            this.write();
        }

        part(name) {
            return gradioApp().querySelector(`#ipadapter_${this.tab}_${name}`);
        }

        /* Ask the server for something that comes with a list of files, or with a word on what it did. */
        async ask(what, more) {
            this.list(await this.asking.ask(what, more));
        }

        tick(on) {
            this.ticked = on;
            if (on) this.ask("list");
            this.write();
        }

        /* What the server says: which files there are, and a word on what it did. */
        list({models = this.models, saved = this.saved, message}) {
            this.models = models;
            this.saved = saved;
            if (message) this.say(message);
            this.draw();
        }

        /* Ask the server to save this unit's references. */
        save(name) {
            const taken = this.saved.some((saved) => saved.name.toLowerCase() === `${name}.safetensors`.toLowerCase());
            if (taken && !confirm(`Replace the saved reference ${name}?`)) return;
            this.say("Saving…");
            this.drawBody();
            this.ask("save", {name, unit: {...this.unit, enabled: true, embeds: ""}, overwrite: taken});
        }

        async add(pictures, files) {
            this.say("");
            for (const file of files) {
                try {
                    pictures.push({image: await pictureUrl(file)});
                } catch {
                    this.say(`${file.name || "This"} is no picture that the browser can read.`);
                }
            }
            this.draw();
        }

        /* Use a picture that is shown elsewhere on the page. */
        async send(url) {
            const blob = await (await fetch(url)).blob();
            await this.add(this.unit.images, [new File([blob], "The picture", {type: blob.type})]);
            if (!this.ticked) gradioApp().querySelector(`#ipadapter_${this.tab}-checkbox input`).click();
        }

        /* The web UI wrote a pasted unit into its text field; ticking the panel may have taken it already. */
        restore(index, text) {
            if (index >= this.units.length || text === "" || text === this.written[index]) return;
            this.take(index, text);
            this.draw();
        }

        /* What was pasted has settings, but no pictures: those are known by their hashes only. */
        take(index, text) {
            const {note, ...pasted} = JSON.parse(text);
            this.units[index] = {...this.emptyUnit(), ...pasted};
            this.current = index;
            this.say(note || "");
            return true;
        }

        say(text) {
            this.message = text;
        }

        draw() {
            this.drawBody();
            this.write();
        }

        drawBody() {
            this.body.replaceChildren(this.drawReferences(), this.drawControls());
        }

        drawTabs() {
            this.tabs.replaceChildren(
                ...this.units.map((unit, index) =>
                    element("button", {
                        type: "button",
                        role: "tab",
                        ariaSelected: String(index === this.current),
                        className: `ipadapter-tab${this.isUsed(unit) ? " used" : ""}`,
                        textContent: `Unit ${index + 1}`,
                        title: this.isUsed(unit) ? `${unit.model || "no adapter"}, ${unit.images.length} references` : "",
                        onclick: () => {
                            this.current = index;
                            this.say("");
                            this.draw();
                        },
                    }),
                ),
            );
        }

        drawReferences() {
            const message = element("p", {className: "ipadapter-message", role: "status"}, this.message || "");
            return element("div", {className: "ipadapter-left"}, this.drawStrip(this.unit.images, "Reference"), message);
        }

        /* A strip of pictures that takes more by drop, paste and choice. */
        drawStrip(pictures, word) {
            const input = element("input", {
                type: "file",
                accept: "image/*",
                multiple: true,
                ariaLabel: `${word} pictures`,
                onchange: () => this.add(pictures, [...input.files]),
            });
            const take = (event, files) => {
                event.preventDefault();
                event.stopPropagation();
                this.add(pictures, files);
            };
            return element(
                "div",
                {
                    className: "ipadapter-references",
                    tabIndex: 0,
                    ondragover: (event) => event.preventDefault(),
                    ondrop: (event) => take(event, [...event.dataTransfer.files]),
                    onpaste: (event) => {
                        if (event.clipboardData.files.length > 0) take(event, [...event.clipboardData.files]);
                    },
                },
                ...pictures.map((picture, index) => this.drawReference(pictures, index, word)),
                element("label", {className: "ipadapter-add"}, "Drop, paste or choose pictures", input),
            );
        }

        drawReference(pictures, index, word) {
            const picture = pictures[index];
            const remove = () => {
                pictures.splice(index, 1);
                this.draw();
            };
            const weight = element("input", {
                type: "number",
                min: -5,
                max: 5,
                step: 0.05,
                value: picture.weight ?? 1,
                title: "Weight of this picture among the others",
                ariaLabel: `Weight of ${word.toLowerCase()} ${index + 1}`,
                oninput: () => {
                    if (weight.value === "" || !weight.validity.valid) return;
                    picture.weight = Number(weight.value);
                    this.write();
                },
                onblur: () => (weight.value = picture.weight ?? 1),
            });
            return this.drawFigure(picture.image, `${word} ${index + 1}`, remove, element("figcaption", {}, weight));
        }

        /* A picture with a button to remove it. */
        drawFigure(url, name, remove, ...more) {
            return element(
                "figure",
                {className: "ipadapter-reference"},
                element("img", {src: url, alt: name}),
                element("button", {type: "button", title: "Remove", ariaLabel: `Remove ${name.toLowerCase()}`, onclick: remove}, "×"),
                ...more,
            );
        }

        drawControls() {
            const enabled = element("input", {
                type: "checkbox",
                checked: this.unit.enabled,
                onchange: () => this.set("enabled", enabled.checked),
            });
            return element(
                "div",
                {className: "ipadapter-right"},
                element("label", {className: "ipadapter-check"}, enabled, "Enable this unit"),
                this.drawModel(),
                ...this.controlsOf("").map((control) => this.drawControl(control)),
                ...this.spec.groups.filter((group) => this.controlsOf(group).length).map((group) => this.drawGroup(group)),
            );
        }

        controlsOf(group) {
            return this.spec.controls.filter((control) => control.group === group && this.hasMeaning(control, this.unit));
        }

        isChanged(control) {
            return JSON.stringify(this.unit[control.name]) !== JSON.stringify(control.default);
        }

        /* A fold with less common controls; a mark says that something in it is set. */
        drawGroup(group) {
            const controls = this.controlsOf(group);
            const fold = element(
                "details",
                {
                    className: `ipadapter-group${controls.some((control) => this.isChanged(control)) ? " used" : ""}`,
                    open: this.opened.has(group),
                    ontoggle: () => (fold.open ? this.opened.add(group) : this.opened.delete(group)),
                },
                element("summary", {}, group),
                ...(group in this.spec.notes ? [element("p", {className: "ipadapter-note"}, this.spec.notes[group])] : []),
                ...controls.map((control) => this.drawControl(control)),
            );
            return fold;
        }

        drawModel() {
            const select = element("select", {
                ariaLabel: "Adapter",
                onchange: () => {
                    this.unit.model = select.value;
                    this.draw();
                },
            });
            select.append(element("option", {value: ""}, this.models ? "Choose an adapter" : "Looking for adapters…"));
            const models = this.models || [];
            const known = models.some((model) => model.name === this.unit.model);
            if (this.unit.model && !known) select.append(element("option", {value: this.unit.model}, this.unit.model));
            for (const model of models) {
                const text = model.reason ? `${model.name} (${model.short})` : `${model.name} (${model.family})`;
                select.append(element("option", {value: model.name, disabled: Boolean(model.reason), title: model.reason}, text));
            }
            select.value = this.unit.model;
            const refresh = element("button", {type: "button", title: "Look for files again", ariaLabel: "Refresh", onclick: () => this.ask("rescan")}, "↻");
            const chosen = this.modelOf(this.unit);
            const note = chosen ? chosen.reason || chosen.note : this.models && models.length === 0 ? "No adapter was found. Put one into models/ipadapter and refresh." : "";
            return element(
                "div",
                {className: "ipadapter-field"},
                element("span", {}, "Adapter"),
                element("div", {className: "ipadapter-row"}, select, refresh),
                element("p", {className: "ipadapter-note"}, note),
            );
        }

        drawControl(control) {
            const draw = {
                choice: this.drawChoice,
                face: this.drawFace,
                flag: this.drawFlag,
                mask: this.drawMask,
                number: this.drawNumber,
                optionalnumber: this.drawOptionalNumber,
                pictures: this.drawPictures,
                points: this.drawText,
                region: this.drawText,
                saved: this.drawSaved,
                subject: this.drawText,
                whole: this.drawNumber,
                text: this.drawText,
            }[control.kind];
            return element(
                ["pictures", "mask", "saved"].includes(control.kind) ? "div" : "label",
                {className: "ipadapter-field", title: control.help},
                ...(control.label === control.group ? [] : [element("span", {}, control.label)]),
                element("div", {className: "ipadapter-row"}, ...draw.call(this, control)),
            );
        }

        drawPictures(control) {
            return [this.drawStrip(this.unit[control.name], control.label.replace(/s$/, ""))];
        }

        /* One picture, at most. */
        drawMask(control) {
            const pictures = this.unit[control.name] ? [{image: this.unit[control.name]}] : [];
            const input = element("input", {
                type: "file",
                accept: "image/*",
                ariaLabel: control.label,
                onchange: async () => {
                    await this.add(pictures, [...input.files]);
                    if (pictures.length) this.set(control.name, pictures[pictures.length - 1].image);
                    this.draw();
                },
            });
            const remove = () => {
                this.set(control.name, null);
                this.draw();
            };
            const shown = pictures.map((picture) => this.drawFigure(picture.image, control.label, remove));
            return [...shown, element("label", {className: "ipadapter-add"}, "Choose a black and white picture", input)];
        }

        /* A choice of what was saved, and a way to save this unit's pictures. */
        drawSaved(control) {
            const select = element(
                "select",
                {ariaLabel: control.label, onchange: () => this.set(control.name, select.value)},
                element("option", {value: ""}, "None"),
            );
            const current = this.unit[control.name];
            if (current && !this.saved.some((saved) => saved.name === current)) {
                select.append(element("option", {value: current}, current));
            }
            for (const saved of this.saved) {
                const title = saved.reason || `${saved.references} pictures${saved.tiles ? " in tiles" : ""}${saved.encoder && `, by ${saved.encoder}`}`;
                select.append(element("option", {value: saved.name, disabled: Boolean(saved.reason), title}, saved.name));
            }
            select.value = current;
            const name = element("input", {type: "text", ariaLabel: "Name to save as", placeholder: "name"});
            const save = element(
                "button",
                {type: "button", title: "Save this unit's pictures, as its encoder sees them, under this name", onclick: () => this.save(name.value.trim())},
                "Save",
            );
            return [select, name, save];
        }

        drawFlag(control) {
            const box = element("input", {
                type: "checkbox",
                ariaLabel: control.label,
                checked: this.unit[control.name],
                onchange: () => this.set(control.name, box.checked),
            });
            return [box, element("small", {}, control.help)];
        }

        drawText(control) {
            const text = element("input", {
                type: "text",
                ariaLabel: control.label,
                placeholder: control.example || "",
                value: this.unit[control.name],
                oninput: () => this.set(control.name, text.value),
            });
            return [text];
        }

        drawOptionalNumber(control) {
            const number = element("input", {
                type: "number",
                min: control.minimum,
                max: control.maximum,
                step: control.step,
                ariaLabel: control.label,
                placeholder: "same",
                value: this.unit[control.name] ?? "",
                oninput: () => {
                    if (number.validity.valid) this.set(control.name, number.value === "" ? null : Number(number.value));
                },
            });
            return [number];
        }

        drawChoice(control) {
            const select = element(
                "select",
                {
                    ariaLabel: control.label,
                    onchange: () => this.set(control.name, control.options.find((option) => String(option) === select.value)),
                },
                ...control.options.map((option) => element("option", {value: option}, option)),
            );
            select.value = this.unit[control.name];
            return [select];
        }

        /* By place, or by number: a list of ten is enough for a click. */
        drawFace(control) {
            return this.drawChoice({...control, options: [...control.places, ...Array(10).keys()]});
        }

        drawNumber(control) {
            const range = {min: control.minimum, max: control.maximum, step: control.step, ariaLabel: control.label};
            const change = (from, to) => () => {
                const value = Number(from.value);
                if (from.value === "" || value < control.minimum || value > control.maximum) return;
                to.value = from.value;
                this.set(control.name, value);
            };
            const slider = element("input", {type: "range", ...range, ...control.slider, value: this.unit[control.name]});
            const number = element("input", {type: "number", ...range, value: this.unit[control.name]});
            slider.addEventListener("input", change(slider, number));
            number.addEventListener("input", change(number, slider));
            number.addEventListener("blur", () => (number.value = this.unit[control.name]));
            return [slider, number];
        }
    }

    function start() {
        for (const root of gradioApp().querySelectorAll(".ipadapter-panel:empty")) {
            panels[root.dataset.tab] = new Panel(root);
        }
    }

    function checkpointChanged() {
        Object.values(panels).filter((panel) => panel.ticked).forEach((panel) => panel.ask("list"));
    }

    onUiLoaded(start);
    if (typeof onOptionsChanged === "function") onOptionsChanged(checkpointChanged);

    return {
        tick: (tab, on) => panels[tab].tick(on),
        request: (tab) => panels[tab].asking.request,
        answer: (tab, text) => panels[tab].asking.answer(text),
        restore: (tab, index, text) => panels[tab].restore(index, text),
        send: (tab, url) => panels[tab].send(url),
    };
})();

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

    class Panel {
        constructor(root) {
            this.tab = root.dataset.tab;
            this.spec = JSON.parse(root.dataset.spec);
            this.ticked = false;
            this.models = null;
            this.current = 0;
            this.units = Array.from({length: this.spec.units}, () => this.emptyUnit());
            this.tabs = element("div", {className: "ipadapter-tabs", role: "tablist"});
            this.body = element("div", {className: "ipadapter-body"});
            root.append(this.tabs, this.body);
            this.draw();
        }

        emptyUnit() {
            const values = Object.fromEntries(this.spec.controls.map((control) => [control.name, control.default]));
            return {enabled: true, model: "", images: [], ...values};
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

        write() {
            this.units.forEach((unit, index) => {
                const field = this.part(`unit_${index + 1}`).querySelector("textarea, input");
                const text = this.isSent(index) ? JSON.stringify({...unit, enabled: true}) : "";
                if (field.value === text) return;
                field.value = text;
                field.dispatchEvent(new Event("input", {bubbles: true}));
            });
            this.drawTabs();
        }

        set(name, value) {
            this.unit[name] = value;
            this.write();
        }

        part(name) {
            return gradioApp().querySelector(`#ipadapter_${this.tab}_${name}`);
        }

        ask(name) {
            const part = this.part(name);
            (part.matches("button") ? part : part.querySelector("button")).click();
        }

        tick(on) {
            this.ticked = on;
            if (on) this.ask("list");
            this.write();
        }

        take(models) {
            this.models = models;
            this.draw();
        }

        async add(files) {
            const unit = this.unit;
            this.say("");
            for (const file of files) {
                try {
                    unit.images.push({image: await pictureUrl(file)});
                } catch {
                    this.say(`${file.name || "This"} is no picture that the browser can read.`);
                }
            }
            this.draw();
        }

        say(text) {
            this.message = text;
        }

        draw() {
            this.body.replaceChildren(this.drawReferences(), this.drawControls());
            this.write();
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
            const input = element("input", {
                type: "file",
                accept: "image/*",
                multiple: true,
                ariaLabel: "Reference pictures",
                onchange: () => this.add([...input.files]),
            });
            const zone = element(
                "div",
                {
                    className: "ipadapter-references",
                    tabIndex: 0,
                    ondragover: (event) => event.preventDefault(),
                    ondrop: (event) => {
                        event.preventDefault();
                        event.stopPropagation();
                        this.add([...event.dataTransfer.files]);
                    },
                    onpaste: (event) => {
                        if (event.clipboardData.files.length === 0) return;
                        event.preventDefault();
                        event.stopPropagation();
                        this.add([...event.clipboardData.files]);
                    },
                },
                ...this.unit.images.map((picture, index) => this.drawReference(picture, index)),
                element("label", {className: "ipadapter-add"}, "Drop, paste or choose pictures", input),
            );
            const message = element("p", {className: "ipadapter-message", role: "status"}, this.message || "");
            return element("div", {className: "ipadapter-left"}, zone, message);
        }

        drawReference(picture, index) {
            const remove = () => {
                this.unit.images.splice(index, 1);
                this.draw();
            };
            return element(
                "figure",
                {className: "ipadapter-reference"},
                element("img", {src: picture.image, alt: `Reference ${index + 1}`}),
                element("button", {type: "button", title: "Remove", ariaLabel: `Remove reference ${index + 1}`, onclick: remove}, "×"),
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
                ...this.spec.controls.map((control) => this.drawControl(control)),
            );
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
            const chosen = models.find((model) => model.name === this.unit.model);
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
            const inputs = control.options ? [this.drawChoice(control)] : this.drawNumber(control);
            return element(
                "label",
                {className: "ipadapter-field", title: control.help},
                element("span", {}, control.label),
                element("div", {className: "ipadapter-row"}, ...inputs),
            );
        }

        drawChoice(control) {
            const select = element(
                "select",
                {ariaLabel: control.label, onchange: () => this.set(control.name, select.value)},
                ...control.options.map((option) => element("option", {value: option}, option)),
            );
            select.value = this.unit[control.name];
            return select;
        }

        drawNumber(control) {
            const range = {min: control.minimum, max: control.maximum, step: control.step, ariaLabel: control.label};
            const change = (from, to) => () => {
                const value = Number(from.value);
                if (from.value === "" || value < control.minimum || value > control.maximum) return;
                to.value = from.value;
                this.set(control.name, value);
            };
            const slider = element("input", {type: "range", ...range, value: this.unit[control.name]});
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
        models: (tab, text) => panels[tab].take(JSON.parse(text)),
    };
})();

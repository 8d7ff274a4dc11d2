/* The panel of one tab: its units, what of them the web UI gets, and what is asked of the server. */

(() => {
    const {say} = ipAdapter;

    ipAdapter.Panel = class {
        constructor(root) {
            this.root = root;
            this.tab = root.dataset.tab;
            this.spec = JSON.parse(root.dataset.spec);
            this.ticked = false;
            this.files = {models: null, saved: [], subjects: [], presets: {}, asks: []}; // what the server has
            this.asking = new ipAdapter.Asking((name) => this.part(name));
            this.checking = new ipAdapter.Checking(this);
            this.controls = new ipAdapter.Controls(this);
            this.plot = new ipAdapter.Plot(this);
            this.presets = new ipAdapter.Presets(this);
            this.subjects = new ipAdapter.Subjects(this);
            this.current = 0;
            this.written = []; // what this panel wrote into the text fields; anything else there was pasted
            this.units = Array.from({length: this.spec.units}, () => this.emptyUnit());
            this.keypoints = new ipAdapter.Keypoints(this);
            this.message = {text: "", wrong: false, acts: {}};
            this.view = new ipAdapter.View(this);
            root.addEventListener("paste", (event) => this.paste(event));
            this.draw();
        }

        emptyUnit() {
            const values = Object.fromEntries(this.spec.controls.map((control) => [control.name, control.default]));
            return {enabled: true, model: "", images: [], ...structuredClone(values)};
        }

        get unit() {
            return this.units[this.current];
        }

        isFilled(unit) {
            return unit.images.length > 0 || unit.model !== "" || unit.subject !== "" || unit.embeds !== "";
        }

        isUsed(unit) {
            return unit.enabled && this.isFilled(unit);
        }

        /* A ticked panel always sends a unit: an empty first one makes the server say what is missing. */
        isSent(index) {
            if (!this.ticked) return false;
            return this.isUsed(this.units[index]) || (index === 0 && !this.units.some((unit) => this.isUsed(unit)));
        }

        modelOf(unit) {
            return (this.files.models || []).find((model) => model.name === unit.model);
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
            return {
                ...unit,
                ...Object.fromEntries(idle.map((control) => [control.name, control.default])),
                enabled: true,
            };
        }

        /* A unit in a few words: adapter, weight, references. */
        summary(unit) {
            if (!this.isFilled(unit)) return "";
            const model = this.modelOf(unit);
            const name =
                model && model.title
                    ? model.title[0].toUpperCase() + model.title.slice(1)
                    : unit.model.replace(/\.\w+$/, "");
            const count = unit.images.length;
            const pictures = count === 1 ? say("1 ref") : say("{n} refs", {n: count});
            const named = unit.subject || unit.embeds;
            return [name || say("no adapter"), String(unit.weight), named, count || !named ? pictures : ""]
                .filter(Boolean)
                .join(" · ");
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
            this.view.drawTabs();
            this.view.mark();
            this.plot.refresh();
        }

        set(name, value) {
            this.unit[name] = value;
            this.write();
            if (this.checking.isOutdated) this.drawBody();
        }

        /* Put another unit in the place of this one, with a way back. */
        replace(unit, text) {
            const [index, before] = [this.current, this.unit];
            const undo = () => {
                this.units[index] = before;
                this.current = index;
                this.tell("");
                this.draw();
            };
            this.units[index] = unit;
            this.message = {text, wrong: false, acts: {[say("Undo")]: undo}};
            this.draw();
        }

        part(name) {
            return gradioApp().querySelector(`#ipadapter_${this.tab}_${name}`);
        }

        /* The server's answer, once what it changes may be drawn. */
        async answerTo(what, more) {
            const answer = await this.asking.ask(what, more);
            await this.view.released;
            return answer;
        }

        /* Ask the server for something that comes with a list of what it has, or with a word on what it did. */
        async ask(what, more) {
            const {message, ...files} = await this.answerTo(what, more);
            Object.assign(this.files, files);
            if (message) this.tell(message, Object.keys(files).length === 0);
            this.draw();
        }

        /* Ask for what takes long, and show how far it is, with a way to end it. */
        work(what, more) {
            this.tell(say("One moment…"));
            this.drawBody();
            const task = ipAdapter.newTask();
            const work = this.ask(what, {...more, task});
            const stop = () => gradioApp().querySelector(`#${this.tab}_interrupt`).click();
            ipAdapter.follow(task, work, (text) => {
                this.message = {text, wrong: false, acts: {[say("Stop")]: stop}};
                this.view.released.then(() => this.view.redrawMessage());
            });
            return work;
        }

        tick(on) {
            this.ticked = on;
            if (on) this.look();
            this.write();
        }

        /* Ask which files there are. */
        async look(what = "list") {
            await this.ask(what);
            if (this.files.asks.includes("subjects")) await this.ask("subjects");
        }

        /* Ask the server to save this unit's references. */
        save() {
            const name = (prompt(say("Name to save as")) || "").trim();
            if (!name) return;
            const taken = this.files.saved.some(
                (saved) => saved.name.toLowerCase() === `${name}.safetensors`.toLowerCase(),
            );
            if (taken && !confirm(say("Replace the saved reference {name}?", {name}))) return;
            this.work("save", {name, unit: {...this.unit, enabled: true, embeds: ""}, overwrite: taken});
        }

        /* Return files as data URLs; those that are no pictures are named in the message. */
        async urlsOf(files) {
            const urls = [];
            for (const file of files) {
                try {
                    urls.push(await ipAdapter.urlOfFile(file));
                } catch {
                    this.tell(
                        say("{name} is no picture that the browser can read.", {name: file.name || say("This")}),
                        true,
                    );
                }
            }
            return urls;
        }

        /* Tell whether `more` pictures are too many beside those of a field, and say so. */
        isFull(pictures, more) {
            const full = pictures.length + more > this.spec.most;
            if (full) this.tell(say("A unit takes up to {n} pictures.", {n: this.spec.most}), true);
            return full;
        }

        /* Add files to pictures, as many as there may be; what is left out is in the message. */
        async addTo(pictures, files, place = Infinity) {
            this.tell("");
            const urls = await this.urlsOf(files);
            const room = this.isFull(pictures, urls.length)
                ? Math.max(0, this.spec.most - pictures.length)
                : urls.length;
            pictures.splice(place, 0, ...urls.slice(0, room).map((image) => ({image})));
        }

        /* Add files to a field of the unit that is open now, before the picture at `place` or after all others. */
        async add(field, files, place) {
            await this.addTo(this.unit[field], files, place);
            this.draw();
        }

        paste(event) {
            if (event.clipboardData.files.length === 0) return;
            event.preventDefault();
            event.stopPropagation();
            this.add("images", [...event.clipboardData.files]);
        }

        /* Use a picture that is shown elsewhere on the page. */
        async send(url) {
            await this.add("images", [await ipAdapter.fileAt(url)]);
            if (!this.ticked) gradioApp().querySelector(`#ipadapter_${this.tab}-checkbox input`).click();
        }

        /* The picture that is to be made, as far as it is known: its size, and a picture of that shape to draw upon. */
        canvas() {
            const size = (name) => Number((this.siblings(`_${name} input[type=number]`) || {}).value) || 512;
            const [width, height] = [size("width"), size("height")];
            const fits = (image) =>
                Math.abs(Math.log((image.naturalWidth / image.naturalHeight) * (height / width))) < 0.02;
            const shown = [this.siblings("_image img"), ipAdapter.resultOf(this.tab)].find(
                (image) => image && image.naturalWidth && fits(image),
            );
            return {url: shown ? shown.src : null, width, height};
        }

        siblings(selector) {
            return gradioApp().querySelector(`#${this.tab}${selector}`);
        }

        editRegion(title, mask) {
            return ipAdapter.editRegion(this.root, title, mask, this.canvas());
        }

        /* The web UI wrote a pasted unit into its text field; ticking the panel may have taken it already. */
        restore(index, text) {
            if (index >= this.units.length || text === "" || text === this.written[index]) return;
            this.take(index, text);
            this.draw();
        }

        /* What was pasted has settings, but no pictures that are not kept: those are known by their hashes only. */
        take(index, text) {
            const {note, ...pasted} = JSON.parse(text);
            this.units[index] = {...this.emptyUnit(), ...pasted};
            this.current = index;
            this.tell(note || "", true);
            return true;
        }

        tell(text, wrong = false) {
            this.message = {text, wrong, acts: {}};
        }

        draw() {
            this.view.draw();
            this.write();
        }

        /* Draw the open unit anew where nothing that is sent has changed. */
        drawBody() {
            this.view.draw();
        }

        open(index) {
            if (index === this.current) return;
            this.current = index;
            this.tell("");
            this.draw();
        }

        controlsOf(group) {
            return this.spec.controls.filter(
                (control) => control.group === group && this.hasMeaning(control, this.unit),
            );
        }

        get crops() {
            return this.spec.controls.find((control) => control.name === "crop").options;
        }

        isChanged(control) {
            return JSON.stringify(this.unit[control.name]) !== JSON.stringify(control.default);
        }
    };
})();

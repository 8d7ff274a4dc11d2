/* Subjects: sets of references that the server stores under a name. A unit names one; here they are also saved, edited,
   deleted, and moved between web UIs as zips. */

(() => {
    const {element, say, button, choice, option} = ipAdapter;

    ipAdapter.Subjects = class {
        constructor(panel) {
            this.panel = panel;
        }

        get all() {
            return this.panel.files.subjects;
        }

        get chosen() {
            const name = this.panel.unit.subject.replace(/ \[[0-9a-f]*\]$/i, ""); // pasted parameters have its hash
            return this.all.find((subject) => subject.name === name);
        }

        draw(label) {
            const {unit} = this.panel;
            const options = this.all.map((subject) =>
                option(subject.name, subject.name, {
                    disabled: Boolean(subject.reason),
                    title: subject.reason || subject.notes,
                }),
            );
            if (unit.subject && !this.all.some(({name}) => name === unit.subject))
                options.push(option(unit.subject, unit.subject));
            const select = choice([option("", say("None")), ...options], unit.subject, {
                ariaLabel: label,
                onchange: () => {
                    unit.subject = select.value;
                    this.panel.draw();
                },
            });
            return [
                element(
                    "div",
                    {className: "ipadapter-choices"},
                    select,
                    ...this.drawPictures(),
                    ...this.drawActs(),
                    ...this.drawFolders(),
                ),
            ];
        }

        drawPictures() {
            if (!this.chosen) return [];
            const {pictures, notes} = this.chosen;
            const shown = pictures.map(({image, note, weight}, index) =>
                element("img", {
                    src: image,
                    alt: say("Picture {n}", {n: index + 1}),
                    title: [note, say("weight {weight}", {weight})].filter(Boolean).join(", "),
                }),
            );
            return [
                element("div", {className: "ipadapter-seen"}, ...shown),
                ...(notes ? [element("p", {className: "ipadapter-note"}, notes)] : []),
            ];
        }

        drawActs() {
            if (!this.panel.files.offers("save subject")) return [];
            const {unit} = this.panel;
            const file = element("input", {
                type: "file",
                accept: ".zip,application/zip",
                ariaLabel: say("Import zip"),
                onchange: () => this.import(file.files[0]),
            });
            const acts = [
                button(say("Edit…"), () => this.change(), {title: say("Change name, notes, weights and crops")}),
                button(say("Load its pictures"), () => this.take(), {
                    title: say("Replace the subject in this unit with its pictures, to edit them"),
                }),
                button(say("Export as zip"), () => this.export()),
                button(say("Delete subject"), () => this.delete()),
            ];
            return [
                element(
                    "div",
                    {className: "ipadapter-row"},
                    ...(this.chosen ? acts : []),
                    button(say("Save references as subject…"), () => this.keep(), {disabled: unit.images.length === 0}),
                    element("label", {className: "ipadapter-button ipadapter-file"}, say("Import zip"), file),
                ),
            ];
        }

        /* Folders of pictures that are not a subject yet, each with a button that converts it. */
        drawFolders() {
            return this.panel.files.adoptable.map(({name, pictures}) =>
                element(
                    "p",
                    {className: "ipadapter-note"},
                    say("The folder {name} is not a subject yet. Pictures in it: {n}.", {name, n: pictures}),
                    " ",
                    button(say("Convert to subject"), () => this.adopt(name), {
                        ariaLabel: say("Convert to subject: {name}", {name}),
                        title: say("Keep the pictures where they are and write a record next to them"),
                    }),
                ),
            );
        }

        adopt(name) {
            this.panel.server.work("save subject", {name, notes: "", pictures: [], overwrite: false, adopt: true});
        }

        /* Return the folder of this name that is not a subject yet, if there is one. */
        folder(name) {
            return this.panel.files.adoptable.find((each) => each.name === name);
        }

        /* Requests that change subjects return the new list of all subjects. */
        ask(what, more) {
            this.panel.message.show(say("Working…"));
            return this.panel.server.ask(what, more);
        }

        /* Find a subject by name, ignoring case. */
        named(name) {
            return this.all.find((subject) => subject.name.toLowerCase() === name.toLowerCase());
        }

        /* Let the user edit and save a subject; return its name, or null. If saving fails, the form opens again. */
        async edit(title, subject, fault = "") {
            const given = await new ipAdapter.SubjectForm(this.panel, subject).open(title, fault);
            if (!given) return null;
            const exists = {overwrite: Boolean(this.named(given.name)), adopt: Boolean(this.folder(given.name))};
            await this.panel.server.work("save subject", {...given, ...exists});
            const {text, wrong} = this.panel.message;
            return wrong ? this.edit(title, given, text) : given.name;
        }

        /* Save the unit's references as a subject, without those that are off, and without regions, which belong to the
           unit. */
        async keep() {
            const {panel} = this;
            const {unit} = panel;
            const used = unit.images.filter((picture) => !ipAdapter.isOff(picture));
            const pictures = used.map(({mask, enabled: _, ...picture}) => picture);
            const name = await this.edit(say("Save references as subject"), {name: "", notes: "", pictures});
            if (!name || unit !== panel.unit) return;
            const use = () =>
                panel.replace(
                    {...unit, subject: name, images: []},
                    say("The pictures were replaced with the subject."),
                );
            panel.message.show(panel.message.text, false, {[say("Use the subject instead")]: use});
        }

        /* Let the user edit the chosen subject; saved under another name, it becomes a copy. */
        async change() {
            const subject = await this.panel.server.answerTo("read subject", {name: this.chosen.name});
            if (subject.pictures) await this.edit(say("Edit subject"), subject);
            else this.refuse(subject);
        }

        refuse({message}) {
            this.panel.message.show(message, true);
        }

        delete() {
            const {name} = this.chosen;
            if (!confirm(say("Delete the subject {name} and its pictures?", {name}))) return;
            this.panel.unit.subject = "";
            this.ask("delete subject", {name});
        }

        /* Replace the subject in the unit with its pictures, to edit them or give them regions. */
        async take() {
            const {pictures, message} = await this.panel.server.answerTo("read subject", {name: this.chosen.name});
            if (!pictures) return this.refuse({message});
            const images = pictures.map(({note, ...picture}) => picture);
            this.panel.replace(
                {...this.panel.unit, subject: "", images},
                say("The subject was replaced with its pictures."),
            );
        }

        async export() {
            const {name, zip, message} = await this.panel.server.answerTo("export subject", {name: this.chosen.name});
            if (!zip) return this.refuse({message});
            const bytes = Uint8Array.from(atob(zip), (character) => character.charCodeAt(0));
            const href = URL.createObjectURL(new Blob([bytes], {type: "application/zip"}));
            element("a", {href, download: `${name}.zip`}).click();
            setTimeout(() => URL.revokeObjectURL(href), 60000); // enough for the browser to save it
        }

        async import(file) {
            this.panel.server.work("import subject", {zip: await ipAdapter.readAsUrl(file)});
        }
    };
})();

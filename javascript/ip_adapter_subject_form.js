/* A dialog to edit a subject: its name and notes, and each picture's weight, crop and note. */

(() => {
    const {element, say, sign} = ipAdapter;

    ipAdapter.SubjectForm = class {
        constructor(panel, {name, notes, pictures}) {
            this.panel = panel;
            this.pictures = pictures.map((picture) => ({...picture}));
            this.name = element("input", {
                type: "text",
                required: true,
                value: name,
                ariaLabel: say("Subject name"),
                oninput: () => this.nameIt(),
            });
            this.notes = element("textarea", {rows: 2, value: notes, ariaLabel: say("Subject notes")});
            this.list = element("div", {className: "ipadapter-rows"});
        }

        /* Let the user edit it; return what to save, or null. `fault` is the error of an earlier attempt. */
        async open(title, fault = "") {
            const drop = async (event) => {
                event.preventDefault();
                await this.add(await ipAdapter.filesOf(event.dataTransfer));
            };
            this.dialog = new ipAdapter.Dialog(
                title,
                say("Save"),
                fault,
                {ondrop: drop, onpaste: (event) => this.add([...event.clipboardData.files])},
                element("label", {className: "ipadapter-field"}, element("span", {}, say("Name")), this.name),
                element("label", {className: "ipadapter-field"}, element("span", {}, say("Notes")), this.notes),
                this.list,
            );
            this.dialog.hint.classList.add("wrong"); // it starts with an error or nothing
            this.draw();
            this.mark();
            if (!(await this.dialog.open(this.panel.root))) return null;
            return {name: this.name.value.trim(), notes: this.notes.value.trim(), pictures: this.pictures};
        }

        /* Update the label of the confirm button. */
        mark() {
            this.dialog.use.textContent = this.panel.subjects.named(this.name.value.trim())
                ? say("Replace")
                : say("Save");
        }

        /* Say if there is a folder of the entered name, whose pictures will be added. */
        nameIt() {
            const folder = this.panel.subjects.folder(this.name.value.trim());
            this.dialog.hint.classList.toggle("wrong", !folder);
            this.dialog.show(
                folder
                    ? say("A folder named {name} already exists. Its pictures ({n}) will be added to the subject.", {
                          name: folder.name,
                          n: folder.pictures,
                      })
                    : "",
            );
            this.mark();
        }

        draw() {
            const input = element("input", {
                type: "file",
                accept: "image/*",
                multiple: true,
                ariaLabel: say("Add pictures"),
                onchange: () => this.add([...input.files]),
            });
            const add = element("label", {className: "ipadapter-add"}, say("Drop, paste or choose pictures"), input);
            this.list.replaceChildren(...this.pictures.map((picture, index) => this.drawRow(picture, index + 1)), add);
            this.dialog.use.disabled = this.pictures.length === 0;
        }

        drawRow(picture, n) {
            const note = element("input", {
                type: "text",
                value: picture.note || "",
                placeholder: say("Note"),
                ariaLabel: say("Note for picture {n}", {n}),
                oninput: () => (picture.note = note.value),
            });
            return element(
                "div",
                {className: "ipadapter-pictured"},
                element("img", {src: picture.image, alt: say("Picture {n}", {n})}),
                element(
                    "div",
                    {className: "ipadapter-row"},
                    note,
                    ipAdapter.weightOf(
                        picture,
                        say("Weight of picture {n}", {n}),
                        () => {},
                        (text) => this.dialog.show(text),
                    ),
                    ipAdapter.cropOf(
                        picture,
                        this.panel.state.control("crop").options,
                        say("Crop of picture {n}", {n}),
                        () => {},
                    ),
                    sign("×", say("Remove picture {n}", {n}), () => this.remove(n - 1)),
                ),
            );
        }

        remove(index) {
            this.pictures.splice(index, 1);
            this.draw();
        }

        async add(files) {
            if (files.length === 0) return;
            await this.panel.intake.addTo(this, "pictures", files);
            this.dialog.show(this.panel.message.text);
            this.draw();
        }
    };
})();

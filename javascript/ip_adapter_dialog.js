/* A modal dialog: a title, its content, and buttons to confirm and to cancel. Keys, drops and pastes inside must not
   reach the web UI, which would act on them. */

(() => {
    const {element, say, button} = ipAdapter;

    ipAdapter.Dialog = class {
        /* `use` is the label of the confirm button, `hint` the text next to it. */
        constructor(title, use, hint, attributes, ...parts) {
            this.use = element("button", {type: "submit", value: "use", className: "ipadapter-button primary"}, use);
            this.hint = element("span", {className: "ipadapter-note", role: "status"}, hint);
            this.title = element("h3", {}, title);
            this.cancel = button(say("Cancel"), () => this.root.close());
            this.root = element(
                "dialog",
                {className: "ipadapter-dialog", ariaLabel: title},
                element(
                    "form",
                    {method: "dialog"},
                    this.title,
                    ...parts,
                    element("div", {className: "ipadapter-end"}, this.hint, this.cancel, this.use),
                ),
            );
            const own = {
                onkeydown: () => {},
                ondrop: (event) => event.preventDefault(),
                onpaste: () => {},
                ...attributes,
            };
            for (const [name, act] of Object.entries(own)) {
                this.root.addEventListener(name.slice(2), (event) => {
                    event.stopPropagation();
                    act(event);
                });
            }
            this.root.addEventListener("dragover", (event) => event.preventDefault());
        }

        show(text) {
            this.hint.textContent = text;
        }

        /* Show the dialog; return whether the user confirmed it. */
        open(parent) {
            parent.append(this.root);
            this.root.showModal();
            return new Promise((resolve) => {
                this.root.addEventListener("close", () => {
                    this.root.remove();
                    resolve(this.root.returnValue === "use");
                });
            });
        }
    };
})();

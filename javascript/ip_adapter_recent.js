/* The strip of references used last, folded to one line. A click adds one to the open unit. */

(() => {
    const {element, say, button} = ipAdapter;
    const STEPS = {ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1, Home: -Infinity, End: Infinity};

    ipAdapter.Recent = class {
        constructor(panel) {
            this.panel = panel;
            this.isOpen = false;
            this.root = element("div", {className: "ipadapter-recent", hidden: true});
            ipAdapter.recent.changed.add(() => this.draw());
            ipAdapter.recent.read();
        }

        draw() {
            const {all} = ipAdapter.recent;
            this.root.hidden = all.length === 0;
            this.root.classList.toggle("open", this.isOpen);
            this.root.replaceChildren(
                element("span", {}, say("Recent")),
                this.drawPictures(all),
                ipAdapter.iconButton(
                    this.isOpen ? "up" : "down",
                    say("Show all recent references"),
                    () => this.fold(),
                    {
                        ariaExpanded: String(this.isOpen),
                    },
                ),
                ...(this.isOpen ? [this.drawNote()] : []),
            );
            return this.root;
        }

        /* One stop for the Tab key; arrow keys go from picture to picture. */
        drawPictures(all) {
            const pictures = all.map((entry, index) => {
                const title = say("Add {name}", {name: entry.name || say("picture {n}", {n: index + 1})});
                return button(element("img", {src: entry.thumbnail, alt: ""}), () => this.use(entry), {
                    className: "ipadapter-recall",
                    title,
                    ariaLabel: title,
                    tabIndex: index === 0 ? 0 : -1,
                });
            });
            const go = (event) => {
                const step = STEPS[event.key];
                if (!step) return;
                event.preventDefault();
                const at = pictures.indexOf(event.target) + step;
                pictures[Math.min(pictures.length - 1, Math.max(0, at))].focus();
            };
            return element(
                "div",
                {
                    className: "ipadapter-recents",
                    role: "toolbar",
                    ariaLabel: say("Recent references"),
                    onkeydown: go,
                },
                ...pictures,
            );
        }

        drawNote() {
            return element(
                "div",
                {className: "ipadapter-row"},
                element("span", {className: "ipadapter-note"}, say("Kept in this browser only.")),
                button(say("Clear"), () => ipAdapter.recent.clear(), {title: say("Forget all recent references")}),
            );
        }

        fold() {
            this.isOpen = !this.isOpen;
            this.draw();
            this.root.querySelector("[aria-expanded]").focus();
        }

        /* Add a picture to the open unit again, as the same file. */
        async use({blob, name}) {
            await this.panel.intake.add("images", [new File([blob], name, {type: blob.type})]);
        }
    };
})();

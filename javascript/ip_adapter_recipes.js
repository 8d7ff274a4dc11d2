/* Recipes: a unit's settings as one file, which is downloaded, and taken by a button or by dropping it on the unit. */

(() => {
    const {element, say, button} = ipAdapter;
    const TYPE = "application/json";
    const OWN = ["images", "composition_images", "negative_images", "mask", "subject", "embeds"]; // stay if a recipe has none

    function isDragged(transfer) {
        return [...transfer.items].some(({kind, type}) => kind === "file" && type === TYPE);
    }

    function isRecipe({name, type}) {
        return type === TYPE || name.toLowerCase().endsWith(".json");
    }

    ipAdapter.Recipes = class {
        constructor(panel) {
            this.panel = panel;
            panel.root.addEventListener("dragover", (event) => this.over(event), {capture: true});
            panel.root.addEventListener("dragleave", () => this.mark(false), {capture: true});
            panel.root.addEventListener("drop", (event) => this.drop(event), {capture: true});
        }

        get isOffered() {
            return this.panel.files.offers("take recipe");
        }

        draw() {
            if (!this.isOffered) return null;
            const title = say("Download these settings as a file for others");
            return element(
                "div",
                {className: "ipadapter-row ipadapter-recipes"},
                button(say("Save as recipe…"), () => this.name(), {title}),
                ...this.drawTake(),
            );
        }

        drawTake() {
            if (!this.isOffered) return [];
            const input = element("input", {
                type: "file",
                accept: `.json,${TYPE}`,
                ariaLabel: say("Take a recipe…"),
                onchange: () => {
                    if (input.files.length) this.take(input.files[0]);
                    input.value = "";
                },
            });
            return [element("label", {className: "ipadapter-button ipadapter-file"}, say("Take a recipe…"), input)];
        }

        /* Ask for the name, and whether the pictures go with it. */
        async name() {
            const name = element("input", {type: "text", ariaLabel: say("Name of the recipe"), maxLength: 100});
            const pictures = element("input", {type: "checkbox"});
            const label = element("label", {className: "ipadapter-check"}, pictures, say("With its pictures"));
            const hint = say("Others can see pictures that are in it.");
            const parts = element(
                "div",
                {className: "ipadapter-naming"},
                element("span", {}, say("Name")),
                name,
                label,
            );
            const dialog = new ipAdapter.Dialog(say("Save as recipe"), say("Download"), hint, {}, parts);
            name.autofocus = true;
            name.required = true;
            const isConfirmed = await dialog.open(this.panel.root);
            if (isConfirmed && name.value.trim()) this.save(name.value.trim(), pictures.checked);
        }

        async save(name, pictures) {
            const {panel} = this;
            const unit = pictures ? panel.state.sent(panel.unit) : ipAdapter.lightCopy(panel.state.sent(panel.unit));
            const {file, text, message} = await panel.server.answerTo("save recipe", {name, unit, pictures});
            if (!text) return panel.message.show(message, true);
            const href = URL.createObjectURL(new Blob([text], {type: TYPE}));
            element("a", {href, download: file}).click();
            setTimeout(() => URL.revokeObjectURL(href), 1000);
            panel.message.show(say("Saved as {name}.", {name: file}));
        }

        /* Set the open unit up as a recipe says. */
        async take(file) {
            const {panel} = this;
            const {current} = panel.state;
            const before = panel.unit;
            const {unit, note = "", message} = await panel.server.answerTo("take recipe", {text: await file.text()});
            if (!unit) return panel.message.show(message, true);
            const hasOwn = OWN.some((field) => field in unit);
            const kept = hasOwn ? [] : OWN.map((field) => [field, before[field]]);
            panel.open(current);
            const taken = {...panel.state.emptyUnit(), ...Object.fromEntries(kept), ...unit};
            panel.replace(taken, [say("Recipe taken."), note].filter(Boolean).join(" "));
            panel.state.strength.recognise(taken);
            panel.state.expand(taken);
            panel.draw();
            panel.tickItself();
        }

        mark(isOver) {
            this.panel.view.body.classList.toggle("recipe-over", isOver);
        }

        over(event) {
            const isOver = this.isOffered && isDragged(event.dataTransfer);
            this.mark(isOver);
            if (!isOver) return;
            event.preventDefault();
            event.stopPropagation();
        }

        drop(event) {
            this.mark(false);
            const [file] = event.dataTransfer.files;
            if (!file || !isRecipe(file) || !this.isOffered) return;
            event.preventDefault();
            event.stopPropagation();
            this.take(file);
        }
    };
})();

/* Layout of the open unit, in the order in which people work: references, purpose, strength, adapter, and the rest folded.
   An empty unit is a place for pictures. */

(() => {
    const {element, say, button} = ipAdapter;
    const KEPT = "Presets and copies"; // the last group, which has no fields
    const TYPING = 1000; // milliseconds in which a browser adds the next letter to those typed in a menu

    /* A section's name, with a text beside it, and what acts on the section at the end of the line. */
    ipAdapter.heading = (name, text = null, end = null) =>
        element("div", {className: "ipadapter-head"}, element("span", {}, name), text || element("small"), end);

    ipAdapter.View = class {
        constructor(panel) {
            this.panel = panel;
            this.opened = new Set(Object.keys(panel.spec.notes)); // notes must be visible from the start
            this.folds = [];
            this.released = Promise.resolve(); // resolved when no mouse button is held on the view
            this.body = element("div", {
                className: "ipadapter-body",
                id: `ipadapter_${panel.tab}_unit`,
                role: "tabpanel",
            });
            this.body.addEventListener("pointerdown", (event) => this.hold(event));
            this.body.addEventListener("keydown", (event) => this.noteTyping(event));
            panel.root.append(panel.downloadLine.root, panel.tabs.root, this.body);
        }

        /* Keep what is drawn until the mouse button is released: a click needs the same element at both ends. */
        hold(event) {
            if (event.button !== 0 || event.target.closest("select")) return; // releasing the button on a menu sends no event
            this.released = new Promise((resolve) => {
                const release = () => setTimeout(resolve); // after the click
                for (const end of ["pointerup", "pointercancel"])
                    addEventListener(end, release, {capture: true, once: true});
            });
        }

        /* Letters typed in a closed menu choose an option, and a browser forgets them if the menu leaves the page. */
        noteTyping({key, target}) {
            if (target.matches("select") && key.length === 1) this.typed = {menu: target, until: Date.now() + TYPING};
        }

        isTypedIn() {
            return this.typed?.menu === document.activeElement && Date.now() < this.typed.until;
        }

        drawLater() {
            clearTimeout(this.later);
            this.later = setTimeout(() => this.released.then(() => this.draw()), this.typed.until - Date.now());
        }

        /* Draw the open unit. */
        draw() {
            if (this.isTypedIn()) return this.drawLater();
            clearTimeout(this.later);
            const {state, unit} = this.panel;
            this.noteFolds();
            this.body.setAttribute("aria-label", say("Unit {n}", {n: state.current + 1}));
            this.isEmpty = state.isEmpty(unit);
            this.folds = [];
            ipAdapter.keepFocus(this.body, () => {
                this.body.replaceChildren(...(this.isEmpty ? this.drawEmpty() : this.drawWhole()));
            });
            this.mark();
        }

        /* Remember which groups are open; their toggle event comes too late if they are redrawn at once. */
        noteFolds() {
            for (const {group, fold} of this.folds) fold.open ? this.opened.add(group) : this.opened.delete(group);
        }

        /* A place for pictures, and where else references come from. */
        drawEmpty() {
            const {panel} = this;
            return [
                element(
                    "div",
                    {className: "ipadapter-left"},
                    new ipAdapter.Strip(panel, "images").draw(),
                    panel.message.root,
                    element(
                        "div",
                        {className: "ipadapter-row"},
                        element("span", {className: "ipadapter-note"}, say("Drop a picture to begin.")),
                        this.drawMore(),
                        ...panel.presets.drawCopy(),
                        ...panel.recipes.drawTake(),
                    ),
                    ipAdapter.drawLack(panel),
                ),
            ];
        }

        drawMore() {
            const text = say("Use a subject or saved reference…");
            return button(text, () => this.openWhole(), {ariaLabel: text}); // keeps the focus when it is drawn again
        }

        /* Show everything of an empty unit, with the group for references by name open. */
        openWhole() {
            this.panel.state.expand(this.panel.unit);
            this.opened.add("References");
            this.panel.draw();
            this.folds
                .find(({group}) => group === "References")
                ?.fold.querySelector("summary")
                .focus();
        }

        drawWhole() {
            const {panel} = this;
            return [
                element(
                    "div",
                    {className: "ipadapter-main"},
                    element(
                        "div",
                        {className: "ipadapter-left"},
                        new ipAdapter.Strip(panel, "images").draw(),
                        panel.message.root,
                        ...panel.checking.draw(),
                        ...panel.keypoints.draw(),
                    ),
                    element(
                        "div",
                        {className: "ipadapter-right"},
                        panel.purposes.draw(),
                        panel.strengthSlider.draw(),
                        ipAdapter.drawAdapters(panel),
                    ),
                ),
                ...panel.trying.draw(),
                element("div", {className: "ipadapter-folds"}, ...this.drawGroups()),
            ];
        }

        drawGroups() {
            const {spec, state, plot, presets, stepsBar} = this.panel;
            const before = {Steps: [stepsBar.draw()], "Layers and weight types": [plot.root]};
            const groups = spec.groups.filter((group) => state.controlsOf(group).length);
            const folds = groups.map((group) => {
                const controls = state.controlsOf(group);
                return this.drawFold(group, [...(before[group] || []), this.drawFields(controls)], controls);
            });
            return [...folds, this.drawFold(KEPT, presets.draw(), [])];
        }

        drawFields(controls) {
            return element(
                "div",
                {className: "ipadapter-fields"},
                ...controls.map((control) => this.panel.controls.draw(control)),
            );
        }

        /* Mark the purpose, the strength, the steps and the groups whose settings are in use. */
        mark() {
            if (this.isEmpty) return;
            const {purposes, strengthSlider, stepsBar, presets, trying, state} = this.panel;
            for (const part of [purposes, strengthSlider, stepsBar, presets, trying]) part.mark();
            for (const {fold, controls} of this.folds)
                fold.classList.toggle(
                    "used",
                    controls.some((control) => state.isChanged(control)),
                );
        }

        /* A collapsible group, which is marked if one of its controls is set. */
        drawFold(group, parts, controls) {
            const note = this.panel.spec.notes[group];
            const fold = element(
                "details",
                {className: "ipadapter-group", open: this.opened.has(group)},
                element("summary", {}, say(group)),
                ...ipAdapter.drawGroupHelp(this.panel, group),
                note ? element("p", {className: "ipadapter-note"}, say(note)) : null,
                ...parts,
            );
            this.folds.push({group, fold, controls});
            return fold;
        }
    };
})();

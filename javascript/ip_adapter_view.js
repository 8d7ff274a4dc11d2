/* Layout of the open unit: references on the left, settings on the right. */

(() => {
    const {element, say} = ipAdapter;

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

        /* Draw the open unit; the element with the focused one's label gets the focus. */
        draw() {
            this.noteFolds();
            this.body.setAttribute("aria-label", say("Unit {n}", {n: this.panel.state.current + 1}));
            const held =
                this.body.contains(document.activeElement) && document.activeElement.getAttribute("aria-label");
            this.body.replaceChildren(this.drawLeft(), this.drawRight());
            this.mark();
            const again = held && this.body.querySelector(`[aria-label="${CSS.escape(held)}"]`);
            if (again) again.focus({preventScroll: true});
        }

        /* Remember which groups are open; their toggle event comes too late if they are redrawn at once. */
        noteFolds() {
            for (const {group, fold} of this.folds) fold.open ? this.opened.add(group) : this.opened.delete(group);
        }

        drawLeft() {
            return element(
                "div",
                {className: "ipadapter-left"},
                new ipAdapter.Strip(this.panel, "images").draw(),
                this.panel.message.root,
                ...this.panel.checking.draw(),
                ...this.panel.keypoints.draw(),
                this.panel.plot.root,
            );
        }

        drawRight() {
            const enabled = element("input", {
                type: "checkbox",
                checked: this.panel.unit.enabled,
                onchange: () => this.panel.set("enabled", enabled.checked),
            });
            const groups = this.panel.spec.groups.filter((group) => this.panel.state.controlsOf(group).length);
            this.folds = [];
            return element(
                "div",
                {className: "ipadapter-right"},
                element("label", {className: "ipadapter-check"}, enabled, say("Enable this unit")),
                this.panel.presets.draw(),
                ipAdapter.drawAdapters(this.panel),
                this.drawFields(this.panel.state.controlsOf("")),
                ...groups.map((group) => this.drawGroup(group)),
            );
        }

        drawFields(controls) {
            return element(
                "div",
                {className: "ipadapter-fields"},
                ...controls.map((control) => this.panel.controls.draw(control)),
            );
        }

        /* Mark the purpose and the groups whose settings are in use. */
        mark() {
            this.panel.presets.mark();
            for (const {fold, controls} of this.folds)
                fold.classList.toggle(
                    "used",
                    controls.some((control) => this.panel.state.isChanged(control)),
                );
        }

        /* A collapsible group of controls, which is marked if one of them is set. */
        drawGroup(group) {
            const controls = this.panel.state.controlsOf(group);
            const note = this.panel.spec.notes[group];
            const fold = element(
                "details",
                {className: "ipadapter-group", open: this.opened.has(group)},
                element("summary", {}, say(group)),
                note ? element("p", {className: "ipadapter-note"}, say(note)) : null,
                this.drawFields(controls),
            );
            this.folds.push({group, fold, controls});
            return fold;
        }
    };
})();

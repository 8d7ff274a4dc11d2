/* The purpose of a unit's references: a button for each, which sets what suits it, and the user's own presets. */

(() => {
    const {element, say, button} = ipAdapter;

    ipAdapter.Purposes = class {
        constructor(panel) {
            this.panel = panel;
        }

        draw() {
            const {spec, unit, presets, state} = this.panel;
            this.names = state.strength.offered;
            this.chips = this.names.map((name) => {
                const title = say(spec.intents[name].help);
                return button(say(name), () => this.take(name), {className: "ipadapter-chip", title});
            });
            const enabled = element("input", {
                type: "checkbox",
                checked: unit.enabled,
                onchange: () => this.panel.set("enabled", enabled.checked),
            });
            const check = element("label", {className: "ipadapter-check"}, enabled, say("Enable this unit"));
            const label = say("Purpose of the references");
            this.mark();
            return element(
                "div",
                {className: "ipadapter-section"},
                ipAdapter.heading(say("Purpose"), null, check),
                element(
                    "div",
                    {className: "ipadapter-row"},
                    element("div", {className: "ipadapter-chips", role: "group", ariaLabel: label}, ...this.chips),
                    ...presets.drawOwn(),
                ),
            );
        }

        /* Highlight the purpose whose settings the unit has. */
        mark() {
            const current = this.panel.state.strength.purposeOf(this.panel.unit);
            this.names.forEach((name, index) =>
                this.chips[index].setAttribute("aria-pressed", String(name === current)),
            );
        }

        /* Return the unit set up for a purpose, with the best adapter for it unless the user has chosen one. */
        unitFor(name) {
            const {state, files, unit: before} = this.panel;
            const unit = {...before, ...state.strength.settingsFor(name)};
            if (!state.isChosen(before)) state.suggest(unit, files.best(name) || before.model);
            state.strength.choose(unit, name, before);
            return unit;
        }

        take(name) {
            this.panel.replace(this.unitFor(name), say("Settings applied."));
        }
    };
})();

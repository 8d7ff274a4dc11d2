/* The user's presets, copies of other units, and the reset. */

(() => {
    const {element, say, button, choice, option} = ipAdapter;

    ipAdapter.Presets = class {
        constructor(panel) {
            this.panel = panel;
        }

        /* What keeps and brings settings, for a group of its own. */
        draw() {
            this.forNew = button(say("Use for new units"), () => this.saveAs(ipAdapter.FOR_NEW_UNITS, this.settings), {
                title: say("New units and Reset begin with these settings, kept as the preset Default"),
            });
            this.remove = button(say("Delete preset"), () => this.delete(this.current));
            return [
                element(
                    "div",
                    {className: "ipadapter-row"},
                    button(say("Save as preset…"), () => this.save(), {
                        title: say("Save these settings and the adapter under a name, without the pictures"),
                    }),
                    this.forNew,
                    this.remove,
                    ...this.drawCopy(),
                    button(say("Reset"), () => this.reset()),
                ),
                this.panel.recipes.draw(),
                ...this.drawDamaged(),
            ];
        }

        /* Return the unit with a preset's settings; its pictures stay, and so does its adapter if the preset names
           none. */
        with(values) {
            const {spec, state} = this.panel;
            const reset = Object.fromEntries(spec.settings.map((name) => [name, state.defaults[name]]));
            return {...this.panel.unit, ...reset, ...values};
        }

        /* Return whether the unit has exactly these settings. */
        isIn(values) {
            const {state, spec, unit} = this.panel;
            const [expected, sent] = [this.with(values), unit].map((each) => state.sent(each));
            return ["model", ...spec.settings].every((name) => expected[name] === sent[name]);
        }

        /* The user's preset whose settings the unit has, or "". */
        get current() {
            const {presets} = this.panel.files;
            return this.names.find((name) => this.isIn(presets[name])) || "";
        }

        get names() {
            return Object.keys(this.panel.files.presets).sort();
        }

        /* Offer the settings for new units if these have others, and the deletion of the unit's preset. */
        mark() {
            this.forNew.disabled = this.isIn(this.panel.state.newSettings);
            this.remove.hidden = this.current === "";
        }

        /* Apply the settings of a preset. */
        take(values, text = say("Settings applied.")) {
            const {state, unit: before} = this.panel;
            const unit = this.with(values);
            if (!state.isChosen(before) && unit.model === before.model) state.suggest(unit, before.model);
            this.panel.replace(unit, text);
        }

        /* Apply a preset of the user's, and say what this version cannot apply of it. */
        takeOwn(name) {
            const {presets, partial_presets: unknown} = this.panel.files;
            const text =
                name in unknown &&
                say("Settings applied, except those of a later version: {names}.", {names: unknown[name].join(", ")});
            this.take(presets[name], text || undefined);
        }

        /* The menu of the user's presets, if there are any. */
        drawOwn() {
            if (this.names.length === 0) return [];
            const options = [option("", say("My presets")), ...this.names.map((name) => option(name, name))];
            const select = choice(options, this.current, {
                ariaLabel: say("My presets"),
                onchange: () => select.value && this.takeOwn(select.value),
            });
            return [select];
        }

        /* Presets that cannot be used, each with the reason and a button that deletes it. */
        drawDamaged() {
            return Object.entries(this.panel.files.damaged_presets).map(([name, why]) =>
                element(
                    "p",
                    {className: "ipadapter-note wrong"},
                    say("The preset {name} cannot be used: {why} If a newer version saved it, update the extension.", {
                        name,
                        why,
                    }),
                    " ",
                    button(say("Delete preset"), () => this.delete(name), {
                        ariaLabel: say("Delete preset {name}", {name}),
                    }),
                ),
            );
        }

        get settings() {
            const {spec, unit} = this.panel;
            return Object.fromEntries(spec.settings.map((setting) => [setting, unit[setting]]));
        }

        save() {
            const name = (prompt(say("Preset name")) || "").trim();
            if (name) this.saveAs(name, {model: this.panel.unit.model, ...this.settings});
        }

        saveAs(name, unit) {
            const overwrite = name in this.panel.files.presets;
            if (overwrite && !confirm(say("Replace the preset {name}?", {name}))) return;
            this.panel.server.ask("save preset", {name, unit, overwrite});
        }

        delete(name) {
            if (confirm(say("Delete the preset {name}?", {name}))) this.panel.server.ask("delete preset", {name});
        }

        /* Units of both tabs that are not empty, except the open one. */
        others() {
            return Object.values(ipAdapter.panels)
                .flatMap((panel) =>
                    panel.state.all.map((unit, index) => ({
                        panel,
                        unit,
                        key: `${panel.tab} ${index + 1}`,
                        here: panel === this.panel && index === panel.state.current,
                    })),
                )
                .filter(({panel, unit, here}) => !here && panel.state.isFilled(unit));
        }

        drawCopy() {
            const others = this.others();
            if (others.length === 0) return [];
            const options = others.map(({panel, unit, key}) =>
                option(key, `${key}: ${ipAdapter.summaryOf(unit, panel.state)}`),
            );
            const select = choice([option("", say("Copy from…")), ...options], "", {
                ariaLabel: say("Copy from another unit"),
                onchange: () => {
                    const chosen = others.find(({key}) => key === select.value);
                    if (chosen) this.panel.replace(structuredClone(chosen.unit), say("Unit copied."));
                },
            });
            return [select];
        }

        reset() {
            this.panel.replace(this.panel.state.newUnit(), say("Unit reset."));
        }
    };
})();

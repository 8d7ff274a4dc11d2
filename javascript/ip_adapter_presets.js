/* Settings for a purpose in one click, the user's presets, copies of other units, and the reset. */

(() => {
    const {element, say, button, choice, option} = ipAdapter;

    ipAdapter.Presets = class {
        constructor(panel) {
            this.panel = panel;
        }

        draw() {
            const {spec, files} = this.panel;
            this.chips = Object.entries(spec.intents).map(([name, {values, help}]) =>
                button(say(name), () => this.take(values, files.best(name)), {
                    className: "ipadapter-chip",
                    title: say(help),
                }),
            );
            this.forNew = button(say("Use for new units"), () => this.saveAs(ipAdapter.FOR_NEW_UNITS, this.settings), {
                title: say("New units and Reset begin with these settings, kept as the preset Default"),
            });
            this.mark();
            return element(
                "div",
                {className: "ipadapter-presets"},
                element(
                    "div",
                    {className: "ipadapter-chips", role: "group", ariaLabel: say("Purpose of the references")},
                    ...this.chips,
                ),
                element(
                    "div",
                    {className: "ipadapter-row"},
                    ...this.drawOwn(),
                    ...this.drawCopy(),
                    button(say("Reset"), () => this.reset()),
                ),
                ...this.drawDamaged(),
            );
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

        /* Highlight the purpose whose settings the unit has, and offer its settings if new units have others. */
        mark() {
            this.forNew.disabled = this.isIn(this.panel.files.newSettings);
            Object.values(this.panel.spec.intents).forEach(({values}, index) =>
                this.chips[index].setAttribute("aria-pressed", String(this.isIn(values))),
            );
        }

        /* Apply settings, with `model` as the adapter unless the user has chosen one. */
        take(values, model = "") {
            const {state, unit: before} = this.panel;
            const unit = this.with(values);
            if (!state.isChosen(before) && unit.model === before.model) state.suggest(unit, model || before.model);
            this.panel.replace(unit, say("Settings applied."));
        }

        drawOwn() {
            const {presets} = this.panel.files;
            const names = Object.keys(presets).sort();
            const current = names.find((name) => this.isIn(presets[name])) || "";
            const options = [option("", say("My presets")), ...names.map((name) => option(name, name))];
            const select = choice(options, current, {
                ariaLabel: say("My presets"),
                onchange: () => select.value && this.take(presets[select.value]),
            });
            return [
                ...(names.length ? [select] : []),
                button(say("Save as preset…"), () => this.save(), {
                    title: say("Save these settings and the adapter under a name, without the pictures"),
                }),
                this.forNew,
                ...(current ? [button(say("Delete preset"), () => this.delete(current))] : []),
            ];
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

/* Settings for a purpose by one click, a person's own settings by name, copies of other units, and the way back. */

(() => {
    const {element, say, button, choice, option} = ipAdapter;

    ipAdapter.Presets = class {
        constructor(panel) {
            this.panel = panel;
        }

        draw() {
            const {intents} = this.panel.spec;
            this.chips = Object.entries(intents).map(([name, {values, families, help}]) =>
                button(say(name), () => this.take(values, families), {className: "ipadapter-chip", title: say(help)}),
            );
            this.mark();
            return element(
                "div",
                {className: "ipadapter-presets"},
                element(
                    "div",
                    {className: "ipadapter-chips", role: "group", ariaLabel: say("What the references are for")},
                    ...this.chips,
                ),
                element(
                    "div",
                    {className: "ipadapter-row"},
                    ...this.drawOwn(),
                    ...this.drawCopy(),
                    button(say("Reset"), () => this.reset()),
                ),
            );
        }

        /* What a preset leaves of the unit: its pictures, and its adapter where it names none. */
        with(values) {
            const {settings} = this.panel.spec;
            const defaults = this.panel.emptyUnit();
            const reset = Object.fromEntries(settings.map((name) => [name, defaults[name]]));
            return {...this.panel.unit, ...reset, ...structuredClone(values)};
        }

        /* Tell whether the unit has just these settings. */
        isIn(values) {
            const expected = this.with(values);
            return ["model", ...this.panel.spec.settings].every(
                (name) => JSON.stringify(expected[name]) === JSON.stringify(this.panel.unit[name]),
            );
        }

        /* Show which purpose's settings the unit has. */
        mark() {
            Object.values(this.panel.spec.intents).forEach(({values}, index) =>
                this.chips[index].setAttribute("aria-pressed", String(this.isIn(values))),
            );
        }

        /* Take settings; where no adapter is chosen, the first that suits them and can run. */
        take(values, families = []) {
            const unit = this.with(values);
            const ready = (this.panel.files.models || []).filter((model) => !model.reason && !model.missing);
            const suited = families.flatMap((family) => ready.filter((model) => model.family === family));
            if (!unit.model && suited.length) unit.model = suited[0].name;
            this.panel.replace(unit, say("These settings are set."));
        }

        drawOwn() {
            const {presets} = this.panel.files;
            const names = Object.keys(presets).sort();
            const current = names.find((name) => this.isIn(presets[name])) || "";
            const options = [option("", say("Own presets")), ...names.map((name) => option(name, name))];
            const select = choice(options, current, {
                ariaLabel: say("Own presets"),
                onchange: () => select.value && this.take(presets[select.value]),
            });
            return [
                ...(names.length ? [select] : []),
                button(say("Save as preset…"), () => this.save(), {
                    title: say("Keep these settings and the adapter under a name, without the pictures"),
                }),
                ...(current ? [button(say("Delete preset"), () => this.delete(current))] : []),
            ];
        }

        save() {
            const name = (prompt(say("Name of the preset")) || "").trim();
            if (!name) return;
            const overwrite = name in this.panel.files.presets;
            if (overwrite && !confirm(say("Replace the preset {name}?", {name}))) return;
            const {model, ...unit} = this.panel.unit;
            const settings = Object.fromEntries(this.panel.spec.settings.map((setting) => [setting, unit[setting]]));
            this.panel.ask("save preset", {name, unit: {model, ...settings}, overwrite});
        }

        delete(name) {
            if (confirm(say("Delete the preset {name}?", {name}))) this.panel.ask("delete preset", {name});
        }

        /* Units of both tabs that have something, by a key and a name. */
        others() {
            return Object.values(ipAdapter.panels)
                .flatMap((panel) =>
                    panel.units.map((unit, index) => ({
                        panel,
                        unit,
                        key: `${panel.tab} ${index + 1}`,
                        here: panel === this.panel && index === panel.current,
                    })),
                )
                .filter(({panel, unit, here}) => !here && panel.isFilled(unit));
        }

        drawCopy() {
            const others = this.others();
            if (others.length === 0) return [];
            const options = others.map(({panel, unit, key}) => option(key, `${key}: ${panel.summary(unit)}`));
            const select = choice([option("", say("Copy from…")), ...options], "", {
                ariaLabel: say("Copy from another unit"),
                onchange: () => {
                    const chosen = others.find(({key}) => key === select.value);
                    if (chosen) this.panel.replace(structuredClone(chosen.unit), say("The unit is copied."));
                },
            });
            return [select];
        }

        reset() {
            this.panel.replace(this.panel.emptyUnit(), say("The unit is empty again."));
        }
    };
})();

/* The choice of an adapter: those that fit the loaded checkpoint by kind, and below them the others, with the reason. */

(() => {
    const {element, say, sign, choice, option} = ipAdapter;

    function group(label, models) {
        const options = models.map((model) => {
            const text = model.reason
                ? `${model.name} (${say(model.short)})`
                : model.missing
                  ? `⚠ ${model.name}`
                  : model.name;
            return option(model.name, text, {disabled: Boolean(model.reason), title: model.reason || model.note});
        });
        return options.length ? [element("optgroup", {label}, ...options)] : [];
    }

    function groups(models) {
        const fitting = models.filter((model) => !model.reason);
        const kinds = [...new Set(fitting.map((model) => model.title))].sort((one, other) => one.localeCompare(other));
        return [
            ...kinds.flatMap((kind) =>
                group(
                    kind[0].toUpperCase() + kind.slice(1),
                    fitting.filter((model) => model.title === kind),
                ),
            ),
            ...group(
                say("Do not fit"),
                models.filter((model) => model.reason),
            ),
        ];
    }

    ipAdapter.drawAdapters = (panel) => {
        const {models} = panel.files;
        const current = panel.unit.model;
        const options = [
            option("", models ? say("Choose an adapter") : say("Looking for adapters…")),
            ...groups(models || []),
        ];
        if (current && !panel.modelOf(panel.unit)) options.push(option(current, current));
        const select = choice(options, current, {
            ariaLabel: say("Adapter"),
            onchange: () => {
                panel.unit.model = select.value;
                panel.draw();
            },
        });
        const refresh = sign("↻", say("Look for files again"), () => panel.look("rescan"));
        refresh.setAttribute("aria-label", say("Refresh"));
        const chosen = panel.modelOf(panel.unit);
        const none =
            models && models.length === 0
                ? say("No adapter was found. Put one into models/ipadapter and refresh.")
                : "";
        const lacking = chosen && (chosen.reason || chosen.missing);
        return element(
            "div",
            {className: "ipadapter-field"},
            element("span", {}, say("Adapter")),
            element("div", {className: "ipadapter-row"}, select, refresh),
            element(
                "p",
                {className: `ipadapter-note${lacking ? " wrong" : ""}`},
                chosen ? chosen.reason || chosen.note : none,
            ),
        );
    };
})();

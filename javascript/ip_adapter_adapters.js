/* The adapter menu: those that fit the loaded checkpoint by kind, then the others, with the reason why they do not. */

(() => {
    const {element, say, button, sign, choice, option} = ipAdapter;

    /* Return a text with the file's name in front, if the menu shows a different name. */
    function withFile({name}, title, text) {
        return title === name ? text : [name, text].filter(Boolean).join(": ");
    }

    function drawOption(files, model) {
        const name = files.titleOf(model);
        const warned = model.missing ? `⚠ ${name}` : name;
        const text = model.reason ? `${name} (${say(model.short)})` : warned;
        const title = withFile(model, name, model.reason || model.note);
        return option(model.name, text, {disabled: Boolean(model.reason), title});
    }

    function drawGroups(files, models) {
        const drawGroup = (label, members) =>
            members.length ? [element("optgroup", {label}, ...members.map((model) => drawOption(files, model)))] : [];
        const fitting = models.filter((model) => !model.reason);
        const kinds = [...new Set(fitting.map((model) => model.title))].sort((one, other) => one.localeCompare(other));
        return [
            ...kinds.flatMap((kind) =>
                drawGroup(
                    kind[0].toUpperCase() + kind.slice(1),
                    fitting.filter((model) => model.title === kind),
                ),
            ),
            ...drawGroup(
                say("Not compatible"),
                models.filter((model) => model.reason),
            ),
        ];
    }

    function drawSelect(panel) {
        const {files, unit, model} = panel;
        const first = files.isListed ? say("Choose an adapter") : say("Searching for adapters…");
        const options = [option("", first), ...drawGroups(files, files.models || [])];
        if (unit.model && !model) options.push(option(unit.model, unit.model));
        const select = choice(options, unit.model, {
            className: "ipadapter-adapters",
            ariaLabel: say("Adapter"),
            onchange: () => {
                panel.state.choose(unit, select.value);
                panel.message.clear();
                panel.draw();
            },
        });
        return select;
    }

    /* Return what to do when no adapter is chosen, or "". */
    function whatToDo({files, unit}) {
        if (!files.isListed) return "";
        const fitting = files.models.filter((model) => !model.reason);
        if (fitting.length === 0) return noneFits(files.base);
        if (unit.images.length === 0) return "";
        const isReady = fitting.some((model) => !model.missing);
        return isReady ? say("Choose an adapter to use the references.") : fitting[0].note;
    }

    function noneFits(base) {
        const what = base ? say("No adapter for {base} was found.", {base}) : say("No adapter was found.");
        return `${what} ${say("Get one here, or put one in models/ipadapter and press ↻.")}`;
    }

    function isNoneReady({isListed, models}) {
        return isListed && models.every((model) => model.reason || model.missing);
    }

    /* The button for getting adapters, which stands out if none can run. */
    function drawGet({files, getModels}) {
        if (!files.offers("catalogue")) return [];
        return [
            button(say("Get models…"), () => getModels.open(), {
                className: `ipadapter-button${isNoneReady(files) ? " primary" : ""}`,
                title: say("Get adapters, image encoders and face models"),
            }),
        ];
    }

    /* Return the note about the chosen adapter. */
    function aboutIt({model, files}) {
        return model.reason || (model.missing ? model.note : withFile(model, files.titleOf(model), model.note));
    }

    function drawNote({model, ...panel}) {
        const text = model ? aboutIt({model, ...panel}) : whatToDo(panel);
        const isWrong = model ? model.reason || model.missing : text;
        return element("p", {className: `ipadapter-note${isWrong ? " wrong" : ""}`}, text);
    }

    /* Open the menu, if the browser allows it. */
    ipAdapter.showAdapters = (panel) => {
        const select = panel.root.querySelector(".ipadapter-adapters");
        select.focus();
        if (select.showPicker) select.showPicker();
    };

    function drawRefresh({server}) {
        const refresh = sign("↻", say("Search for files again"), () => server.look("rescan"));
        refresh.setAttribute("aria-label", say("Refresh"));
        return refresh;
    }

    /* What an empty unit shows only if no adapter can run or is known: why, and the buttons that change that. */
    ipAdapter.drawLack = (panel) => {
        if (!panel.files.isUnknown && !isNoneReady(panel.files)) return null;
        const parts = [drawNote(panel), drawRefresh(panel), ...drawGet(panel)];
        return element("div", {className: "ipadapter-row"}, ...parts);
    };

    ipAdapter.drawAdapters = (panel) => {
        const {files, unit, model} = panel;
        const note = drawNote({files, unit, model});
        return element(
            "div",
            {className: "ipadapter-section ipadapter-adapter"},
            ipAdapter.heading(say("Adapter"), null, panel.readiness.line),
            element("div", {className: "ipadapter-row"}, drawSelect(panel), drawRefresh(panel), ...drawGet(panel)),
            note,
            panel.readiness.below(note),
        );
    };
})();

/* What is wrong with a unit, a line for each thing, with the button that repairs it. */

(() => {
    const {element, say, button} = ipAdapter;
    const SETTINGS_TAB = "#tab_settings"; // the web UI's own, with a tab for each section in it
    const SETTINGS = "#settings_ipadapter";

    /* A button for the adapter of this name, for another one with the same use, or for getting one. */
    function drawOther(panel, {name: model}) {
        const other = model ? panel.files.modelOf({model}) : panel.files.instead(panel.unit.model);
        if (!other) return drawGet(panel, {});
        const take = () => {
            panel.state.choose(panel.unit, other.name);
            panel.draw();
        };
        return [button(say("Use {name}", {name: panel.files.titleOf(other)}), take)];
    }

    function drawGet(panel, {files = [], title, bytes}) {
        if (!panel.files.offers("catalogue")) return [];
        const values = {title: title && say(title), size: title && ipAdapter.sizeOf(bytes)};
        const words = title ? say("Get {title} ({size})…", values) : say("Get models…");
        return [button(words, () => panel.getModels.open(files))];
    }

    /* A button that opens the settings, where the packages can be installed. */
    function drawSettings() {
        if (!gradioApp().querySelector(SETTINGS)) return [];
        const open = () => [SETTINGS_TAB, SETTINGS].forEach((tab) => ipAdapter.openTab(gradioApp().querySelector(tab)));
        return [button(say("Open the settings"), open)];
    }

    function drawSet(panel, {field, value}) {
        const control = panel.state.control(field);
        if (!control) return [];
        const set = () => {
            panel.unit[field] = value;
            panel.draw();
        };
        const values = {field: say(control.label), value: say(String(value)) || say("nothing")};
        return [button(say("Set {field} to {value}", values), set)];
    }

    const REPAIRS = {
        "choose adapter": drawOther,
        get: drawGet,
        set: drawSet,
        "install faces": drawSettings,
    };

    ipAdapter.drawFinding = (panel, {sentence, stops, field, repair}) => {
        const isEmpty = field === "images" && panel.unit.images.length === 0;
        const text = isEmpty ? say("Add a picture, or choose a subject.") : sentence;
        const className = `ipadapter-note${stops && !isEmpty ? " wrong" : ""}`;
        const buttons = (repair && REPAIRS[repair.do]?.(panel, repair)) || [];
        return element("p", {className}, text, ...buttons.flatMap((each) => [" ", each]));
    };
})();

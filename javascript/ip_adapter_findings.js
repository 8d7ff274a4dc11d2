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

    /* Show a changed setting in the web UI's own field, or else "Apply settings" there would change it back. */
    function showSetting([key, value]) {
        const field = gradioApp().querySelector(`#setting_${key} :is(textarea, input)`);
        if (!field) return;
        field.value = value;
        field.dispatchEvent(new Event("input", {bubbles: true}));
    }

    /* A button that lets ADetailer run this extension in its own generations. */
    function drawJoin(panel) {
        if (!panel.files.offers("join inner")) return [];
        const join = async () => {
            const {settings, message} = await panel.asking.ask("join inner");
            if (settings) Object.entries(settings).forEach(showSetting);
            panel.message.show(settings ? say("ADetailer's setting now includes ip_adapter.") : message, !settings);
            panel.readiness.forget();
        };
        return [button(say("Add ip_adapter to ADetailer's scripts"), join)];
    }

    function drawSet(panel, {field, value, title}) {
        const control = panel.state.control(field);
        if (!control) return [];
        const set = () => {
            panel.unit[field] = value;
            panel.draw();
        };
        const values = {field: say(control.label), value: say(String(value)) || say("nothing")};
        const words = title ? say("Use {name}", {name: title}) : say("Set {field} to {value}", values);
        return [button(words, set)];
    }

    const REPAIRS = {
        "choose adapter": drawOther,
        get: drawGet,
        set: drawSet,
        "install faces": drawSettings,
        "join inner": drawJoin,
    };

    ipAdapter.drawFinding = (panel, {sentence, stops, field, repair}) => {
        const isEmpty = field === "images" && panel.unit.images.length === 0;
        const text = isEmpty ? say("Add a picture, or choose a subject.") : sentence;
        const className = `ipadapter-note${stops && !isEmpty ? " wrong" : ""}`;
        const buttons = (repair && REPAIRS[repair.do]?.(panel, repair)) || [];
        return element("p", {className}, text, ...buttons.flatMap((each) => [" ", each]));
    };
})();

/* Sets a ControlNet unit on the page up for InstantID: its model, no preprocessor, and its authors' weight. */

(() => {
    const {until} = ipAdapter;
    const WEIGHT = 0.8; // InstantID's README, controlnet_conditioning_scale
    const PAUSE = 400; // milliseconds between two looks for a model in a list that is being refreshed
    const LOOKS = 12;
    const MODEL = "model_dropdown";
    const OPTION = ".options li";

    /* Return a part of a unit by the end of its id. */
    function partOf(tab, number, name) {
        return ipAdapter.partOfControlNet(tab, number, `[id$="_controlnet_${name}"]`);
    }

    /* Whether a model with this name is InstantID's ControlNet, as lib_ipadapter/hosts/instantid.py recognises it. */
    function isInstantId(name) {
        const letters = name.toLowerCase().replace(/[^a-z0-9]/g, "");
        return letters.includes("instantid") && !letters.includes("adapter");
    }

    function isNone(name) {
        return name.toLowerCase() === "none";
    }

    /* Choose the first option that fits in one of gradio's menus; return whether one is chosen. */
    async function pick(menu, fits) {
        const input = menu?.querySelector("input");
        if (!input) return false;
        if (fits(input.value)) return true;
        input.focus(); // which shows the options
        await until(() => menu.querySelector(OPTION));
        const found = [...menu.querySelectorAll(OPTION)].find((option) => fits(option.ariaLabel));
        found?.dispatchEvent(new Event("mousedown", {bubbles: true, cancelable: true}));
        input.blur();
        if (found) await until(() => fits(input.value));
        return fits(input.value);
    }

    /* Let a unit list all models, whatever kind of control is chosen. */
    async function listAll(tab, number) {
        const all = partOf(tab, number, "type_filter_radio")?.querySelector("input[value=All]");
        if (!all || all.checked) return;
        all.click();
        await until(() => isNone(partOf(tab, number, MODEL).querySelector("input").value)); // the server's answer
    }

    /* Choose InstantID's model, and once more after the list was read anew, because it may have come since. */
    async function pickModel(tab, number) {
        const look = () => pick(partOf(tab, number, MODEL), isInstantId);
        if (await look()) return true;
        partOf(tab, number, "refresh_models")?.click();
        for (let i = 0; i < LOOKS; i++) {
            await new Promise((resolve) => setTimeout(resolve, PAUSE));
            if (await look()) return true;
        }
        return false;
    }

    function setWeight(slider) {
        const number = slider?.querySelector("input[type=number]");
        if (!number) return;
        number.value = WEIGHT;
        number.dispatchEvent(new Event("input", {bubbles: true}));
    }

    /* Return the unit of a tab that has InstantID's model, or else the first one without a picture, or -1. */
    ipAdapter.unitForInstantId = (tab) => {
        const count = ipAdapter.countControlNet(tab);
        const own = Array.from({length: count}, (_, number) => partOf(tab, number, MODEL)).findIndex((menu) =>
            isInstantId(menu?.querySelector("input")?.value || ""),
        );
        return own < 0 ? ipAdapter.freeControlNet(tab) : own;
    };

    /* Set a unit up; return whether ControlNet has InstantID's model. */
    ipAdapter.setUpInstantId = async (tab, number) => {
        await listAll(tab, number);
        await pick(partOf(tab, number, "preprocessor_dropdown"), isNone);
        const isThere = await pickModel(tab, number);
        setWeight(partOf(tab, number, "control_weight_slider"));
        return isThere;
    };
})();

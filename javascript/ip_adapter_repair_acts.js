/* What a repair's button says and does. An act returns the function that undoes it, or nothing if there is nothing to
   undo. */

(() => {
    const {say} = ipAdapter;
    const WEB_UI = {
        cfg_scale: (n) => say("CFG scale {n}", {n}),
        denoising_strength: (n) => say("Denoising strength {n}", {n}),
    };

    function nameOf(panel, field, value) {
        if (field === "enabled") return say("Enable this unit");
        if (field === "mask") return say("Remove region");
        const label = say(panel.state.control(field).label);
        if (value === "") return say("Empty {field}", {field: label});
        return typeof value === "string" ? `${label}: ${say(value)}` : `${label} ${value}`;
    }

    function picked(unit, names) {
        return Object.fromEntries(names.map((name) => [name, unit[name]]));
    }

    /* Change fields of a unit. */
    function put(panel, index, fields) {
        Object.assign(panel.state.all[index], fields);
        panel.draw();
    }

    function set(panel, {fields}) {
        const text = Object.entries(fields).map(([field, value]) => nameOf(panel, field, value));
        const act = (index) => {
            const before = picked(panel.state.all[index], Object.keys(fields));
            put(panel, index, fields);
            return () => put(panel, index, before);
        };
        return {text: text.join(", "), act};
    }

    function setStrength(panel, {place}) {
        const {strength} = panel.state;
        const word = ipAdapter.strengthWord(panel.spec.strength.marks, place);
        const act = (index) => {
            const unit = panel.state.all[index];
            const before = strength.placeOf(unit);
            strength.put(unit, place);
            panel.draw();
            return () => {
                strength.put(panel.state.all[index], before);
                panel.draw();
            };
        };
        return {text: `${say("Strength")}: ${word}`, act};
    }

    /* Set fields of the web UI. */
    function setWebUi({tab}, {fields}) {
        const [[name, value]] = Object.entries(fields);
        const act = () => {
            const before = ipAdapter.numberOfTab(tab, name);
            ipAdapter.setNumberOfTab(tab, name, value);
            return () => ipAdapter.setNumberOfTab(tab, name, before);
        };
        return {text: WEB_UI[name](value), act};
    }

    function useReferences(panel) {
        const act = (index) => {
            const off = panel.state.all[index].images.filter(ipAdapter.isOff);
            off.forEach((picture) => delete picture.enabled);
            panel.draw();
            return () => {
                off.forEach((picture) => (picture.enabled = false));
                panel.draw();
            };
        };
        return {text: say("Switch the references on"), act};
    }

    /* Use the best adapter for faces, or offer to get one. */
    function useFaceAdapter(panel, index) {
        const unit = panel.state.all[index];
        const [model, before] = [ipAdapter.bestForFaces(panel.files), unit.model];
        if (!model) return void panel.getModels.open([], ["likeness", "face"]);
        panel.state.choose(unit, model.name);
        panel.draw();
        return () => {
            panel.state.choose(panel.state.all[index], before);
            panel.draw();
        };
    }

    /* Open the editor of the first reference in use that is a whole picture. */
    function openCrop(panel) {
        const {images} = panel.unit;
        const place = images.findIndex((picture) => !ipAdapter.isOff(picture) && !picture.box);
        new ipAdapter.Strip(panel, "images").editPart(Math.max(0, place));
    }

    const OPENED = {
        "Crop the reference…": openCrop,
        "Draw a region…": async (panel) => (await ipAdapter.editRegions(panel)) && panel.draw(),
        "Add photos…": (panel) => panel.root.querySelector(".ipadapter-left .ipadapter-add input[type=file]").click(),
        "Check references": (panel) => panel.checking.ask(),
    };

    function open(panel, {title}) {
        const act = (index) => {
            if (!(title in OPENED)) return useFaceAdapter(panel, index);
            panel.reveal(index);
            OPENED[title](panel);
        };
        return {text: say(title), act};
    }

    const ACTS = {
        set,
        strength: setStrength,
        "web ui": setWebUi,
        "references on": useReferences,
        open,
    };

    /* Return a repair's text and its act, which takes the unit's index. */
    ipAdapter.repairAct = (panel, repair) => ACTS[repair.do](panel, repair);
})();

/* The control of a unit's region: a preview over the last picture, one click for common regions, the editor, a file. */

(() => {
    const {element, say, button, sign, loaded, canvasOf} = ipAdapter;
    const PREVIEW = 192; // pixels of the preview's longer side

    /* Return copies of the pictures that a region may be drawn over; the page's own may change. */
    async function picturesOf(tab) {
        const found = Object.entries(ipAdapter.picturesOfTab(tab));
        const copied = await Promise.all(
            found.map(async ([name, {src}]) => [name, await loaded(src).catch(() => null)]),
        );
        return Object.fromEntries(copied.filter(([, image]) => image));
    }

    /* Let the user edit the regions of all units; return whether anything was changed. */
    async function editRegions(panel) {
        const size = ipAdapter.regionSize(panel.tab);
        const [layers, pictures] = await Promise.all([ipAdapter.layersOf(panel, size), picturesOf(panel.tab)]);
        const current = layers.find(({index}) => index === panel.state.current);
        const editor = new ipAdapter.RegionEditor(say("Regions"), {layers, shown: [], pictures, current}, size);
        const isUsed = await editor.open(panel.root);
        const changed = layers.filter((layer) => isUsed && layer.isChanged);
        for (const layer of changed) put(panel, layer);
        return changed.length > 0;
    }

    function put(panel, layer) {
        const unit = panel.state.all[layer.index];
        unit.mask = layer.mask();
        if (layer.hasBoxes) unit.region = ipAdapter.writeRegion(layer, panel.state.control("region"));
    }

    /* Let the user draw where a reference applies; return the mask, null for everywhere, or undefined for no change. */
    ipAdapter.editRegion = async (panel, title, mask) => {
        const size = ipAdapter.regionSize(panel.tab);
        const {current: index} = panel.state;
        const current = await ipAdapter.maskLayer(index, title, mask, size);
        const [shown, pictures] = await Promise.all([ipAdapter.layersOf(panel, size), picturesOf(panel.tab)]);
        const others = shown.filter((layer) => layer.index !== index && !layer.isEverywhere);
        const parts = {layers: [current], shown: others, pictures, current};
        const isUsed = await new ipAdapter.RegionEditor(title, parts, size).open(panel.root);
        return isUsed && current.isChanged ? current.mask() : undefined;
    };

    function drawFile(panel, label, set) {
        const input = element("input", {
            type: "file",
            accept: "image/*",
            ariaLabel: label,
            onchange: async () => {
                const [url] = await panel.intake.urlsOf([...input.files]);
                if (url) set(url);
                input.value = "";
            },
        });
        return element("label", {className: "ipadapter-button ipadapter-file"}, say("Load from file…"), input);
    }

    /* A small picture of all units' regions, which opens the editor. */
    function drawPreview(panel, edit, remove) {
        const [width, height] = ipAdapter.regionSize(panel.tab);
        const size = ipAdapter.sizeWithin(width, height, PREVIEW);
        const [canvas, context] = canvasOf(...size);
        ipAdapter.layersOf(panel, size).then((layers) => {
            const current = layers.find(({index}) => index === panel.state.current);
            const {result, input} = ipAdapter.picturesOfTab(panel.tab);
            ipAdapter.drawRegions(context, {
                under: result || input || null,
                layers,
                current,
                scale: 0.8,
                canDrag: false,
            });
        });
        return element(
            "figure",
            {className: "ipadapter-drawn"},
            element("button", {type: "button", ariaLabel: say("Edit regions"), onclick: edit}, canvas),
            sign("×", say("Remove region"), remove, {className: "ipadapter-sign ipadapter-remove"}),
        );
    }

    ipAdapter.editRegions = editRegions;

    ipAdapter.drawRegion = (panel, name, label) => {
        const {unit} = panel;
        const set = (mask, region) => {
            Object.assign(unit, {mask, region});
            panel.draw();
        };
        const setBox = (box) => {
            const place = {boxes: [box], feather: 0};
            set(null, ipAdapter.writeRegion(place, panel.state.control("region")));
        };
        const edit = async () => (await editRegions(panel)) && panel.draw();
        const hasRegion = unit.mask !== null || unit.region !== "";
        return [
            ...(hasRegion ? [drawPreview(panel, edit, () => set(null, ""))] : []),
            element(
                "div",
                {className: "ipadapter-choices"},
                ipAdapter.quickButtons(setBox),
                element(
                    "div",
                    {className: "ipadapter-row"},
                    button(say("Draw…"), edit),
                    drawFile(panel, label, (url) => set(url, unit.region)),
                ),
            ),
        ];
    };
})();

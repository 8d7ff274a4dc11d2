/* The controls around the region editor's picture: the legend of units, the tools, and the box in numbers. */

(() => {
    const {element, say, button} = ipAdapter;

    const TOOLS = {box: () => say("Box"), brush: () => say("Brush"), eraser: () => say("Eraser")};
    const EDGES = [() => say("Left (%)"), () => say("Top (%)"), () => say("Right (%)"), () => say("Bottom (%)")];

    function drawEntry(layer) {
        const number = element(
            "span",
            {className: "ipadapter-number", style: `background: ${layer.colour}`},
            layer.number,
        );
        const text = element(
            "span",
            {},
            layer.text || say("Unit {n}", {n: layer.number}),
            layer.isEverywhere ? ` (${say("everywhere")})` : "",
        );
        return [number, text];
    }

    function drawUnit(editor, layer) {
        if (!editor.layers.includes(layer)) return element("span", {className: "ipadapter-unit"}, ...drawEntry(layer));
        return element(
            "button",
            {
                type: "button",
                className: "ipadapter-button ipadapter-unit",
                ariaPressed: String(layer === editor.current),
                onclick: () => editor.edit(layer),
            },
            ...drawEntry(layer),
        );
    }

    /* Return the legend, in which a click on a unit edits its region, and the choice of the picture behind. */
    ipAdapter.drawLegend = (editor) => [
        element(
            "div",
            {className: "ipadapter-row", role: "group", ariaLabel: say("Units")},
            ...[...editor.layers, ...editor.shown].map((layer) => drawUnit(editor, layer)),
        ),
        ...drawUnders(editor),
    ];

    function drawTool(editor, tool) {
        return button(TOOLS[tool](), () => editor.pick(tool), {ariaPressed: String(editor.tool === tool)});
    }

    function drawSize(editor) {
        const label = editor.drawSlider(say("Size"), "size", 0.01, 0.6);
        label.querySelector("input").disabled = editor.tool === "box";
        return label;
    }

    /* A soft edge of boxes is a part of the unit; that of the brush is the brush's. */
    function drawSoftness(editor) {
        if (editor.tool !== "box") return editor.drawSlider(say("Soft edge"), "softness", 0, 1);
        const {current} = editor;
        const take = () => {
            Object.assign(current, {feather: Number(input.value), isChanged: true});
            editor.show();
        };
        const range = {type: "range", min: 0, max: 0.5, step: 0.01, value: current.feather};
        const input = element("input", {
            ...range,
            ariaLabel: say("Soft edge"),
            disabled: current.boxes.length === 0,
            oninput: take,
            onpointerdown: () => editor.remember(),
        });
        return element("label", {}, say("Soft edge"), input);
    }

    function drawUnders(editor) {
        const names = Object.keys(editor.pictures);
        if (names.length === 0) return [];
        const one = (name, text) =>
            button(text, () => editor.look(name), {
                ariaPressed: String(editor.under === (editor.pictures[name] || null)),
            });
        return [
            element(
                "span",
                {role: "group", className: "ipadapter-pair ipadapter-unders", ariaLabel: say("Picture behind")},
                ...names.map((name) => one(name, ipAdapter.UNDERS[name]())),
                one("", say("No picture")),
            ),
        ];
    }

    ipAdapter.drawRegionTools = (editor) => {
        const {current} = editor;
        const quick = (box) => (current.hasBoxes ? editor.setBox(box) : editor.change(() => editor.shade.fillBox(box)));
        const tools = current.hasBoxes ? ["box", "brush", "eraser"] : ["brush", "eraser"];
        return [
            element(
                "span",
                {role: "group", className: "ipadapter-pair", ariaLabel: say("Tools")},
                ...tools.map((tool) => drawTool(editor, tool)),
            ),
            drawSize(editor),
            drawSoftness(editor),
            button(say("Clear"), () => editor.clear(), {disabled: current.isEverywhere}),
            button(say("Invert"), () => editor.change(() => editor.shade.invert()), {disabled: current.isEverywhere}),
            button(say("Undo"), () => editor.undo(), {disabled: editor.past.length === 0}),
            editor.drawFile(),
            ipAdapter.quickButtons(quick),
        ];
    };

    /* Return the edited box as numbers, for the keyboard and for exact places. */
    ipAdapter.drawEdges = (editor) => {
        const {current} = editor;
        if (!current.hasBoxes) return [];
        const box = current.box || [0, 0, 1, 1];
        return EDGES.map((text, index) => {
            const input = element("input", {
                type: "number",
                min: 0,
                max: 100,
                step: "any",
                ariaLabel: text(),
                disabled: editor.tool !== "box",
                value: Math.round(box[index] * 1000) / 10,
                onchange: () => {
                    const put = Object.assign([...box], {[index]: Number(input.value) / 100});
                    const isBox = put.every((edge) => edge >= 0 && edge <= 1) && put[0] < put[2] && put[1] < put[3];
                    if (isBox) editor.setBox(put);
                    else editor.redraw();
                },
            });
            return element("label", {}, text(), input);
        });
    };
})();

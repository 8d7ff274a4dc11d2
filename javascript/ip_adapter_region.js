/* The control of a unit's region, which is set with a click, drawn, or loaded from a file. */

(() => {
    const {element, say, button, sign} = ipAdapter;

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

    function drawMask(panel, mask, label, set, edit) {
        const {width, height} = ipAdapter.canvasOfTab(panel.tab);
        return element(
            "figure",
            {className: "ipadapter-drawn"},
            element("img", {src: mask, alt: label, style: `aspect-ratio: ${width / height}`, onclick: edit}),
            sign("×", say("Remove region"), () => set(null), {className: "ipadapter-sign ipadapter-remove"}),
        );
    }

    ipAdapter.drawRegion = (panel, name, label) => {
        const mask = panel.unit[name];
        const set = (value) => {
            panel.set(name, value);
            panel.view.draw();
        };
        const edit = async () => {
            const drawn = await ipAdapter.editRegion(panel, label, mask);
            if (drawn !== undefined) set(drawn);
        };
        return [
            ...(mask ? [drawMask(panel, mask, label, set, edit)] : []),
            element(
                "div",
                {className: "ipadapter-choices"},
                ipAdapter.quickButtons((box) => set(ipAdapter.maskOfBox(box))),
                element("div", {className: "ipadapter-row"}, button(say("Draw…"), edit), drawFile(panel, label, set)),
            ),
        ];
    };
})();

/* The choice of a weight type: groups of what the types are for, each type with a picture of its weight at each layer. */

(() => {
    const {element, say, drawing} = ipAdapter;
    const HIGH = 20; // units of the drawing
    const WIDE = 4; // a layer

    /* Bars up from the base line, or down from it and in another colour where the type moves away. */
    function picture(weights) {
        const floor = weights.some((weight) => weight < 0) ? HIGH / 2 : HIGH;
        const bars = weights.map((weight, index) => {
            const height = Math.max(Math.abs(weight) * floor, 0.8);
            const y = weight < 0 ? floor : floor - height;
            return drawing("rect", {
                x: index * WIDE,
                y,
                width: WIDE - 1,
                height,
                class: weight < 0 ? "away" : weight ? "" : "none",
            });
        });
        const size = {viewBox: `0 0 ${weights.length * WIDE} ${HIGH}`, preserveAspectRatio: "none"};
        return drawing("svg", {...size, "aria-hidden": "true"}, ...bars);
    }

    function drawType(panel, control, name, layout) {
        const radio = element("input", {
            type: "radio",
            name: `ipadapter_${panel.tab}_${control.name}`,
            value: name,
            ariaLabel: say(name),
            checked: panel.unit[control.name] === name,
            onchange: () => panel.set(control.name, name),
        });
        const weights = panel.spec.weight_types.pictures[name][layout];
        return element("label", {className: "ipadapter-type"}, radio, picture(weights), element("span", {}, say(name)));
    }

    /* Return whose layers the pictures of weight types show for the open unit: its adapter's, or the checkpoint's. */
    ipAdapter.layoutShown = ({files, spec, open}) => {
        const base = files.modelOf(open)?.base || files.base;
        return base in spec.weight_types.pictures.linear ? base : "SD";
    };

    ipAdapter.drawWeightTypes = (panel, control, label) => {
        const {groups: all, pictures} = panel.spec.weight_types;
        const layout = ipAdapter.layoutShown(panel.state);
        const known = (names) => names.filter((name) => layout in pictures[name]); // the others have no meaning there
        const used = Object.entries(all).filter(([, names]) => known(names).length);
        const groups = used.map(([group, names]) =>
            element(
                "div",
                {className: "ipadapter-type-group", role: "group", ariaLabel: say(group)},
                element("small", {}, say(group)),
                element("div", {}, ...known(names).map((name) => drawType(panel, control, name, layout))),
            ),
        );
        return [element("div", {className: "ipadapter-types", role: "radiogroup", ariaLabel: label}, ...groups)];
    };
})();

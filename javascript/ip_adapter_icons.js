/* The symbols on buttons, as lines, because not every system has a font with them. */

(() => {
    const {drawing, button} = ipAdapter;
    const SIDE = 16;
    const LINES = {
        eye: "M1.5 8s2.5-4.5 6.5-4.5S14.5 8 14.5 8 12 12.5 8 12.5 1.5 8 1.5 8z M8 6a2 2 0 1 0 0 4 2 2 0 0 0 0-4z",
        "eye off": "M1.5 8s2.5-4.5 6.5-4.5S14.5 8 14.5 8 12 12.5 8 12.5 1.5 8 1.5 8z M2.5 13.5l11-11",
        crop: "M4.5 1v10.5H15 M1 4.5h10.5V15",
        region: "M2 2.5h12v11H2z M8 2.5v11 M8 5l6-2 M8 8.5l6-3 M8 12l6-3.5",
        left: "M10 3L5 8l5 5",
        right: "M6 3l5 5-5 5",
        down: "M3 6l5 5 5-5",
        up: "M3 10l5-5 5 5",
        remove: "M3.5 3.5l9 9 M12.5 3.5l-9 9",
    };

    function icon(name) {
        return drawing(
            "svg",
            {viewBox: `0 0 ${SIDE} ${SIDE}`, class: "ipadapter-icon", "aria-hidden": "true"},
            drawing("path", {d: LINES[name]}),
        );
    }

    /* A button with one of these symbols instead of text. */
    ipAdapter.iconButton = (name, title, onclick, attributes = {}) =>
        button(icon(name), onclick, {className: "ipadapter-sign", title, ariaLabel: title, ...attributes});
})();

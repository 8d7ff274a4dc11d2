/* The ? of a group, which shows what the group is for. */

(() => {
    const {element, say, button} = ipAdapter;
    const shown = new Set(); // groups whose help is shown, for all panels

    /* Return the button and the text of a group's help, or nothing if it has none. */
    ipAdapter.drawGroupHelp = (panel, group) => {
        const help = panel.spec.helps[group];
        if (!help) return [];
        const id = `ipadapter_${panel.tab}_help_${panel.spec.groups.indexOf(group)}`;
        const text = element(
            "p",
            {className: "ipadapter-note ipadapter-help", id, hidden: !shown.has(group)},
            say(help),
        );
        const ask = button("?", () => toggle(), {
            className: "ipadapter-sign ipadapter-ask",
            ariaLabel: say("What is {group} for?", {group: say(group)}),
            title: say("What is {group} for?", {group: say(group)}),
            ariaExpanded: String(shown.has(group)),
            ariaControls: id,
        });
        function toggle() {
            if (!shown.delete(group)) shown.add(group);
            text.hidden = !shown.has(group);
            ask.setAttribute("aria-expanded", String(!text.hidden));
        }
        return [ask, text];
    };
})();

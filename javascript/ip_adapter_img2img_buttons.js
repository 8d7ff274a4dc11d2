/* Buttons below img2img's picture that take it, or the part that is painted, as a reference. */

(() => {
    const {element, say, button} = ipAdapter;
    const NO_PICTURE = () => say("There is no picture in this tab yet.");
    const NO_PAINT = () => say("Nothing is painted on the picture yet.");

    /* Add img2img's picture to the open unit, or the part of it in a box; return what went wrong, or "". */
    async function take(panel, getBox) {
        const image = ipAdapter.inputOf(panel.tab);
        if (!image) return NO_PICTURE();
        const box = getBox();
        if (getBox !== whole && !box) return NO_PAINT();
        const {unit} = panel;
        const before = new Set(unit.images);
        await panel.intake.send(image.src);
        const added = unit.images.find((picture) => !before.has(picture));
        if (added && box) added.box = box.map((edge) => Math.round(edge * 1000) / 1000);
        panel.draw();
        return "";
    }

    const whole = () => null;

    /* Draw the buttons where the page has img2img's picture. */
    ipAdapter.offerInput = (panel) => {
        const tabs = panel && gradioApp().querySelector("#mode_img2img");
        if (!tabs) return;
        const note = element("span", {className: "ipadapter-note", role: "status"});
        const act = (text, getBox) =>
            button(text, async () => {
                note.textContent = "";
                note.textContent = await take(panel, getBox);
            });
        tabs.after(
            element(
                "div",
                {className: "ipadapter-panel ipadapter-row ipadapter-sources", role: "group", ariaLabel: "IP-Adapter"},
                element("span", {}, say("Use as reference:")),
                act(say("Picture"), whole),
                act(say("Painted area"), ipAdapter.paintedBox),
                note,
            ),
        );
    };
})();

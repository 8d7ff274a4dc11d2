/* The web UI's pictures: those in the galleries, and the size of the next one. */

(() => {
    const {element, say} = ipAdapter;

    /* Return the selected image in a tab's gallery, or the first one, or null. */
    function resultOf(tab) {
        const gallery = gradioApp().querySelector(`#${tab}_gallery`);
        return gallery && (gallery.querySelector(".preview img, button.selected img") || gallery.querySelector("img"));
    }

    /* Put a button below each gallery that sends the selected picture to the open unit of its tab, or of txt2img. */
    ipAdapter.offerResults = (panels) => {
        for (const tab of ["txt2img", "img2img", "extras"]) {
            const row =
                gradioApp().querySelector(`#image_buttons_${tab} .form`) ||
                gradioApp().querySelector(`#image_buttons_${tab}`);
            const panel = panels[tab] || panels.txt2img;
            const other = row && row.querySelector("button");
            if (!other || !panel || row.querySelector(".ipadapter-send")) continue;
            const title = say("Send picture to IP-Adapter as a reference");
            const send = () => resultOf(tab) && panel.intake.send(resultOf(tab).src);
            row.append(
                element(
                    "button",
                    {
                        type: "button",
                        className: `${other.className} ipadapter-send`,
                        title,
                        ariaLabel: title,
                        onclick: send,
                    },
                    "🧷",
                ),
            );
        }
    };

    /* Return the size of a tab's next picture, and the `url` of a picture of that shape to draw over, or null. */
    ipAdapter.canvasOfTab = (tab) => {
        const part = (selector) => gradioApp().querySelector(`#${tab}${selector}`);
        const size = (name) => Number((part(`_${name} input[type=number]`) || {}).value) || 512;
        const [width, height] = [size("width"), size("height")];
        const fits = (image) =>
            Math.abs(Math.log((image.naturalWidth / image.naturalHeight) * (height / width))) < 0.02;
        const shown = [part("_image img"), resultOf(tab)].find((image) => image && image.naturalWidth && fits(image));
        return {url: shown ? shown.src : null, width, height};
    };
})();

/* The web UI's pictures: those in the galleries, and the size of the next one. */

(() => {
    const {element, say} = ipAdapter;

    /* Return the selected image in a tab's gallery, or the first one, or null. */
    function resultOf(tab) {
        const gallery = gradioApp().querySelector(`#${tab}_gallery`);
        return gallery && (gallery.querySelector(".preview img, button.selected img") || gallery.querySelector("img"));
    }

    /* Return the picture to look at in a tab's gallery: the selected one, or, if that is a grid, the first in it. */
    function pictureOf(tab) {
        const chosen = resultOf(tab);
        const images = [...gradioApp().querySelectorAll(`#${tab}_gallery img`)];
        const [first, second] = images.filter(
            (image, index) => images.findIndex(({src}) => src === image.src) === index,
        );
        const isGrid = second && first.naturalWidth * first.naturalHeight > second.naturalWidth * second.naturalHeight;
        return isGrid && chosen.src === first.src ? second : chosen;
    }

    /* Return what a tab's next picture may look like, by name: its last result, and img2img's input. */
    ipAdapter.picturesOfTab = (tab) =>
        Object.fromEntries(
            Object.entries({result: pictureOf(tab), input: ipAdapter.inputOf(tab)}).filter(
                ([, image]) => image && image.naturalWidth,
            ),
        );

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

    /* Return the size of a tab's next picture. */
    ipAdapter.canvasOfTab = (tab) => {
        const field = (name) => gradioApp().querySelector(`#${tab}_${name} input[type=number]`);
        const size = (name) => Number((field(name) || {}).value) || 512;
        return {width: size("width"), height: size("height")};
    };
})();

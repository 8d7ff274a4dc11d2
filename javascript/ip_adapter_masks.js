/* Masks: which part of a picture is used. They are edited as a shade, which is black over what is not used and
   transparent over what is, so that the picture shows through. A region is the shade on white; a part of a picture is
   the picture with the shade cut out. */

(() => {
    const {element, say, button, canvasOf, sizeWithin, loaded, urlOf} = ipAdapter;
    const SIDE = 768; // pixels of a region's longer side; the server keeps 1024

    /* Parts of a picture as fractions: left, top, right, bottom. */
    const QUICK = [
        [() => say("Left half"), [0, 0, 1 / 2, 1]],
        [() => say("Right half"), [1 / 2, 0, 1, 1]],
        [() => say("Top half"), [0, 0, 1, 1 / 2]],
        [() => say("Bottom half"), [0, 1 / 2, 1, 1]],
        [() => say("Left third"), [0, 0, 1 / 3, 1]],
        [() => say("Middle third"), [1 / 3, 0, 2 / 3, 1]],
        [() => say("Right third"), [2 / 3, 0, 1, 1]],
    ];

    const originals = new Map(); // part of a picture -> the whole picture, while the page is open

    /* Return buttons for common regions; each passes its box to `use`. */
    function quickButtons(use) {
        const buttons = QUICK.map(([text, box]) => {
            const [left, top, right, bottom] = box.map((part) => `${part * 100}%`);
            const shape = element(
                "span",
                {className: "ipadapter-box"},
                element("span", {
                    style: `left: ${left}; top: ${top}; right: calc(100% - ${right}); bottom: calc(100% - ${bottom})`,
                }),
            );
            const title = text();
            return button(shape, () => use(box), {
                title,
                ariaLabel: title,
                className: "ipadapter-sign ipadapter-quick",
            });
        });
        return element(
            "div",
            {className: "ipadapter-row ipadapter-quicks", role: "group", ariaLabel: say("Quick regions")},
            ...buttons,
        );
    }

    /* Return the shade of a black and white picture; transparent pixels count as black. */
    function shadeOfMask(image, width, height) {
        const [canvas, context] = canvasOf(width, height);
        context.fillRect(0, 0, width, height);
        context.drawImage(image, 0, 0, width, height);
        return shadeBy(
            canvas,
            context,
            (red, green, blue) => 255 - Math.round(0.299 * red + 0.587 * green + 0.114 * blue),
        );
    }

    /* Return the shade of a picture with transparent parts. */
    function shadeOfPart(image, width, height) {
        const [canvas, context] = canvasOf(width, height);
        context.drawImage(image, 0, 0, width, height);
        return shadeBy(canvas, context, (red, green, blue, alpha) => 255 - alpha);
    }

    function shadeBy(canvas, context, density) {
        const pixels = context.getImageData(0, 0, canvas.width, canvas.height);
        for (let i = 0; i < pixels.data.length; i += 4) {
            const [red, green, blue, alpha] = pixels.data.subarray(i, i + 4);
            pixels.data.set([0, 0, 0, density(red, green, blue, alpha)], i);
        }
        context.putImageData(pixels, 0, 0);
        return canvas;
    }

    /* Return whether a shade covers everything, so that `nothing` is used, or nothing, so that `everything` is. */
    function extentOf(canvas) {
        const {data} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
        let [least, most] = [255, 0];
        for (let i = 3; i < data.length; i += 4) [least, most] = [Math.min(least, data[i]), Math.max(most, data[i])];
        return {nothing: least === 255, everything: most === 0};
    }

    /* Return a shade as a mask, which is white where the shade is transparent. */
    function maskOfShade(shade) {
        const [canvas, context] = canvasOf(shade.width, shade.height);
        context.fillStyle = "white";
        context.fillRect(0, 0, canvas.width, canvas.height);
        context.drawImage(shade, 0, 0);
        return canvas.toDataURL("image/png");
    }

    /* Return the size in pixels at which a tab's regions are drawn. */
    function regionSize(tab) {
        const {width, height} = ipAdapter.canvasOfTab(tab);
        return sizeWithin(width * SIDE, height * SIDE, SIDE);
    }

    /* Let the user draw which part of a picture is used; return the picture with the rest transparent, or undefined.
       `edit` shows an editor for the whole picture and its shade, and returns whether the user confirmed. */
    async function editPart(url, edit) {
        const image = await loaded(url);
        const whole = originals.get(url) || url;
        const under = await loaded(whole);
        const [width, height] = sizeWithin(under.naturalWidth, under.naturalHeight, ipAdapter.MAX_SIDE);
        const shade = shadeOfPart(image, width, height);
        if (!(await edit(under, shade))) return undefined;
        const {nothing, everything} = extentOf(shade);
        if (nothing) return undefined;
        if (everything) return whole;
        const [canvas, context] = canvasOf(width, height);
        context.drawImage(under, 0, 0, width, height);
        context.globalCompositeOperation = "destination-out";
        context.drawImage(shade, 0, 0);
        const part = await urlOf(canvas, "image/png");
        originals.set(part, whole);
        return part;
    }

    Object.assign(ipAdapter, {quickButtons, shadeOfMask, maskOfShade, extentOf, regionSize, editPart});
})();

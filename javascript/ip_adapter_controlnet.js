/* ControlNet's units on the page: those of the extension for AUTOMATIC1111's web UI, and those built into Forge and its
   forks. Their picture component is gradio's or Forge's own; both contain a file input. */

(() => {
    const PICTURE = ".cnet-image"; // gradio 4 gives this class to an inner element too
    const CLEAR = ["Remove Image", "Clear"]; // gradio's buttons, of which a picture for sketches has both
    const PATIENCE = 5000; // milliseconds that a unit gets to show its picture component

    function pictures(tab) {
        const found = gradioApp().querySelectorAll(`#${tab}_controlnet .cnet-input-image-group ${PICTURE}`);
        return [...found].filter((picture) => !picture.parentElement.closest(PICTURE));
    }

    function isFree(picture) {
        return inputOf(picture) && ![...picture.querySelectorAll("img")].some((image) => image.getAttribute("src"));
    }

    /* Return the element that matches a selector and is nearest to a unit's picture. */
    function around(picture, selector) {
        let part = picture;
        while (part && !part.querySelector(selector)) part = part.parentElement;
        return part && part.querySelector(selector);
    }

    /* Enable a unit, and open all accordions and tabs around its picture; in Forge, each unit is an accordion too. */
    function show(picture, whole) {
        const enabled = around(picture, ".cnet-unit-enabled input");
        if (!enabled.checked) enabled.click();
        for (let part = picture.parentElement; part !== whole; part = part.parentElement) {
            const fold = [...part.children].find((child) => child.matches(".label-wrap:not(.open)"));
            if (fold) fold.click();
            if (part.classList.contains("tabitem")) openTab(part);
        }
    }

    function openTab(item) {
        const beside = [...item.parentElement.children].filter((other) => other.classList.contains("tabitem"));
        item.parentElement.querySelector(".tab-nav").children[beside.indexOf(item)].click();
    }

    async function until(condition) {
        for (const end = Date.now() + PATIENCE; !condition() && Date.now() < end;)
            await new Promise((resolve) => setTimeout(resolve, 50));
    }

    function inputOf(picture) {
        return picture.querySelector("input[type=file]");
    }

    /* Take out a picture that leaves no room for another one, as gradio 3's does. */
    async function empty(picture) {
        if (inputOf(picture)) return;
        const [remove] = CLEAR.map((label) => picture.querySelector(`[aria-label="${label}"]`)).filter(Boolean);
        remove?.click();
        await until(() => inputOf(picture));
    }

    /* Tick "Upload independent control image" in img2img, without which a unit uses the tab's picture. */
    async function takeOwnPicture(picture, whole) {
        const tick = around(picture, ".cnet-unit-same_img2img input");
        if (!tick || tick.checked || !whole.contains(tick)) return;
        tick.click();
        await until(() => picture.offsetParent); // the server's answer clears the unit once more
    }

    Object.assign(ipAdapter, {openTab, until});

    ipAdapter.hasControlNet = (tab) => pictures(tab).length > 0;
    ipAdapter.countControlNet = (tab) => pictures(tab).length;
    ipAdapter.freeControlNet = (tab) => pictures(tab).findIndex(isFree);

    /* Return the element of a unit that matches a selector, or null. */
    ipAdapter.partOfControlNet = (tab, number, selector) => around(pictures(tab)[number], selector);

    /* Return what the page calls a unit: web UIs count them from 0 or from 1. */
    ipAdapter.nameOfControlNet = (tab, number) => {
        const labels = gradioApp().querySelectorAll(
            `#${tab}_controlnet .tab-nav button, #${tab}_controlnet .label-wrap`,
        );
        const names = [...labels].flatMap(({textContent}) => textContent.match(/ControlNet Unit \d+/) || []);
        return [...new Set(names)][number] || `ControlNet Unit ${number}`;
    };

    /* Put a picture into a unit of a tab, in place of the one that it has, and enable it. */
    ipAdapter.sendToControlNet = async (tab, number, url, name) => {
        const [picture, whole] = [pictures(tab)[number], gradioApp().querySelector(`#${tab}_controlnet`)];
        show(picture, whole);
        await takeOwnPicture(picture, whole);
        await empty(picture);
        const [input, files] = [inputOf(picture), new DataTransfer()];
        files.items.add(await ipAdapter.fileAt(url, name));
        input.files = files.files;
        input.dispatchEvent(new Event("change", {bubbles: true}));
    };
})();

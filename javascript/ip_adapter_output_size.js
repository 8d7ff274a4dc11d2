/* Sets the size of a tab's next picture. */

(() => {
    const MULTIPLE = 8; // of pixels, which autoencoders need
    const [LEAST, MOST] = [64, 2048]; // of the web UI's sliders

    /* Set one of the web UI's number fields, and its slider. */
    ipAdapter.setNumberOfTab = set;

    function set(tab, name, value) {
        for (const input of gradioApp().querySelectorAll(`#${tab}_${name} input`)) {
            input.value = value;
            input.dispatchEvent(new Event("input", {bubbles: true}));
        }
    }

    /* Return the size of this shape, width / height, that has as many pixels as the tab's next picture. */
    ipAdapter.sizeOfShape = (tab, ratio) => {
        const {width, height} = ipAdapter.canvasOfTab(tab);
        const fit = (length) => Math.min(MOST, Math.max(LEAST, Math.round(length / MULTIPLE) * MULTIPLE));
        return [fit(Math.sqrt(width * height * ratio)), fit(Math.sqrt((width * height) / ratio))];
    };

    ipAdapter.setSizeOfTab = (tab, [width, height]) => {
        set(tab, "width", width);
        set(tab, "height", height);
    };
})();

/* Copies a text. Where the browser forbids it, as on pages without https, the text is shown to be copied by hand. */

(() => {
    const {element, say, button} = ipAdapter;

    async function isCopied(text) {
        try {
            await navigator.clipboard.writeText(text);
            return true;
        } catch {
            return false;
        }
    }

    /* Copy a text and say so in `place`, or show the text there, selected. */
    ipAdapter.copyText = async (text, place) => {
        if (await isCopied(text)) return place.replaceChildren(say("Copied."));
        const box = element("textarea", {value: text, readOnly: true, rows: 6, ariaLabel: say("Text to copy")});
        const note = say("The browser allows no copying here. Press Ctrl+C.");
        place.replaceChildren(
            note,
            box,
            button(say("Close"), () => place.replaceChildren()),
        );
        box.focus();
        box.select();
    };
})();

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

    /* Copy a text and say so in `place`; show the text there if `isShown`, or if the browser does not copy it. */
    ipAdapter.copyText = async (text, place, isShown = false) => {
        const isDone = await isCopied(text);
        const note = isDone ? say("Copied.") : say("The browser allows no copying here. Press Ctrl+C.");
        if (isDone && !isShown) return place.replaceChildren(note);
        const rows = Math.min(12, text.split("\n").length + 1);
        const label = isDone ? say("Copied text") : say("Text to copy");
        const box = element("textarea", {value: text, readOnly: true, rows, ariaLabel: label});
        place.replaceChildren(
            element("span", {}, note),
            box,
            button(say("Close"), () => place.replaceChildren()),
        );
        if (isDone) return;
        box.focus();
        box.select();
    };
})();

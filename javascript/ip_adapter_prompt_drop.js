/* Pictures dropped on a prompt become references of the open unit. One with generation parameters may also be meant for
   the web UI, which reads them; then the user is asked, and the drop is given back to the web UI. */

(() => {
    const {say, element, button} = ipAdapter;
    const PART = 1 << 19; // bytes at a file's beginning and end in which parameters are looked for
    const PARAMETERS = /Steps: \d+, \w/;
    const OWN = "application/x-ipadapter"; // a card that is dragged
    const returned = new WeakSet(); // drops that the web UI handles

    /* Return whether a picture's file has the web UI's parameters: in a PNG's text, or in EXIF, maybe as UTF-16. */
    ipAdapter.hasParameters = async (file) => {
        const parts = [file.slice(0, PART), file.slice(Math.max(PART, file.size - PART))];
        const bytes = await Promise.all(parts.map((part) => part.arrayBuffer()));
        return bytes.some((part) => PARAMETERS.test(new TextDecoder("latin1").decode(part).replaceAll("\0", "")));
    };

    /* Return the panel of the prompt at a place on the page. */
    function panelAt(place) {
        return Object.values(ipAdapter.panels).find(({tab}) => place?.closest?.(`#${tab}_prompt, #${tab}_neg_prompt`));
    }

    function hasPictures(transfer) {
        if (transfer.types.includes(OWN)) return false;
        if (transfer.files.length > 0) return [...transfer.files].every(({type}) => type.startsWith("image/"));
        return ipAdapter.hasOwnUrl(transfer);
    }

    /* Let the user say what a picture with parameters is for: "use" as a reference, "read" its parameters, or "". */
    async function ask() {
        const dialog = new ipAdapter.Dialog(
            say("Use the picture or its parameters?"),
            say("Use as reference"),
            "",
            {},
            element("p", {}, say("This picture has generation parameters. The web UI can put them into the prompt.")),
        );
        dialog.use.before(button(say("Read parameters"), () => dialog.root.close("read")));
        const place = element("div", {className: "ipadapter-panel"}); // the panel itself may be closed
        (gradioApp().querySelector(".gradio-container") || document.body).append(place);
        dialog.use.autofocus = true;
        await dialog.open(place);
        place.remove();
        return dialog.root.returnValue;
    }

    function giveBack(target, file) {
        const dataTransfer = new DataTransfer();
        dataTransfer.items.add(file);
        const event = new DragEvent("drop", {bubbles: true, cancelable: true, composed: true, dataTransfer});
        returned.add(event);
        target.dispatchEvent(event);
    }

    async function take(panel, target, files) {
        if (files.length === 1 && (await ipAdapter.hasParameters(files[0]))) {
            const meant = await ask();
            if (meant === "read") giveBack(target, files[0]);
            if (meant !== "use") return;
        }
        await panel.intake.add("images", files);
    }

    async function drop(event) {
        const [target] = event.composedPath();
        const panel = panelAt(target);
        if (returned.has(event) || !panel || !hasPictures(event.dataTransfer)) return;
        event.preventDefault();
        event.stopPropagation();
        const files = await ipAdapter.filesOf(event.dataTransfer);
        if (files.length) take(panel, target, files);
    }

    addEventListener("drop", drop, {capture: true});
})();

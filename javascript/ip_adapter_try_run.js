/* Has the web UI's own Generate make the pictures that are tried, and follows it. The script is told by the text of the
   unit, from just before the click until the web UI has taken it. */

(() => {
    const {say} = ipAdapter;
    const EVERY = 500; // milliseconds between questions for new pictures
    const SETTLE = 150; // until gradio has taken over a text
    const PATIENCE = 10000; // until the web UI has started
    const BATCH = 5; // img2img's tab for a batch of files

    const wait = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

    /* Return whether the web UI shows the buttons for stopping, which it does in the same moment as it sends the form. */
    function isGenerating(tab) {
        const buttons = gradioApp().querySelectorAll(`#${tab}_interrupt, #${tab}_interrupting`);
        return [...buttons].some((button) => button.style.display === "block");
    }

    function isScriptChosen(tab) {
        const menu = gradioApp().querySelector(`#${tab}_script_container #script_list input`);
        return Boolean(menu) && !["", "None", say("None")].includes(menu.value);
    }

    function isBatch(tab) {
        if (tab !== "img2img") return false;
        const tabs = [
            ...gradioApp().querySelectorAll("#mode_img2img > .tab-nav button, #mode_img2img button[role=tab]"),
        ];
        return tabs.findIndex((each) => each.matches(".selected, [aria-selected=true]")) === BATCH;
    }

    function generateButton(tab) {
        return gradioApp().querySelector(`#${tab}_generate`);
    }

    /* Return whether there is a web UI around the panel, and its server makes such pictures. */
    ipAdapter.canTry = ({tab, files}) => files.offers("tried") && Boolean(generateButton(tab));

    /* Return why nothing can be tried now, or "". */
    ipAdapter.whyNotTry = ({tab}) => {
        if (isGenerating(tab)) return say("Wait until the web UI has finished.");
        if (isScriptChosen(tab)) return say("Try does not work with a script. Set Script to None.");
        return isBatch(tab) ? say("Try does not work with a batch of files. Choose another tab of img2img.") : "";
    };

    /* Press Generate with the changes of a unit; return whether the web UI has started. */
    async function start(panel, trying) {
        panel.state.trying = trying;
        panel.write();
        await wait(SETTLE);
        generateButton(panel.tab).click();
        const end = performance.now() + PATIENCE;
        while (!isGenerating(panel.tab) && performance.now() < end) await wait(20);
        panel.state.trying = null;
        panel.write();
        return isGenerating(panel.tab);
    }

    /* Have pictures made, and call `show` with the server's answer each time that it has new ones. */
    ipAdapter.runTry = async (panel, index, changes, show) => {
        const token = Math.random().toString(36).slice(2);
        if (!(await start(panel, {index, asked: {token, changes}}))) return;
        let seen = 0;
        for (let last = false; !last;) {
            await wait(EVERY);
            last = !isGenerating(panel.tab);
            const {facts = {}, found = []} = await panel.asking.ask("tried", {token, seen, last});
            seen += found.length;
            show(facts, found);
        }
    };
})();

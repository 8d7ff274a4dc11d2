/* Undoing what was just done: a button beside the message that says what it was, and Ctrl+Z on the references. */

(() => {
    const {say} = ipAdapter;

    /* Say what was done. `undo` undoes it; `acts` are other buttons. */
    ipAdapter.offerUndo = (panel, text, undo, acts = {}) => {
        const back = () => {
            undo();
            panel.message.clear();
            panel.draw();
        };
        panel.message.show(text, false, {[say("Undo")]: back, ...acts});
    };

    /* Press the message's button, if it has one. */
    ipAdapter.undoLast = (panel) => {
        const buttons = [...panel.message.root.querySelectorAll("button")];
        buttons.find((button) => button.textContent === say("Undo"))?.click();
    };
})();

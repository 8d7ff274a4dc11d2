/* Shows the error that stopped a generation in the unit that caused it; the web UI shows it below the gallery. */

(() => {
    const SHOWN = "[id^=html_log_] .error, .toast-text, [data-testid=toast-text]"; // where the web UIs and gradio itself show errors
    const REFUSAL = /IP-Adapter(?: unit (\d+))?: (.+)/s; // prefix of all errors from the server
    const seen = new WeakSet();

    /* Return the panels that an error may be about: the one of its tab, or the visible ones. */
    function panelsOf(place) {
        const log = place.closest("[id^=html_log_]");
        const panels = Object.values(ipAdapter.panels).filter((panel) => panel.state.ticked);
        return panels.filter((panel) => (log ? log.id === `html_log_${panel.tab}` : panel.root.offsetParent));
    }

    function show(place) {
        const found = REFUSAL.exec(place.textContent);
        if (!found || seen.has(place)) return;
        seen.add(place);
        const [, unit, sentence] = found;
        for (const panel of panelsOf(place)) panel.showRefusal(Number(unit) - 1, sentence.trim());
    }

    onAfterUiUpdate(() => gradioApp().querySelectorAll(SHOWN).forEach(show));
})();

/* Keeps the focus where controls are drawn again. */

(() => {
    const nameOf = (part) => part.getAttribute("aria-label") || part.textContent;

    /* Do something that replaces controls inside `root`; the one of the focused one's kind and name gets the focus. */
    ipAdapter.keepFocus = (root, act) => {
        const held = root.contains(document.activeElement) ? document.activeElement : null;
        act();
        if (!held || document.activeElement === held) return;
        const parts = [...root.querySelectorAll(held.localName)];
        parts.find((part) => part.type === held.type && nameOf(part) === nameOf(held))?.focus({preventScroll: true});
    };
})();

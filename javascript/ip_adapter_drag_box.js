/* A box that is drawn over an element by dragging. */

/* Stretch `box` from where the pointer went `down` to where it moves. `done` gets the box as fractions of the element:
   left, top, right, bottom; `cancelled` is called if the browser cancels the pointer. */
ipAdapter.dragBox = (down, root, box, done, cancelled) => {
    if (down.button !== 0) return;
    down.preventDefault();
    root.setPointerCapture(down.pointerId);
    const {left, top, width, height} = root.getBoundingClientRect();
    const within = (part) => Math.min(1, Math.max(0, part));
    const at = (event) => [within((event.clientX - left) / width), within((event.clientY - top) / height)];
    const [fromX, fromY] = at(down);
    const edges = (event) => {
        const [x, y] = at(event);
        return [Math.min(x, fromX), Math.min(y, fromY), Math.max(x, fromX), Math.max(y, fromY)];
    };
    root.onpointermove = (event) => {
        const [x, y, right, bottom] = edges(event).map((part) => part * 100);
        box.hidden = false;
        box.style = `left: ${x}%; top: ${y}%; width: ${right - x}%; height: ${bottom - y}%`;
    };
    root.onpointercancel = cancelled;
    root.onpointerup = (event) => done(edges(event));
};

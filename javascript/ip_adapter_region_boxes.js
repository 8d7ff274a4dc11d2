/* Boxes of regions under the pointer: which edge is grabbed, and where the box goes. All places are fractions. */

(() => {
    const LEAST = 0.02; // smallest side of a box
    const FIRM = [0, 1 / 3, 1 / 2, 2 / 3, 1]; // where edges like to stay
    const SNAP = 0.012;

    const within = (part) => Math.min(1, Math.max(0, part));
    const isNear = (edge, at, reach) => Math.abs(edge - at) <= reach;

    /* Return which edges of a box a point grabs, as booleans: left, top, right, bottom; all of them inside the box;
       null elsewhere. `reach` has the distance from which an edge is grabbed, by axis. */
    ipAdapter.grabbed = ([left, top, right, bottom], [x, y], [wide, high]) => {
        if (x < left - wide || x > right + wide || y < top - high || y > bottom + high) return null;
        const edges = [isNear(left, x, wide), isNear(top, y, high), isNear(right, x, wide), isNear(bottom, y, high)];
        return edges.some(Boolean) ? edges : [true, true, true, true];
    };

    /* Return a cursor for grabbed edges. */
    ipAdapter.cursorOf = (grab) => {
        if (!grab) return "crosshair";
        const [across, down] = [grab[0] || grab[2], grab[1] || grab[3]];
        if (grab.every(Boolean)) return "move";
        if (across && down) return grab[0] === grab[1] ? "nwse-resize" : "nesw-resize";
        return across ? "ew-resize" : "ns-resize";
    };

    /* Return a place near another one at which an edge likes to stay, or the place itself. */
    function firm(at, others) {
        return [...FIRM, ...others].find((place) => isNear(place, at, SNAP)) ?? at;
    }

    /* Return a moved box, which stays inside the picture. */
    ipAdapter.movedBox = ([left, top, right, bottom], [dx, dy]) => {
        const x = Math.min(1 - right, Math.max(-left, dx));
        const y = Math.min(1 - bottom, Math.max(-top, dy));
        return [left + x, top + y, right + x, bottom + y];
    };

    /* Return a box whose grabbed edges are moved. `others` are edges of other boxes at which they like to stay, by axis;
       null if they stay nowhere. */
    ipAdapter.stretchedBox = (box, grab, by, others) => {
        if (grab.every(Boolean)) return ipAdapter.movedBox(box, by);
        const put = (at, axis) => (others ? firm(at, others[axis]) : at);
        const stretched = box.map((edge, index) => (grab[index] ? put(within(edge + by[index % 2]), index % 2) : edge));
        for (const axis of [0, 1]) {
            const [low, high] = [stretched[axis], stretched[axis + 2]];
            if (high - low >= LEAST) continue;
            if (grab[axis]) stretched[axis] = Math.max(0, high - LEAST);
            else stretched[axis + 2] = Math.min(1, low + LEAST);
        }
        return stretched;
    };

    /* Return the box between two points, or null if it is too small to be meant. */
    ipAdapter.boxBetween = ([x, y], [toX, toY], others) => {
        const across = [x, toX].map((at) => firm(within(at), others[0])).sort((one, other) => one - other);
        const down = [y, toY].map((at) => firm(within(at), others[1])).sort((one, other) => one - other);
        const isMeant = across[1] - across[0] >= LEAST && down[1] - down[0] >= LEAST;
        return isMeant ? [across[0], down[0], across[1], down[1]] : null;
    };

    /* Return the edges of boxes, by axis. */
    ipAdapter.edgesOf = (boxes) => [
        boxes.flatMap(([left, , right]) => [left, right]),
        boxes.flatMap(([, top, , bottom]) => [top, bottom]),
    ];
})();

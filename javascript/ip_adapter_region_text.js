/* A unit's region in words: boxes as fractions of the picture (left, top, right, bottom), which the region editor
   draws, and the text of boxes that were dragged. The names of boxes come from the server's field table. */

(() => {
    const NEAR = 0.0005; // two edges closer than this are the same
    const FEATHER = /^feather (\d*\.?\d+)$/;

    const clean = (text) => text.trim().replace(/\s+/g, " ");

    function boxIn(text, named) {
        if (text in named) return [...named[text]];
        const edges = text.split(",").map((part) => (part.trim() === "" ? NaN : Number(part)));
        const [left, top, right, bottom] = edges;
        const isBox = edges.length === 4 && edges.every((edge) => edge >= 0 && edge <= 1);
        return isBox && left < right && top < bottom ? edges : null;
    }

    function spreadOver(axis, count) {
        const part = (index) => [index / count, (index + 1) / count];
        return Array.from({length: count}, (_, index) => {
            const [first, last] = part(index);
            return axis === 0 ? [first, 0, last, 1] : [0, first, 1, last];
        });
    }

    /* Return the boxes and the feather of a text, or null if it cannot be read. `count` is the number of references,
       each of which gets its part of a divided picture. */
    ipAdapter.readRegion = (text, {boxes: named, spreads}, count) => {
        const [regions, option = "feather 0", ...more] = text.split(";").map(clean);
        const feather = FEATHER.exec(option);
        if (!feather || more.length) return null;
        if (regions === "") return {boxes: [], feather: 0};
        const boxes =
            regions in spreads
                ? spreadOver(spreads[regions], Math.max(1, count))
                : regions.split("|").map((each) => boxIn(clean(each), named));
        return boxes.every(Boolean) ? {boxes, feather: Number(feather[1])} : null;
    };

    ipAdapter.sameBox = (one, other) => one.every((edge, index) => Math.abs(edge - other[index]) < NEAR);

    /* Return boxes as text, by name where they have one. */
    ipAdapter.writeRegion = ({boxes, feather}, {boxes: named}) => {
        const short = (edge) => String(Math.round(edge * 1000) / 1000);
        const textOf = (box) =>
            Object.keys(named).find((name) => ipAdapter.sameBox(named[name], box)) || box.map(short).join(", ");
        const soft = boxes.length && feather ? `; feather ${short(feather)}` : "";
        return boxes.map(textOf).join(" | ") + soft;
    };
})();

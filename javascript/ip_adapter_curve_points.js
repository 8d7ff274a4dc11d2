/* The curve of a unit as points [place from start to end, factor of the weight], to be pulled. */

(() => {
    const FLAT = [
        [0, 1],
        [1, 1],
    ];

    function round(number) {
        return Math.round(number * 100) / 100;
    }

    function read(text) {
        const pairs = text.split(",").map((pair) => pair.split(":").map(Number));
        const isWhole = pairs.every((pair) => pair.length === 2 && pair.every(Number.isFinite));
        return isWhole ? pairs : null;
    }

    /* Return five points of a named curve, from factors at equal distances over the whole pass. */
    function sampled({start, end}, factors) {
        const most = factors.length - 1;
        const [first, last] = [Math.ceil(start * most), end < 1 ? Math.ceil(end * most) - 1 : most]; // off at the end itself
        const at = (place) => factors[Math.round(first + (last - first) * place)];
        return [0, 0.25, 0.5, 0.75, 1].map((place) => [place, round(at(place) || 0)]);
    }

    /* Return the points of a unit's curve; a named one needs the factors over a pass. */
    ipAdapter.curvePoints = (unit, factors) => {
        if (unit.curve.trim() === "") return structuredClone(FLAT);
        const points = read(unit.curve);
        if (points) return points;
        return factors ? sampled(unit, factors) : structuredClone(FLAT);
    };

    /* Return points as the text of the field. */
    ipAdapter.curveText = (points) => points.map(([place, factor]) => `${round(place)}:${round(factor)}`).join(", ");

    /* Put one of the points to a place between its neighbours. */
    ipAdapter.movePoint = (points, index, [place, factor]) => {
        const before = index > 0 ? points[index - 1][0] + 0.01 : 0;
        const after = index < points.length - 1 ? points[index + 1][0] - 0.01 : 1;
        points[index] = [round(Math.min(after, Math.max(before, place))), round(factor)];
    };

    /* Add a point in the middle of the widest gap; return its index. */
    ipAdapter.addPoint = (points) => {
        const edges = [[0, points[0][1]], ...points, [1, points.at(-1)[1]]];
        const gaps = edges.slice(1).map(([place], index) => place - edges[index][0]);
        const widest = gaps.indexOf(Math.max(...gaps));
        const [from, to] = [edges[widest], edges[widest + 1]];
        points.splice(widest, 0, [round((from[0] + to[0]) / 2), round((from[1] + to[1]) / 2)]);
        return widest;
    };
})();

/* What the region editor shows: the picture, the other units' regions in their colours, and the edited one with the
   rest darkened, its box with handles, and its unit's number. */

(() => {
    const {canvasOf} = ipAdapter;
    const EMPTY = "#e8e8e8";

    /* Fill a canvas with a picture, which is cut if it has another shape. */
    function drawUnder(context, under) {
        const {width, height} = context.canvas;
        context.fillStyle = EMPTY;
        context.fillRect(0, 0, width, height);
        if (!under) return;
        const scale = Math.max(width / under.naturalWidth, height / under.naturalHeight);
        const [wide, high] = [under.naturalWidth * scale, under.naturalHeight * scale];
        context.drawImage(under, (width - wide) / 2, (height - high) / 2, wide, high);
    }

    /* Draw a colour where a layer applies, or where it does not. */
    function drawTint(context, layer, colour, alpha, isOutside = false) {
        const {width, height} = context.canvas;
        const [tint, on] = canvasOf(width, height);
        on.fillStyle = colour;
        on.fillRect(0, 0, width, height);
        on.globalCompositeOperation = isOutside ? "destination-out" : "destination-in";
        on.drawImage(layer.coverage(width, height), 0, 0);
        context.globalAlpha = alpha;
        context.drawImage(tint, 0, 0);
        context.globalAlpha = 1;
    }

    function strokeBox(context, [left, top, right, bottom], colour, thick) {
        const {width, height} = context.canvas;
        const inset = thick / 2;
        const [x, y] = [left * width + inset, top * height + inset];
        const [wide, high] = [(right - left) * width - thick, (bottom - top) * height - thick];
        for (const [style, by] of [
            ["rgb(0 0 0 / 60%)", thick * 1.8],
            [colour, thick],
        ]) {
            context.strokeStyle = style;
            context.lineWidth = by;
            context.strokeRect(x, y, wide, high);
        }
    }

    function drawHandles(context, [left, top, right, bottom], colour, side) {
        const {width, height} = context.canvas;
        const across = [left, (left + right) / 2, right];
        const down = [top, (top + bottom) / 2, bottom];
        for (const [i, x] of across.entries()) {
            for (const [j, y] of down.entries()) {
                if (i === 1 && j === 1) continue;
                const at = (part, whole) => Math.min(whole - side, Math.max(0, part * whole - side / 2));
                context.fillStyle = "black";
                context.fillRect(at(x, width) - 1, at(y, height) - 1, side + 2, side + 2);
                context.fillStyle = colour;
                context.fillRect(at(x, width), at(y, height), side, side);
            }
        }
    }

    /* Return where a layer's number goes: inside its box, or in the middle of what it covers. */
    function middleOf(layer, width, height) {
        const [left, top, right, bottom] = layer.boxes[0] || ipAdapter.edgesOfCoverage(layer, width, height);
        return [((left + right) / 2) * width, ((top + bottom) / 2) * height];
    }

    function drawNumber(context, layer, text, [x, y], radius) {
        context.beginPath();
        context.arc(x, y, radius, 0, 2 * Math.PI);
        context.fillStyle = layer.colour;
        context.strokeStyle = "black";
        context.lineWidth = radius / 8;
        context.fill();
        context.stroke();
        context.fillStyle = "black";
        context.font = `600 ${radius * 1.1}px sans-serif`;
        context.textAlign = "center";
        context.textBaseline = "middle";
        context.fillText(text, x, y + radius * 0.06);
    }

    function drawNumbers(context, layer, scale) {
        const {width, height} = context.canvas;
        const several = layer.boxes.length > 1;
        if (!several) return drawNumber(context, layer, layer.number, middleOf(layer, width, height), 13 * scale);
        layer.boxes.forEach(([left, top, right, bottom], index) => {
            const middle = [((left + right) / 2) * width, ((top + bottom) / 2) * height];
            drawNumber(context, layer, `${layer.number}.${index + 1}`, middle, 16 * scale);
        });
    }

    function drawTints(context, layers, current) {
        for (const layer of layers) if (layer !== current) drawTint(context, layer, layer.colour, 0.4);
        if (!layers.includes(current)) return;
        drawTint(context, current, "black", 0.6, true);
        drawTint(context, current, current.colour, 0.25);
    }

    function drawOutline(context, layer, scale, thick) {
        for (const box of layer.boxes) strokeBox(context, box, layer.colour, thick * scale);
        drawNumbers(context, layer, scale);
    }

    /* Draw all layers on a picture. `scale` is the canvas's pixels per pixel of the screen; `canDrag` is whether the
       edited box has handles. */
    ipAdapter.drawRegions = (context, {under, layers, current, scale, canDrag}) => {
        drawUnder(context, under);
        const drawn = layers.filter((layer) => !layer.isEverywhere);
        drawTints(context, drawn, current);
        for (const layer of drawn) if (layer !== current) drawOutline(context, layer, scale, 2);
        if (!drawn.includes(current)) return;
        drawOutline(context, current, scale, 3);
        if (canDrag && current.box) drawHandles(context, current.box, current.colour, 10 * scale);
    };

    /* Return the edges of what a layer covers, as fractions; the whole picture if it covers nothing. */
    ipAdapter.edgesOfCoverage = (layer, width, height) => {
        const [wide, high] = ipAdapter.sizeWithin(width, height, 64);
        const {data} = layer.coverage(wide, high).getContext("2d").getImageData(0, 0, wide, high);
        const used = [...Array(wide * high).keys()].filter((at) => data[4 * at + 3] > 127);
        if (used.length === 0) return [0, 0, 1, 1];
        const across = used.map((at) => at % wide);
        const down = used.map((at) => Math.floor(at / wide));
        const ends = (places, whole) => [Math.min(...places) / whole, (Math.max(...places) + 1) / whole];
        const [[left, right], [top, bottom]] = [ends(across, wide), ends(down, high)];
        return [left, top, right, bottom];
    };
})();

/* Boxes in a picture, as fractions: left, top, right, bottom. */

(() => {
    const DIGITS = 1e5; // as the server rounds them
    const AROUND_FACE = 1.6; // side of the box for a face, relative to the face that was detected
    const UP = 0.08; // by which that box is higher than the face, whose hair is not detected

    function clamp(number, low, high) {
        return Math.min(high, Math.max(low, number));
    }

    /* Return a box of this size around a point, moved into the picture if need be. */
    function boxAround([x, y], wide, high) {
        const [left, top] = [clamp(x - wide / 2, 0, 1 - wide), clamp(y - high / 2, 0, 1 - high)];
        return [left, top, left + wide, top + high];
    }

    function middleOf([left, top, right, bottom]) {
        return [(left + right) / 2, (top + bottom) / 2];
    }

    ipAdapter.cropBox = {
        whole: [0, 0, 1, 1],

        rounded: (box) => box.map((edge) => Math.round(edge * DIGITS) / DIGITS),

        isWhole: (box) => box.every((edge, index) => Math.abs(edge - ipAdapter.cropBox.whole[index]) < 1 / DIGITS),

        between: ([x, y], [otherX, otherY]) => [
            clamp(Math.min(x, otherX), 0, 1),
            clamp(Math.min(y, otherY), 0, 1),
            clamp(Math.max(x, otherX), 0, 1),
            clamp(Math.max(y, otherY), 0, 1),
        ],

        moved: (box, [x, y]) => {
            const [wide, high] = [box[2] - box[0], box[3] - box[1]];
            const [middleX, middleY] = middleOf(box);
            return boxAround([middleX + x, middleY + y], wide, high);
        },

        /* Move the edges named in `edges`, such as "lt", by a distance; they stay `least` apart. */
        stretched: (box, edges, [x, y], [leastX, leastY]) => {
            let [left, top, right, bottom] = box;
            if (edges.includes("l")) left = clamp(left + x, 0, right - leastX);
            if (edges.includes("r")) right = clamp(right + x, left + leastX, 1);
            if (edges.includes("t")) top = clamp(top + y, 0, bottom - leastY);
            if (edges.includes("b")) bottom = clamp(bottom + y, top + leastY, 1);
            return [left, top, right, bottom];
        },

        /* Return a box of another shape, width / height in pixels, with the same middle and as much of the picture as
           fits. */
        shaped: (box, [width, height], ratio) => {
            const area = (box[2] - box[0]) * width * (box[3] - box[1]) * height;
            const side = Math.sqrt(area * ratio);
            const scale = Math.min(1, width / side, (height * ratio) / side);
            return boxAround(middleOf(box), (side * scale) / width, ((side / ratio) * scale) / height);
        },

        /* Return the square around a face, which is given in pixels. */
        ofFace: ([left, top, right, bottom], [width, height]) => {
            const face = Math.max(right - left, bottom - top);
            const side = Math.min(face * AROUND_FACE, width, height);
            const middle = [(left + right) / 2 / width, ((top + bottom) / 2 - face * UP) / height];
            return ipAdapter.cropBox.rounded(boxAround(middle, side / width, side / height));
        },

        /* Return the size of a box in whole pixels. */
        sizeOf: (box, [width, height]) => {
            const length = (from, to, side) => Math.max(1, Math.round(to * side) - Math.round(from * side));
            return [length(box[0], box[2], width), length(box[1], box[3], height)];
        },
    };
})();

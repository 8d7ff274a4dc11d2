/* What an encoder sees of a picture: its box, made square as `lib_ipadapter/pictures/crops.py` does. */

(() => {
    const SIDE = 224;
    const NEUTRAL = "rgb(123 117 104)"; // around a padded picture and behind transparent parts
    const PLACES = {
        center: [0.5, 0.5],
        top: [0.5, 0],
        bottom: [0.5, 1],
        left: [0, 0.5],
        right: [1, 0.5],
    };

    /* Return the source and the target of a crop, each as left, top, width and height. */
    function partsOf([left, top, wide, high], crop) {
        if (crop === "squash")
            return [
                [left, top, wide, high],
                [0, 0, SIDE, SIDE],
            ];
        if (crop === "pad") {
            const scale = SIDE / Math.max(wide, high);
            const [width, height] = [wide * scale, high * scale];
            return [
                [left, top, wide, high],
                [(SIDE - width) / 2, (SIDE - height) / 2, width, height],
            ];
        }
        const side = Math.min(wide, high);
        const [across, down] = PLACES[crop];
        return [
            [left + (wide - side) * across, top + (high - side) * down, side, side],
            [0, 0, SIDE, SIDE],
        ];
    }

    /* Draw it on a canvas. `image` is a canvas with the whole picture. */
    ipAdapter.drawEncoderView = (canvas, image, box, crop) => {
        const {width, height} = image;
        const [left, top] = [Math.round(box[0] * width), Math.round(box[1] * height)];
        const [source, target] = partsOf([left, top, ...ipAdapter.cropBox.sizeOf(box, [width, height])], crop);
        const context = canvas.getContext("2d");
        context.fillStyle = NEUTRAL;
        context.fillRect(0, 0, SIDE, SIDE);
        context.imageSmoothingQuality = "high";
        context.drawImage(image, ...source, ...target);
    };

    ipAdapter.ENCODER_SIDE = SIDE;
})();

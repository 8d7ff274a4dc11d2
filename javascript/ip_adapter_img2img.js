/* img2img's picture, and what is painted on it: with gradio 3 an image and canvases over it, in Forge its own canvas. */

(() => {
    const {canvasOf} = ipAdapter;
    const PLACES = ["img2img_image", "img2img_sketch", "img2maskimg", "inpaint_sketch", "img_inpaint_base"];
    const SIDE = 256; // pixels of the painted area's longer side while its edges are looked for

    const pictureIn = (place) =>
        [...place.querySelectorAll("img")].find((image) => image.getAttribute("src") && image.naturalWidth);

    /* Return the input that is open: its place on the page and its image, or null without a picture. */
    function openInput() {
        const places = PLACES.map((name) => gradioApp().querySelector(`#${name}`)).filter(Boolean);
        const filled = places.filter(pictureIn);
        const place = filled.find((each) => each.offsetParent) || null;
        return place && {place, image: pictureIn(place)};
    }

    /* Return a picture's pixels at a small size. */
    function pixelsOf(picture, [width, height]) {
        const [, context] = canvasOf(width, height);
        context.drawImage(picture, 0, 0, width, height);
        return context.getImageData(0, 0, width, height).data;
    }

    const differs = (data, at, other) => [0, 1, 2].some((part) => Math.abs(data[at + part] - other[at + part]) > 24);

    /* Return what is painted on an input, as a function of a pixel's position in a picture of this size, or null. Masks
       are painted on a canvas of their own; gradio's sketches on a copy of the picture; an uploaded mask is white. */
    function paintOf({place, image}, size) {
        const own = place.querySelector("canvas.forge-drawing-canvas") || place.querySelector("canvas[key=mask]");
        const sketch = place.querySelector("canvas[key=drawing]");
        const mask = place.id === "img_inpaint_base" && pictureIn(gradioApp().querySelector("#img_inpaint_mask"));
        if (mask) {
            const data = pixelsOf(mask, size);
            return (at) => data[at] > 127;
        }
        if (!own || own.width === 0) return null;
        const [data, original] = [pixelsOf(own, size), pixelsOf(image, size)];
        const drawn = sketch ? pixelsOf(sketch, size) : original;
        return (at) => data[at + 3] > 16 || differs(drawn, at, original);
    }

    /* Return the picture that img2img would use, as an image, or null. */
    ipAdapter.inputOf = (tab) => (tab === "img2img" ? openInput()?.image || null : null);

    /* Return the box around what is painted on img2img's picture, as fractions, or null for nothing. */
    ipAdapter.paintedBox = () => {
        const input = openInput();
        if (!input) return null;
        const size = ipAdapter.sizeWithin(input.image.naturalWidth, input.image.naturalHeight, SIDE);
        const isPainted = paintOf(input, size);
        return isPainted && boxOf(isPainted, size);
    };

    function boxOf(isPainted, [width, height]) {
        let [left, top, right, bottom] = [width, height, -1, -1];
        for (let i = 0; i < width * height; i++) {
            if (!isPainted(4 * i)) continue;
            const [x, y] = [i % width, Math.floor(i / width)];
            [left, top] = [Math.min(left, x), Math.min(top, y)];
            [right, bottom] = [Math.max(right, x), Math.max(bottom, y)];
        }
        return right < 0 ? null : [left / width, top / height, (right + 1) / width, (bottom + 1) / height];
    }
})();

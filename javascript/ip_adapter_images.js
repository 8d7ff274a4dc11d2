/* Turns files, URLs and canvases into the data URLs that a unit holds. */

(() => {
    const {element, say, choice, option} = ipAdapter;
    const MAX_FILE = 1500000; // bytes of a picture that is sent as it is; larger ones are resized first
    const MAX_SIDE = 1536; // pixels of a resized picture's longer side; encoders take 224 to 336
    const SENDABLE = ["image/png", "image/jpeg", "image/webp", "image/gif", "image/bmp"];

    function readAsUrl(blob) {
        return new Promise((resolve, reject) => {
            const reader = new FileReader();
            reader.onload = () => resolve(reader.result);
            reader.onerror = () => reject(reader.error);
            reader.readAsDataURL(blob);
        });
    }

    /* Return a canvas of this size, with its context. */
    function canvasOf(width, height) {
        const canvas = element("canvas", {width, height});
        return [canvas, canvas.getContext("2d", {willReadFrequently: true})];
    }

    /* Return a size scaled down so that its longer side is at most `side`. */
    function sizeWithin(width, height, side) {
        const scale = Math.min(1, side / Math.max(width, height));
        return [Math.max(1, Math.round(width * scale)), Math.max(1, Math.round(height * scale))];
    }

    /* Return a canvas as a data URL; browsers that cannot write WebP write PNG. */
    async function urlOf(canvas, type = "image/webp") {
        return readAsUrl(await new Promise((resolve) => canvas.toBlob(resolve, type, 0.95)));
    }

    async function urlOfFile(file) {
        const bitmap = await createImageBitmap(file);
        if (file.size <= MAX_FILE && SENDABLE.includes(file.type)) return readAsUrl(file);
        const [canvas, context] = canvasOf(...sizeWithin(bitmap.width, bitmap.height, MAX_SIDE));
        context.imageSmoothingQuality = "high";
        context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
        return urlOf(canvas);
    }

    /* Return the content of one of this page's URLs as a file. */
    async function fileAt(url, name = say("this file")) {
        const blob = await (await fetch(url)).blob();
        return new File([blob], name, {type: blob.type});
    }

    async function loaded(url) {
        const image = element("img", {src: url});
        await image.decode();
        return image;
    }

    /* Return a menu for a picture's own crop. */
    function cropOf(picture, crops, ariaLabel, changed) {
        const select = choice(
            [option("", say("same as unit")), ...crops.map((crop) => option(crop))],
            picture.crop || "",
            {
                ariaLabel,
                onchange: () => {
                    if (select.value) picture.crop = select.value;
                    else delete picture.crop;
                    changed();
                },
            },
        );
        return select;
    }

    const firstUrl = (transfer) => transfer.getData("text/uri-list").split("\n")[0];

    /* Return whether what is dropped is the URL of something on this page. */
    function hasOwnUrl(transfer) {
        const url = firstUrl(transfer);
        return /^(data:image|blob:)/.test(url) || url.startsWith(location.origin);
    }

    /* Return dropped or pasted picture files; a picture dragged from this page may come as its URL. */
    async function filesOf(transfer) {
        if (transfer.files.length > 0) return [...transfer.files];
        return hasOwnUrl(transfer) ? [await fileAt(firstUrl(transfer))] : [];
    }

    Object.assign(ipAdapter, {
        readAsUrl,
        canvasOf,
        sizeWithin,
        urlOf,
        urlOfFile,
        fileAt,
        filesOf,
        hasOwnUrl,
        loaded,
        cropOf,
        MAX_SIDE,
    });
})();

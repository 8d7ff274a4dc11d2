/* The layers of the region editor: for each unit, or for one reference, the boxes and the shade that say where it
   applies. Boxes are what the unit's region says in words; the shade is its mask. */

(() => {
    const {canvasOf, loaded, shadeOfMask} = ipAdapter;

    /* Colours on which black text is legible, one for each unit. */
    const COLOURS = "#f5a623 #4db8ff #35c98d #f7e04b #e08cc4 #9a9cff #ff7d5c #b6bcc4 #7fd34e #d3a4f4".split(" ");

    ipAdapter.colourOfUnit = (index) => COLOURS[index % COLOURS.length];

    ipAdapter.RegionLayer = class {
        /* `place` has boxes and a feather, or is null where a text cannot be read or there are masks only; `shade` is
           a canvas, or null without a mask. */
        constructor(index, text, place, shade) {
            Object.assign(this, {index, text, shade: shade && new ipAdapter.Shade(shade)});
            this.hasBoxes = place !== null;
            this.boxes = place ? place.boxes : [];
            this.feather = place ? place.feather : 0;
            this.selected = 0;
            this.isChanged = false;
        }

        get number() {
            return String(this.index + 1);
        }

        get colour() {
            return ipAdapter.colourOfUnit(this.index);
        }

        get isEverywhere() {
            return this.boxes.length === 0 && this.shade === null;
        }

        get box() {
            return this.boxes[this.selected] || null;
        }

        /* Put the selected box elsewhere, or make one. It replaces what was painted, unless it limited that already. */
        setBox(box) {
            if (this.boxes.length === 0) [this.shade, this.selected] = [null, 0];
            this.boxes = Object.assign([...this.boxes], {[this.selected]: box});
            this.isChanged = true;
        }

        /* Return the shade to paint on. Boxes become a part of it; `isEmpty` is whether to begin with nothing. */
        paintable(width, height, isEmpty) {
            if (this.shade === null || this.boxes.length) {
                const covered = this.coverage(width, height);
                const [canvas, context] = canvasOf(width, height);
                context.fillRect(0, 0, width, height);
                context.globalCompositeOperation = "destination-out";
                if (!(this.isEverywhere && isEmpty)) context.drawImage(covered, 0, 0);
                context.globalCompositeOperation = "source-over";
                [this.shade, this.boxes] = [new ipAdapter.Shade(canvas), []];
            }
            this.isChanged = true;
            return this.shade;
        }

        /* Return a function that brings back the layer as it is now. */
        keep() {
            const {shade, boxes, feather, selected} = this;
            const pixels = shade && shade.context.getImageData(0, 0, shade.canvas.width, shade.canvas.height);
            return () => {
                Object.assign(this, {shade, boxes, feather, selected});
                if (shade) shade.context.putImageData(pixels, 0, 0);
            };
        }

        /* Return a canvas that is opaque where the layer applies. */
        coverage(width, height) {
            const [canvas, context] = canvasOf(width, height);
            const soft = this.feather * Math.min(width, height);
            if (soft) context.filter = `blur(${soft / 3}px)`;
            for (const [left, top, right, bottom] of this.boxes.length ? this.boxes : [[0, 0, 1, 1]])
                context.fillRect(left * width, top * height, (right - left) * width, (bottom - top) * height);
            context.filter = "none";
            context.globalCompositeOperation = "destination-out";
            if (this.shade) context.drawImage(this.shade.canvas, 0, 0, width, height);
            return canvas;
        }

        /* Return the mask as a picture, or null if it covers everything or nothing. */
        mask() {
            if (this.shade === null) return null;
            const {nothing, everything} = ipAdapter.extentOf(this.shade.canvas);
            return nothing || everything ? null : ipAdapter.maskOfShade(this.shade.canvas);
        }
    };

    /* A mask that cannot be decoded is not drawn; the server refuses it in words. */
    async function shadeOf(mask, width, height) {
        const picture = mask ? await loaded(mask).catch(() => null) : null;
        return picture && shadeOfMask(picture, width, height);
    }

    /* Return the layer of a unit; its text is that of its tab. */
    async function layerOf(panel, unit, index, size) {
        const place = ipAdapter.readRegion(unit.region, panel.state.control("region"), unit.images.length);
        const text = ipAdapter.summaryOf(unit, panel.state);
        return new ipAdapter.RegionLayer(index, text, place, await shadeOf(unit.mask, ...size));
    }

    /* Return the layers of the units that are used, and of the open one. */
    ipAdapter.layersOf = (panel, size) => {
        const {all, current} = panel.state;
        const shown = all.map((unit, index) => [unit, index]);
        const layers = shown
            .filter(([unit, index]) => index === current || panel.state.isUsed(unit))
            .map(([unit, index]) => layerOf(panel, unit, index, size));
        return Promise.all(layers);
    };

    /* Return a layer with a mask only. */
    ipAdapter.maskLayer = async (index, text, mask, size) =>
        new ipAdapter.RegionLayer(index, text, null, await shadeOf(mask, ...size));
})();

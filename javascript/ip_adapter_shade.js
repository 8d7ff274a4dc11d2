/* What the mask editor paints: a canvas that is black over what is not used, and its earlier states. */

(() => {
    const {canvasOf} = ipAdapter;
    const KEPT = 20; // steps that can be undone

    ipAdapter.Shade = class {
        constructor(canvas) {
            this.canvas = canvas;
            this.context = canvas.getContext("2d", {willReadFrequently: true});
            this.past = [];
        }

        get side() {
            return Math.min(this.canvas.width, this.canvas.height);
        }

        remember() {
            const [copy, context] = canvasOf(this.canvas.width, this.canvas.height);
            context.drawImage(this.canvas, 0, 0);
            this.past.push(copy);
            if (this.past.length > KEPT) this.past.shift();
        }

        undo() {
            const before = this.past.pop();
            if (before) this.put(before);
        }

        put(image) {
            this.clear();
            this.context.drawImage(image, 0, 0);
        }

        /* Use everything. */
        clear() {
            this.context.clearRect(0, 0, this.canvas.width, this.canvas.height);
        }

        /* Use nothing. */
        cover() {
            this.context.fillStyle = "black";
            this.context.fillRect(0, 0, this.canvas.width, this.canvas.height);
        }

        invert() {
            this.context.save();
            this.context.globalCompositeOperation = "xor";
            this.cover();
            this.context.restore();
        }

        /* Use only a box, given as fractions: left, top, right, bottom. */
        fillBox([left, top, right, bottom]) {
            const {width, height} = this.canvas;
            this.cover();
            this.context.clearRect(left * width, top * height, (right - left) * width, (bottom - top) * height);
        }

        /* Draw the whole stroke on what was there before it, so that its soft edge is even. */
        paint([first, ...rest], {tool, radius, softness}) {
            const {context, canvas} = this;
            const away = canvas.width * 4; // the line itself is drawn off the canvas, so that only its shadow shows
            context.save();
            context.globalCompositeOperation = "copy";
            context.drawImage(this.past[this.past.length - 1], 0, 0);
            context.globalCompositeOperation = tool === "brush" ? "destination-out" : "source-over";
            context.lineCap = context.lineJoin = "round";
            context.lineWidth = Math.max(1, 2 * radius * (1 - softness / 2));
            context.shadowColor = "black";
            context.shadowBlur = radius * softness;
            context.shadowOffsetX = away;
            context.beginPath();
            context.moveTo(first[0] - away, first[1]);
            for (const [x, y] of rest.length ? rest : [[first[0] + 0.01, first[1]]]) context.lineTo(x - away, y);
            context.stroke();
            context.restore();
        }
    };
})();

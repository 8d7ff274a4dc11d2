/* Small plots of a unit's weight at each layer, one for each pass if they differ. The numbers are the engine's own. */

(() => {
    const {element, say, drawing} = ipAdapter;
    const WIDE = 240; // units of the drawing
    const HIGH = 60;
    const PAUSE = 120; // milliseconds without a change before the server is asked
    const BLOCKS = {
        input: () => say("input"),
        middle: () => say("middle"),
        output: () => say("output"),
        double: () => say("double"),
        single: () => say("single"),
    };
    const LEGEND = [
        ["input", () => say("input blocks")],
        ["middle", () => say("middle block")],
        ["output", () => say("output blocks")],
        ["double", () => say("double blocks")],
        ["single", () => say("single blocks")],
    ];

    ipAdapter.Plot = class {
        constructor(panel) {
            this.panel = panel;
            this.root = element("div", {className: "ipadapter-plot", hidden: true, ariaBusy: "false"});
            this.asked = this.drawn = "";
        }

        /* What the plot depends on. */
        question() {
            const {unit, spec, model} = this.panel;
            const values = Object.fromEntries(spec.settings.map((name) => [name, unit[name]]));
            return {unit: values, base: model ? model.base : "", model: model ? model.name : ""};
        }

        refresh() {
            clearTimeout(this.timer);
            if (!this.panel.state.ticked || this.panel.state.isEmpty(this.panel.unit)) return;
            this.root.setAttribute("aria-busy", "true");
            this.isWaiting = true;
            this.timer = setTimeout(() => this.ask(), PAUSE);
        }

        async ask() {
            this.isWaiting = false;
            const question = this.question();
            const text = JSON.stringify(question);
            if (text !== this.asked) {
                this.asked = text;
                const answer = await this.panel.asking.ask("plot", question);
                if (text !== this.asked) return;
                this.draw(answer);
                this.drawn = text;
            }
            this.root.setAttribute("aria-busy", String(this.isWaiting || this.drawn !== this.asked));
        }

        draw({blocks, passes, message}) {
            this.root.hidden = false;
            if (!passes) return this.root.replaceChildren(element("p", {className: "ipadapter-note wrong"}, message));
            this.panel.stepsBar.take(passes);
            const weights = passes.flatMap(({layers}) => layers.map(({weight}) => weight));
            const most = Math.max(1, ...weights.map(Math.abs));
            const below = weights.some((weight) => weight < 0);
            const y = (weight) => (below ? HIGH / 2 - ((weight / most) * HIGH) / 2 : HIGH - (weight / most) * HIGH);
            const word = (index) => (passes.length === 1 ? "" : index ? say("hires") : say("base"));
            const figures = passes.map((pass, index) =>
                this.drawOne(say("Layers"), word(index), this.bars(pass.layers, blocks, y), y, most),
            );
            this.root.replaceChildren(element("div", {}, ...figures), this.drawLegend(new Set(blocks)));
        }

        drawLegend(blocks) {
            const own = LEGEND.filter(([block]) => blocks.has(block)).map(([block, text]) => [block, text()]);
            const entries = {...Object.fromEntries(own), away: say("moves away from the reference")};
            return element(
                "p",
                {className: "ipadapter-legend"},
                ...Object.entries(entries).map(([kind, text]) =>
                    element("span", {}, element("i", {className: kind}), text),
                ),
            );
        }

        drawOne(name, pass, shapes, y, most) {
            const axis = drawing("line", {x1: 0, x2: WIDE, y1: y(0), y2: y(0), class: "axis"});
            const one = drawing("line", {x1: 0, x2: WIDE, y1: y(1), y2: y(1), class: "one"});
            const title = pass ? `${name} (${pass})` : name;
            return element(
                "figure",
                {},
                element(
                    "figcaption",
                    {},
                    title,
                    element("span", {}, say("up to {weight}", {weight: Math.round(most * 100) / 100})),
                ),
                drawing(
                    "svg",
                    {
                        viewBox: `0 -2 ${WIDE} ${HIGH + 4}`,
                        preserveAspectRatio: "none",
                        role: "img",
                        "aria-label": say("Plot: {what}", {what: title}),
                    },
                    one,
                    ...shapes,
                    axis,
                ),
            );
        }

        bars(layers, blocks, y) {
            const wide = WIDE / layers.length;
            return layers.map(({weight, inverted, composition}, index) => {
                const [top, bottom] = [Math.min(y(0), y(weight)), Math.max(y(0), y(weight))];
                const isAway = inverted !== weight < 0; // two negatives move towards it
                const kind = [blocks[index], isAway && "away", composition && "composition"].filter(Boolean).join(" ");
                const away = isAway ? `, ${say("pushes away")}` : "";
                const title = drawing(
                    "title",
                    {},
                    `${say("Layer {n}", {n: index})} (${BLOCKS[blocks[index]]()}): ${Math.round(weight * 1000) / 1000}${away}`,
                );
                return drawing(
                    "rect",
                    {x: index * wide + 1, width: wide - 2, y: top, height: Math.max(bottom - top, 0.6), class: kind},
                    title,
                );
            });
        }
    };
})();

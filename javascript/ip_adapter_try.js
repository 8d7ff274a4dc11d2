/* Draws *Try*: small quick pictures of one seed that differ in the settings of the open unit. A click takes one. */

(() => {
    const {element, say, button, sign} = ipAdapter;

    /* The pictures of one try, of one unit. */
    class Shown {
        constructor(panel, kind) {
            this.index = panel.state.current;
            this.images = panel.unit.images.map(({image}) => image);
            this.variants = ipAdapter.TRY_KINDS[kind].variants(panel);
            this.found = []; // by variant: {image} or {reason}
            this.facts = null; // size and steps, once the web UI has begun
            this.isRunning = true;
            const {width, height} = ipAdapter.canvasOfTab(panel.tab);
            this.shape = `${width} / ${height}`;
        }

        take(facts, found) {
            if ("count" in facts) this.facts = facts;
            for (const {index, ...each} of found) this.found[index] = each;
        }

        /* Return whether the unit still has the references that the pictures were made with. */
        isOf({images}) {
            return images.length === this.images.length && images.every(({image}, at) => image === this.images[at]);
        }

        get made() {
            return this.found.filter((each) => each?.image).length;
        }
    }

    ipAdapter.Trying = class {
        constructor(panel) {
            this.panel = panel;
            this.shown = new Map(); // the number of a unit -> what was tried with it
            this.root = element("section", {className: "ipadapter-section ipadapter-try"});
        }

        get current() {
            return this.shown.get(this.panel.state.current);
        }

        get isRunning() {
            return [...this.shown.values()].some(({isRunning}) => isRunning);
        }

        /* Return the section, if the unit has what it takes. */
        draw() {
            const {state, unit} = this.panel;
            const isWhole = state.hasReferences(unit) && unit.model !== "" && !state.isSilent(unit);
            if (!ipAdapter.canTry(this.panel) || !isWhole) return [];
            if (this.current && !this.current.isRunning && !this.current.isOf(unit)) this.shown.delete(state.current);
            this.fill();
            return [this.root];
        }

        fill() {
            this.status = element("small", {role: "status"});
            this.root.setAttribute("aria-label", say("Try"));
            const parts = [
                ipAdapter.heading(say("Try"), this.status, this.drawEnd()),
                element("div", {className: "ipadapter-row"}, ...this.drawKinds()),
                ...this.drawTiles(),
            ];
            ipAdapter.keepFocus(this.root, () => this.root.replaceChildren(...parts));
            this.mark();
        }

        drawKinds() {
            return Object.entries(ipAdapter.TRY_KINDS).map(([kind, {name, label, variants}]) => {
                const isAlone = variants(this.panel).length < 2;
                return button(name(), () => this.run(kind), {
                    ariaLabel: label(),
                    disabled: this.isRunning || isAlone,
                    title: isAlone ? say("No other purpose has an adapter that is ready.") : "",
                });
            });
        }

        /* The button at the end of the line: it stops what is running, or removes the pictures. */
        drawEnd() {
            if (!this.current) return null;
            if (!this.current.isRunning) return sign("×", say("Remove the pictures"), () => this.remove());
            const stop = () => gradioApp().querySelector(`#${this.panel.tab}_interrupt`).click();
            return button(say("Stop"), stop, {ariaLabel: say("Stop trying")});
        }

        drawTiles() {
            if (!this.current) return [];
            this.tiles = this.current.variants.map((variant, at) => this.drawTile(variant, at));
            const tiles = element("div", {className: "ipadapter-tiles"}, ...this.tiles);
            tiles.style.setProperty("--ipadapter-shape", this.current.shape);
            return [tiles];
        }

        drawTile({label, make}, at) {
            const take = () => this.panel.replace(make(), say("Settings applied."));
            const tile = element("button", {
                type: "button",
                className: "ipadapter-tile",
                ariaLabel: say("Use {name}", {name: label}),
                onclick: take,
            });
            this.fillTile(tile, label, this.current.found[at]);
            return tile;
        }

        fillTile(tile, label, found) {
            const picture = found?.image
                ? element("img", {src: found.image, alt: ""})
                : element("span", {className: "ipadapter-tile-empty"}, found ? found.reason : "");
            tile.disabled = !found?.image;
            tile.replaceChildren(picture, element("span", {className: "ipadapter-tile-name"}, label));
        }

        /* Mark what the unit is like now, and say what is being made. */
        mark() {
            if (this.status) this.status.textContent = this.words();
            if (!this.current) return;
            this.current.variants.forEach(({isCurrent}, at) =>
                this.tiles[at]?.setAttribute("aria-pressed", String(isCurrent(this.panel))),
            );
        }

        words() {
            if (!this.current) return say("Small quick pictures of one seed, to compare. They are not saved.");
            const {facts, made, isRunning} = this.current;
            if (!facts) return isRunning ? say("Starting…") : say("No pictures were made.");
            const what = say("{count} pictures, {width}x{height}, {steps} steps", facts);
            if (!isRunning && made === facts.count) return what;
            return `${what}: ${say("{done} of {n} done", {done: made, n: facts.count})}`;
        }

        /* Make the pictures of a kind, and show each as soon as it is there. */
        async run(kind) {
            const {panel} = this;
            const why = ipAdapter.whyNotTry(panel);
            if (why) return panel.message.show(why, true);
            panel.message.clear();
            const shown = new Shown(panel, kind);
            this.shown.set(shown.index, shown);
            const changes = shown.variants.map((variant) => ipAdapter.changesOf(panel, variant));
            this.fill();
            await ipAdapter.runTry(panel, shown.index, changes, (facts, found) => this.add(shown, facts, found));
            shown.isRunning = false;
            await panel.view.released;
            this.fill();
        }

        add(shown, facts, found) {
            shown.take(facts, found);
            if (shown !== this.current) return;
            for (const {index} of found)
                this.fillTile(this.tiles[index], shown.variants[index].label, shown.found[index]);
            this.mark();
        }

        remove() {
            this.shown.delete(this.panel.state.current);
            this.fill();
        }
    };
})();

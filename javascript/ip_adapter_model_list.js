/* The list in the dialog for getting models: adapters for a base by purpose, then what the ticked ones need. */

(() => {
    const {element, say, button} = ipAdapter;
    const MANY = 3; // if there are more adapters, their number is shown instead of their names

    function reasonFor(file, adapters) {
        if (adapters.length === 0) return file.help;
        if (adapters.length > MANY) return say("For {n} of these adapters", {n: adapters.length});
        return say("For {titles}", {titles: adapters.map(({title}) => title).join("; ")});
    }

    ipAdapter.ModelList = class {
        /* `changed` is called when the user has ticked or unticked a file. */
        constructor(choice, changed) {
            Object.assign(this, {choice, changed});
            this.rows = [];
        }

        /* Return the parts of the list, without checkboxes if nothing can be downloaded. */
        draw(base, isOffered) {
            this.isOffered = isOffered;
            this.rows = [];
            return [...this.drawBundles(base), ...this.drawNeeds(base)];
        }

        /* Show the progress of the downloads. */
        mark() {
            this.rows.forEach((row) => row.mark());
        }

        drawBundles(base) {
            const {bundles, more} = this.choice.bundlesOf(base);
            if (bundles.length + more.length === 0) {
                const nothing = say("There is no known adapter for {base}.", {base});
                return [element("p", {className: "ipadapter-note"}, nothing)];
            }
            const drawn = bundles.map((bundle) => this.drawBundle(bundle));
            return more.length ? [...drawn, this.drawMore(more, bundles.length === 0)] : drawn;
        }

        drawBundle({name, help, files}) {
            const free = files.filter((file) => this.choice.isFree(file)).map((file) => file.name);
            const wanted = free.filter((each) => this.choice.wanted.has(each));
            const all = this.tick(free, {
                ariaLabel: say(name),
                checked: wanted.length > 0 && wanted.length === free.length,
            });
            all.indeterminate = wanted.length > 0 && wanted.length < free.length;
            const isOffered = this.isOffered && free.length > 1;
            return element(
                "section",
                {className: "ipadapter-bundle", ariaLabel: say(name)},
                isOffered ? element("label", {}, all, say(name)) : element("strong", {}, say(name)),
                element("p", {className: "ipadapter-note"}, say(help)),
                ...files.map((file) => this.drawRow(file)),
            );
        }

        drawMore(files, isOpen) {
            const fold = element(
                "details",
                {className: "ipadapter-bundle", open: this.isMoreOpen ?? isOpen},
                element("summary", {}, say("More adapters ({n})", {n: files.length})),
                ...files.map((file) => this.drawRow(file)),
            );
            fold.addEventListener("toggle", () => (this.isMoreOpen = fold.open));
            return fold;
        }

        drawNeeds(base) {
            const {choice} = this;
            const adapters = this.isOffered ? choice.allWanted : choice.adaptersOf(base);
            const needed = choice.needsOf(adapters);
            if (needed.length === 0) return [];
            const title = say("Also needed");
            const rows = needed.map((file) => this.drawRow(file, reasonFor(file, choice.whatNeeds(file, adapters))));
            const heading = element("strong", {}, title);
            return [element("section", {className: "ipadapter-bundle", ariaLabel: title}, heading, ...rows)];
        }

        drawRow(file, about = file.help) {
            const {choice} = this;
            const isOffered = this.isOffered && choice.isFree(file);
            const checked = choice.isTaken(file);
            const tick = isOffered
                ? this.tick([file.name], {id: `ipadapter_get_${file.name}`, ariaLabel: file.title, checked})
                : null;
            const row = new ipAdapter.ModelRow(file, tick, about, isOffered ? this.drawOther(file) : null);
            this.rows.push(row);
            return row.draw();
        }

        /* A button that takes the other file which would do as well, such as the same encoder in half the size. */
        drawOther(file) {
            const other = this.choice.otherOf(file);
            if (!other) return null;
            const take = () => {
                this.choice.replace(file, other);
                this.changed();
            };
            const values = {title: other.title, size: ipAdapter.sizeOf(other.bytes)};
            return button(say("Use {title} instead ({size})", values), take, {title: other.help});
        }

        tick(names, attributes) {
            const set = () => {
                this.choice.set(names, box.checked);
                this.changed();
            };
            const box = element("input", {type: "checkbox", ...attributes, onchange: set});
            return box;
        }
    };
})();

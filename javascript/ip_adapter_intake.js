/* Pictures that come into a panel: dropped, pasted, chosen, or sent from elsewhere on the page. */

(() => {
    const {say} = ipAdapter;

    ipAdapter.Intake = class {
        constructor(panel) {
            this.panel = panel;
            this.undecided = new Set(); // units that got their first picture before an adapter was chosen
        }

        /* Return files as data URLs; a message names one that is not a picture. */
        async urlsOf(files) {
            return (await this.read(files)).map(({url}) => url);
        }

        /* Return files as data URLs with their names. */
        async read(files) {
            const pictures = [];
            for (const file of files) {
                try {
                    pictures.push({url: await ipAdapter.urlOfFile(file), name: file.name || ""});
                } catch {
                    const name = file.name || say("this file");
                    this.panel.message.show(
                        say("The browser cannot open {name} as a picture. Use a PNG, JPEG or WebP file.", {name}),
                        true,
                    );
                }
            }
            return pictures;
        }

        /* Return how many of `more` pictures a list has space for; a message says if not all fit. */
        space(pictures, more) {
            const {most} = this.panel.spec;
            const space = Math.max(0, most - pictures.length);
            if (more > space)
                this.panel.message.show(
                    say("The list holds up to {n} pictures. The others were not added.", {n: most}),
                    true,
                );
            return Math.min(space, more);
        }

        /* Add as many files to the pictures in a field of an object as there is space for; return whether any were
           added. Look for the list after the files are read: another may be there by then. */
        async addTo(owner, field, files, place = Infinity) {
            this.panel.message.clear();
            const given = await this.read(files);
            const pictures = owner[field];
            const added = given.slice(0, this.space(pictures, given.length));
            pictures.splice(place, 0, ...added.map(({url}) => ({image: url})));
            added.forEach(({url, name}) => ipAdapter.recent.add(url, name));
            return added.length > 0;
        }

        /* Add files to a field of the open unit, before the picture at `place` or at the end. Who adds a picture wants
           to use it, so tick the panel. */
        async add(field, files, place) {
            const {unit} = this.panel;
            const isFirst = field === "images" && unit.images.length === 0 && unit.model === "";
            const isAdded = await this.addTo(unit, field, files, place);
            if (isFirst && isAdded) this.undecided.add(unit);
            this.panel.draw();
            if (isAdded) this.panel.tickItself();
            this.chooseAdapters();
        }

        /* Choose the best general adapter for units that got their first picture. */
        chooseAdapters() {
            const {files, state} = this.panel;
            if (!files.isListed) return;
            const name = files.best();
            const units = [...this.undecided].filter((unit) => state.all.includes(unit) && unit.model === "");
            if (!name) return; // one may come
            this.undecided.clear();
            if (units.length) this.choose(units, name);
        }

        choose(units, name) {
            const {state, files, message} = this.panel;
            for (const unit of units) state.suggest(unit, name);
            this.panel.draw();
            if (message.wrong) return;
            const text = say("{name} was chosen automatically.", {name: files.titleOf({name})});
            const acts = {[say("Change")]: () => ipAdapter.showAdapters(this.panel)};
            message.show(text, false, acts);
            ipAdapter.offerUses(this.panel, units[0], acts);
        }

        paste(event, field = "images") {
            if (event.clipboardData.files.length === 0) return;
            event.preventDefault();
            event.stopPropagation();
            this.add(field, [...event.clipboardData.files]);
        }

        /* Add a picture from elsewhere on the page. */
        async send(url) {
            await this.add("images", [await ipAdapter.fileAt(url)]);
        }
    };
})();

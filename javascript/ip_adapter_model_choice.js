/* Which published files the user wants, what these need, and how much of that is missing. */

(() => {
    const {say} = ipAdapter;

    function translated(file) {
        return {...file, title: say(file.title), help: say(file.help)};
    }

    /* The user chooses adapters; files without a family are included because adapters need them. */
    function isAdapter({family}) {
        return family !== "";
    }

    ipAdapter.ModelChoice = class {
        constructor({bundles, files, free}) {
            Object.assign(this, {bundles, free});
            this.files = new Map(files.map((file) => [file.name, translated(file)]));
            this.wanted = new Set(); // names
            this.declined = new Set(); // names of needed files that the user has unticked
            this.replaced = new Map(); // name of a needed file -> name of the one that the user wants instead
        }

        /* Take over the states in a newer response. */
        update({files, free}) {
            this.free = free;
            for (const file of files) this.files.set(file.name, translated(file));
        }

        list(names) {
            return names.map((name) => this.files.get(name)).filter(Boolean);
        }

        get bases() {
            return [...new Set([...this.files.values()].map(({base}) => base).filter(Boolean))];
        }

        /* Return the bundles of a base with their adapters, and as `more` the adapters that are in none. */
        bundlesOf(base) {
            const bundles = this.bundles
                .filter((bundle) => bundle.base === base)
                .map((bundle) => ({
                    ...bundle,
                    files: this.list(bundle.files).filter(isAdapter),
                }));
            const bundled = new Set(bundles.flatMap(({files}) => files));
            const more = [...this.files.values()].filter(
                (file) => file.base === base && isAdapter(file) && !bundled.has(file),
            );
            return {bundles: bundles.filter(({files}) => files.length), more};
        }

        /* Return all adapters for a base, the recommended ones first. */
        adaptersOf(base) {
            const {bundles, more} = this.bundlesOf(base);
            return [...bundles.flatMap(({files}) => files), ...more];
        }

        get allWanted() {
            return this.list([...this.wanted]);
        }

        /* If no adapter for a base can run, want what a beginner needs: one that is installed but lacks files, or the first. */
        suggest(base) {
            const all = this.adaptersOf(base);
            const there = all.filter((file) => !this.isMissing(file));
            const canRun = (file) => this.needsOf([file]).every((need) => !this.isMissing(need));
            if (all.length && !there.some(canRun)) this.want([(there[0] || all[0]).name]);
        }

        /* Want the first adapter for a base with one of these uses, if it is missing or lacks files. */
        wantFor(base, uses) {
            const all = this.adaptersOf(base);
            const found = uses.map((use) => all.find((file) => file.use === use)).find(Boolean);
            if (found) this.want([found.name]);
        }

        want(names) {
            for (const name of names) this.wanted.add(name);
        }

        /* The user has ticked or unticked files; files that others need are included unless they are unticked. */
        set(names, isTicked) {
            for (const name of names) {
                const isChosen = isAdapter(this.files.get(name));
                const [list, isIn] = isChosen ? [this.wanted, isTicked] : [this.declined, !isTicked];
                isIn ? list.add(name) : list.delete(name);
            }
        }

        isTaken(file) {
            return isAdapter(file) ? this.wanted.has(file.name) : !this.declined.has(file.name);
        }

        /* A file that is elsewhere must still be put in its folder, but without a download. */
        isMissing({state}) {
            return ["missing", "elsewhere"].includes(state);
        }

        /* Return whether the user can choose a file now. */
        isFree(file) {
            return this.isMissing(file) && !ipAdapter.isUnderWay(ipAdapter.downloads.of(file.name) || {});
        }

        /* Return these files and everything that they need, each once. */
        withNeeds(files) {
            const found = new Set();
            const add = (file) => {
                if (found.has(file)) return;
                found.add(file);
                this.needed(file).forEach(add);
            };
            files.forEach(add);
            return [...found];
        }

        /* Return what a file needs, or what the user wants instead. */
        needed({needs}) {
            return this.list(needs.map((name) => this.replaced.get(name) || name));
        }

        /* Return the file that can be chosen instead of a needed one, or undefined. */
        otherOf({name, instead_of: original}) {
            const others = [...this.files.values()].filter((file) => file.instead_of === name);
            const other = original ? this.files.get(original) : others[0];
            return other && this.isFree(other) ? other : undefined;
        }

        /* Want another file than a needed one. */
        replace(file, other) {
            if (file.instead_of) this.replaced.delete(file.instead_of);
            else this.replaced.set(file.name, other.name);
        }

        /* Return what is included automatically with these files. */
        needsOf(files) {
            return this.withNeeds(files).filter((file) => !isAdapter(file));
        }

        /* Return which of these files need this one. */
        whatNeeds(needed, files) {
            const needs = (file) => this.needed(file).some((each) => each === needed || needs(each));
            return files.filter(needs);
        }

        /* Return the files to get. */
        get toGet() {
            return this.withNeeds(this.allWanted).filter((file) => this.isFree(file) && this.isTaken(file));
        }

        /* Return the folders that lack space for the files to be saved there. */
        get tooSmall() {
            const folders = [...new Set(this.toGet.map(({folder}) => folder))];
            return folders.filter(
                (folder) => ipAdapter.bytesOf(this.toGet.filter((file) => file.folder === folder)) > this.free[folder],
            );
        }
    };
})();

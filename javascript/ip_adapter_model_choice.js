/* Which of the published files a person wants, what these need, and how much of that is to be fetched. */

(() => {
    const {say} = ipAdapter;

    function translated(file) {
        return {...file, title: say(file.title), help: say(file.help)};
    }

    /* A person chooses adapters; what has no family comes along with them. */
    function isAdapter({family}) {
        return family !== "";
    }

    ipAdapter.ModelChoice = class {
        constructor({bundles, files, free}) {
            Object.assign(this, {bundles, free});
            this.files = new Map(files.map((file) => [file.name, translated(file)]));
            this.wanted = new Set(); // names
            this.declined = new Set(); // names of files that would come along, and shall not
        }

        /* Take the states of a newer answer. */
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

        /* Return the bundles of a base, each with the files that a person chooses from, and last what is in none. */
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

        /* Return all that a person chooses from for a base, the first one first. */
        adaptersOf(base) {
            const {bundles, more} = this.bundlesOf(base);
            return [...bundles.flatMap(({files}) => files), ...more];
        }

        get allWanted() {
            return this.list([...this.wanted]);
        }

        /* Want what a beginner needs, where no adapter of a base can run: the rest of one that is there, or the first. */
        suggest(base) {
            const all = this.adaptersOf(base);
            const there = all.filter((file) => !this.isMissing(file));
            const canRun = (file) => this.needsOf([file]).every((need) => !this.isMissing(need));
            if (all.length && !there.some(canRun)) this.want([(there[0] || all[0]).name]);
        }

        want(names) {
            for (const name of names) this.wanted.add(name);
        }

        /* The person has ticked or unticked files; what others need is taken along unless it is unticked. */
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

        /* A file that is elsewhere still needs its place, but no download. */
        isMissing({state}) {
            return ["missing", "elsewhere"].includes(state);
        }

        /* Return whether a file can be wanted now. */
        isFree(file) {
            return this.isMissing(file) && !ipAdapter.isUnderWay(ipAdapter.downloads.of(file.name) || {});
        }

        /* Return some files with all that they need, each once. */
        withNeeds(files) {
            const found = new Set();
            const add = (file) => {
                if (found.has(file)) return;
                found.add(file);
                this.list(file.needs).forEach(add);
            };
            files.forEach(add);
            return [...found];
        }

        /* Return what comes along with some files. */
        needsOf(files) {
            return this.withNeeds(files).filter((file) => !isAdapter(file));
        }

        /* Return which of some files need this one. */
        whatNeeds({name}, files) {
            const needs = (file) => file.needs.includes(name) || this.list(file.needs).some(needs);
            return files.filter(needs);
        }

        /* Return what is to be fetched. */
        get toGet() {
            return this.withNeeds(this.allWanted).filter((file) => this.isFree(file) && this.isTaken(file));
        }

        /* Return the folders that have less space than what is to be fetched into them. */
        get tooSmall() {
            const folders = [...new Set(this.toGet.map(({folder}) => folder))];
            return folders.filter(
                (folder) => ipAdapter.bytesOf(this.toGet.filter((file) => file.folder === folder)) > this.free[folder],
            );
        }
    };
})();

/* The server's downloads: one state for all panels and their dialogs. The server is asked every second while something
   is under way, and not at all otherwise. */

(() => {
    const EVERY = 1000; // milliseconds between two requests
    const UNDER_WAY = ["waiting", "running", "checking"];

    function isUnderWay({state}) {
        return UNDER_WAY.includes(state);
    }

    ipAdapter.Downloads = class {
        constructor() {
            this.files = []; // as the server reports them, in the order in which they were requested
            this.together = new Set(); // names of the files since the last time that nothing was under way
            this.watchers = new Set(); // functions that are called after each change
        }

        /* Any panel can ask, because all get the same answer. */
        get panel() {
            return Object.values(ipAdapter.panels)[0];
        }

        get underWay() {
            return this.files.filter(isUnderWay);
        }

        /* Return what is under way, and what was downloaded together with it. */
        get batch() {
            return this.files.filter(
                (file) => this.together.has(file.name) && (isUnderWay(file) || file.state === "done"),
            );
        }

        get isAllThere() {
            return this.files.every(({state}) => state === "done");
        }

        of(name) {
            return this.files.find((file) => file.name === name);
        }

        /* Check once, when the first panel knows that it can ask, whether something is under way. */
        async find({files}) {
            if (this.isFound || !files.offers("downloads")) return;
            this.isFound = true;
            await this.ask("downloads");
        }

        get(files) {
            return this.ask("get files", {files});
        }

        stop(files) {
            return this.ask("stop files", {files});
        }

        /* Return an error message, or "". */
        async ask(what, more) {
            const {files, message = ""} = await this.panel.asking.ask(what, more);
            if (files) await this.take(files);
            this.schedule();
            return files ? "" : message;
        }

        schedule() {
            clearTimeout(this.timer);
            if (this.underWay.length) this.timer = setTimeout(() => this.ask("downloads"), EVERY);
        }

        async take(files) {
            const ended = this.underWay.filter(({name}) =>
                files.some((file) => file.name === name && file.state === "done"),
            );
            this.files = files.map((file) => ({...file, title: ipAdapter.say(file.title)}));
            if (this.underWay.length === 0) this.together.clear();
            for (const {name} of this.underWay) this.together.add(name);
            if (ended.length) await this.refresh();
            for (const watch of this.watchers) watch(ended.length > 0);
        }

        /* Let all panels list the files again; the server searches for new ones only once. */
        async refresh() {
            const [first, ...others] = Object.values(ipAdapter.panels).filter(({state}) => state.ticked);
            await (first || this.panel).server.look("rescan");
            for (const panel of others) await panel.server.look();
        }
    };

    ipAdapter.isUnderWay = isUnderWay;
    ipAdapter.downloads = new ipAdapter.Downloads();
})();

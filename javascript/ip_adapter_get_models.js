/* The dialog for getting published models: the choice of files, their sizes and licences, and their progress. */

(() => {
    const {element, say, button, choice: select, option} = ipAdapter;
    const EVERY = 2000; // milliseconds between two checks while files are being verified

    /* Return a summary of the files to get, or which folder lacks space for them. */
    function sumOf(files, [small], free, size) {
        if (files.length === 0) return "";
        if (small) {
            const values = {folder: small, free: ipAdapter.sizeOf(free[small])};
            return say("There is not enough space in {folder}: only {free} available.", values);
        }
        const least = Math.min(...files.map(({folder}) => free[folder] ?? Infinity));
        const sum =
            files.length === 1 ? say("1 file, {size}.", {size}) : say("{n} files, {size}.", {n: files.length, size});
        return Number.isFinite(least) ? `${sum} ${say("{free} available.", {free: ipAdapter.sizeOf(least)})}` : sum;
    }

    ipAdapter.GetModels = class {
        constructor(panel) {
            this.panel = panel;
            this.head = element("div", {className: "ipadapter-row"});
            this.body = element("div", {className: "ipadapter-models-list", tabIndex: 0, role: "group"});
            this.body.setAttribute("aria-label", say("Files"));
            this.terms = element("div", {className: "ipadapter-agree"});
            this.agreed = ""; // the titles of the files whose terms the user has accepted
        }

        /* Open the dialog with the files of these `names` ticked, or else the first adapter with one of these `uses`, or
           else what a beginner needs. */
        async open(names = [], uses = []) {
            if (this.dialog) return;
            const fault = await this.look();
            if (fault) return this.panel.message.show(fault, true);
            this.choose(names, uses);
            this.isLeaving = false; // whether to close once everything requested is there
            this.list = new ipAdapter.ModelList(this.choice, () => this.tick());
            this.dialog = this.makeDialog();
            const watch = (isNew) => this.follow(isNew);
            ipAdapter.downloads.watchers.add(watch);
            this.draw();
            await this.dialog.open(this.panel.root);
            ipAdapter.downloads.watchers.delete(watch);
            this.dialog = null;
        }

        /* Ask for the catalogue; return an error message, or "". */
        async look() {
            const answer = await this.panel.asking.ask("catalogue", {base: ""});
            if (!answer.files) return answer.message;
            this.downloads = answer.downloads;
            this.choice ? this.choice.update(answer) : (this.choice = new ipAdapter.ModelChoice(answer));
            return "";
        }

        choose(names, uses) {
            const {choice, panel} = this;
            choice.wanted.clear();
            const unfinished = ipAdapter.downloads.files.filter(({state}) => state !== "done");
            const [first] = choice.list(names).filter(({base}) => base);
            this.base = first ? first.base : panel.files.base || choice.bases[0];
            choice.declined.clear();
            choice.want([...names, ...unfinished.map(({name}) => name)]);
            if (choice.wanted.size === 0) choice.wantFor(this.base, uses);
            if (choice.wanted.size === 0) choice.suggest(this.base);
        }

        makeDialog() {
            const onsubmit = (event) => {
                event.preventDefault();
                this.get();
            };
            const parts = [this.head, this.body, this.terms];
            const dialog = new ipAdapter.Dialog(say("Get models"), "", "", {onsubmit}, ...parts);
            dialog.root.classList.add("ipadapter-models");
            dialog.cancel.textContent = say("Close");
            return dialog;
        }

        /* The user has ticked or unticked something, so is not done yet. */
        tick() {
            this.isLeaving = false;
            this.hasTicked = true;
            this.draw();
        }

        async get() {
            const names = this.choice.toGet.map(({name}) => name);
            if (names.length === 0) return;
            this.dialog.use.disabled = true;
            this.hasTicked = false;
            const fault = await ipAdapter.downloads.get(names);
            this.isLeaving = !fault && !this.hasTicked;
            if (this.dialog) this.draw(fault);
        }

        /* Follow the downloads, and ask for the catalogue again when a file has arrived. */
        async follow(isNew) {
            if (isNew) await this.look();
            if (!this.dialog) return;
            if (this.isLeaving && ipAdapter.downloads.isAllThere) return this.dialog.root.close();
            if (isNew || this.shape() !== this.drawn) this.draw();
            else this.list.mark();
        }

        /* What the rows depend on, apart from their progress. */
        shape() {
            return JSON.stringify(ipAdapter.downloads.files.map(({name, state}) => [name, state]));
        }

        draw(fault = "") {
            ipAdapter.keepFocus(this.dialog.root, () => this.drawParts(fault));
        }

        drawParts(fault) {
            const {title} = this.dialog;
            this.drawn = this.shape();
            this.head.replaceChildren(title, this.drawBases(), ...this.drawVerify());
            this.body.replaceChildren(...this.drawRefusal(), ...this.list.draw(this.base, this.downloads.allowed));
            this.drawTerms();
            this.drawEnd(fault);
        }

        drawBases() {
            const loaded = this.panel.files.base;
            const bases = [...new Set([this.base, ...this.choice.bases])].sort();
            const options = bases.map((base) => option(base, base === loaded ? say("{base} (loaded)", {base}) : base));
            const field = select(options, this.base, {
                ariaLabel: say("Base model"),
                onchange: () => {
                    this.base = field.value;
                    this.draw();
                },
            });
            return field;
        }

        drawVerify() {
            const isThere = [...this.choice.files.values()].some((file) => !this.choice.isMissing(file));
            if (!isThere || !this.panel.files.offers("verify")) return [];
            const title = say("Compare the installed files with the published ones");
            return [button(say("Verify"), () => this.verify(), {title})];
        }

        async verify() {
            const {message} = await this.panel.asking.ask("verify");
            while (this.dialog && !(await this.look())) {
                this.draw(message);
                if (![...this.choice.files.values()].some(({state}) => state === "unchecked")) break;
                await new Promise((resolve) => setTimeout(resolve, EVERY));
            }
        }

        drawRefusal() {
            const {allowed, reason} = this.downloads;
            if (allowed) return [];
            const hint = say("Download the files from their pages, and put them in the folders shown next to them.");
            return [element("p", {className: "ipadapter-note wrong"}, `${reason} ${hint}`)];
        }

        /* The titles of the files to get whose licence does not clearly allow commercial use. */
        get restricted() {
            const files = this.choice.toGet.filter(({commercial}) => !commercial);
            return files.map(({title}) => title).join("; ");
        }

        drawTerms() {
            const titles = this.restricted;
            const isShown = titles && this.downloads.allowed;
            const tick = element("input", {type: "checkbox", checked: this.agreed === titles});
            tick.addEventListener("change", () => {
                this.agreed = tick.checked ? titles : "";
                this.drawEnd();
            });
            const sentence = say("I will use these files for non-commercial purposes only: {titles}.", {titles});
            this.terms.replaceChildren(...(isShown ? [element("label", {}, tick, element("span", {}, sentence))] : []));
        }

        /* The total size before the click, and the button. */
        drawEnd(fault = "") {
            const {toGet, tooSmall, free} = this.choice;
            const {use, hint} = this.dialog;
            const bytes = ipAdapter.bytesOf(toGet);
            const isRefused = this.restricted !== "" && this.agreed !== this.restricted;
            use.hidden = !this.downloads.allowed;
            use.textContent = bytes ? say("Get {size}", {size: ipAdapter.sizeOf(bytes)}) : say("Get");
            use.disabled = toGet.length === 0 || tooSmall.length > 0 || isRefused;
            hint.classList.toggle("wrong", Boolean(fault) || tooSmall.length > 0);
            this.dialog.show(fault || (use.hidden ? "" : sumOf(toGet, tooSmall, free, ipAdapter.sizeOf(bytes))));
        }
    };
})();

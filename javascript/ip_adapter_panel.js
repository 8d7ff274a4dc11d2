/* The panel of one tab, which connects the state of its units, the server, the text fields and the view. */

(() => {
    const {say} = ipAdapter;

    ipAdapter.Panel = class {
        constructor(root) {
            this.root = root;
            this.tab = root.dataset.tab;
            this.spec = JSON.parse(root.dataset.spec);
            this.files = new ipAdapter.Files();
            this.state = new ipAdapter.Units(this.spec, this.files);
            this.asking = new ipAdapter.Asking((name) => this.part(name));
            this.server = new ipAdapter.Server(this);
            this.fields = new ipAdapter.Fields((name) => this.part(name));
            this.intake = new ipAdapter.Intake(this);
            this.message = new ipAdapter.Message();
            this.recent = new ipAdapter.Recent(this);
            this.checking = new ipAdapter.Checking(this);
            this.controls = new ipAdapter.Controls(this);
            this.keypoints = new ipAdapter.Keypoints(this);
            this.plot = new ipAdapter.Plot(this);
            this.stepsBar = new ipAdapter.StepsBar(this);
            this.presets = new ipAdapter.Presets(this);
            this.recipes = new ipAdapter.Recipes(this);
            this.purposes = new ipAdapter.Purposes(this);
            this.strengthSlider = new ipAdapter.StrengthSlider(this);
            this.subjects = new ipAdapter.Subjects(this);
            this.following = new ipAdapter.Following(this);
            this.readiness = new ipAdapter.Readiness(this);
            this.trying = new ipAdapter.Trying(this);
            this.tabs = new ipAdapter.Tabs(this);
            this.promptStrip = new ipAdapter.PromptStrip(this);
            this.getModels = new ipAdapter.GetModels(this);
            this.downloadLine = new ipAdapter.DownloadLine(this);
            this.view = new ipAdapter.View(this);
            this.news = new ipAdapter.News(this);
            this.report = new ipAdapter.Report(this);
            this.generations = new ipAdapter.Generations(this);
            this.repairs = new ipAdapter.Repairs(this);
            root.addEventListener("paste", (event) => this.intake.paste(event));
            this.draw();
        }

        /* The open unit. */
        get unit() {
            return this.state.open;
        }

        /* The adapter of the open unit, if the server has it. */
        get model() {
            return this.files.modelOf(this.unit);
        }

        part(name) {
            return gradioApp().querySelector(`#ipadapter_${this.tab}_${name}`);
        }

        /* Draw the open unit, and write the units that are sent. */
        draw() {
            this.view.draw();
            this.news.draw();
            this.report.draw();
            this.write();
        }

        /* Write the units that are sent, and update what depends on them. */
        write() {
            const isPasted = this.takePasted();
            this.state.all.forEach((unit) => this.state.strength.follow(unit));
            this.state.all.forEach((_, index) => this.fields.write(index, this.state.jsonParts(index)));
            if (isPasted) this.view.draw();
            this.tabs.draw();
            this.promptStrip.draw();
            this.view.mark();
            this.plot.refresh();
            this.readiness.refresh();
        }

        takePasted() {
            const pasted = this.state.all.map((_, index) => this.fields.pasted(index));
            pasted.forEach((text, index) => text && this.take(index, text));
            return pasted.some(Boolean);
        }

        /* Take over a pasted unit that the web UI wrote to its text field, unless `write` did so before. */
        restore(index, text) {
            if (index >= this.state.all.length || text === "" || this.fields.isWritten(index, text)) return;
            this.take(index, text);
            this.draw();
        }

        /* Take over a pasted unit. Pictures that are no longer stored are missing: infotext has only their hashes. */
        take(index, text) {
            const {note, ...pasted} = JSON.parse(text);
            this.state.paste(index, pasted);
            this.message.show(ipAdapter.sentence(note || ""), true);
        }

        set(name, value) {
            this.unit[name] = value;
            this.write();
            if (this.checking.isOutdated || this.state.decides(name)) this.view.draw();
        }

        /* Replace the open unit, with an undo button. */
        replace(unit, text) {
            const undo = this.state.put(this.state.current, unit);
            const back = () => {
                undo();
                this.message.clear();
                this.draw();
            };
            this.message.show(text, false, {[say("Undo")]: back});
            this.draw();
        }

        open(index) {
            if (index === this.state.current) return;
            this.state.current = index;
            this.message.clear();
            this.draw();
        }

        /* Open a unit and bring it into view. */
        reveal(index) {
            const fold = gradioApp().querySelector(`#ipadapter_${this.tab} .label-wrap:not(.open)`);
            if (fold) fold.click();
            this.open(index);
            this.tabs.root.scrollIntoView({block: "nearest"});
            this.tabs.root.children[index].focus({preventScroll: true});
        }

        /* Open the unit that stopped a generation, and show the error. */
        showRefusal(index, text) {
            if (index in this.state.all) this.open(index);
            this.message.show(ipAdapter.sentence(text), true);
        }

        /* The web UI has ticked or unticked the panel. */
        tick(on) {
            this.state.ticked = on;
            if (on) this.server.look();
            this.write();
        }

        tickItself() {
            if (!this.state.ticked) gradioApp().querySelector(`#ipadapter_${this.tab}-checkbox input`).click();
        }
    };
})();

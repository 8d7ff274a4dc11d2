/* "What is wrong with it?", below the gallery after a generation with units: the user chooses what the picture shows, and
   gets at most two repairs. */

(() => {
    const {element, say, button} = ipAdapter;

    ipAdapter.Repairs = class {
        constructor(panel) {
            this.panel = panel;
            this.answer = "";
            this.index = 0; // of the unit that it is about
            this.offered = null; // the server's repairs
            this.done = null; // what was taken: its text, and a function that undoes it
            this.log = new ipAdapter.RunLog(panel.tab);
            this.units = element("div", {className: "ipadapter-chips", role: "group", ariaLabel: say("Unit")});
            this.answers = element("div", {className: "ipadapter-chips", role: "group", ariaLabel: this.title});
            this.results = element("div", {className: "ipadapter-repairs", role: "status"});
            this.fold = element(
                "details",
                {},
                element("summary", {}, this.title),
                this.units,
                this.answers,
                this.results,
                this.log.root,
            );
            this.root = element("div", {className: "ipadapter-panel ipadapter-after", hidden: true}, this.fold);
            panel.generations.ended.add((changes, isUsed) => this.begin(changes, isUsed));
        }

        get title() {
            return say("What is wrong with it?");
        }

        /* Show the question about a generation that has just ended. */
        begin(changes, isUsed) {
            this.root.hidden = !isUsed || !this.panel.files.offers("repairs") || !this.place();
            if (this.root.hidden) return;
            Object.assign(this, {answer: "", offered: null, done: null});
            const {units} = this.panel.generations.latest;
            const {current} = this.panel.state;
            this.index = units[current] ? current : units.findIndex(Boolean);
            this.log.add(changes, this.panel.generations.latest);
            this.draw();
        }

        /* Put it below the gallery's buttons, where the page has them. */
        place() {
            if (this.root.isConnected) return true;
            const {tab} = this.panel;
            const buttons = gradioApp().querySelector(`#image_buttons_${tab}`);
            const log = gradioApp().querySelector(`#html_log_${tab}`);
            if (buttons) buttons.after(this.root);
            else log?.before(this.root);
            return this.root.isConnected;
        }

        draw() {
            this.drawUnits();
            const chips = this.panel.spec.answers.map((answer) => this.chip(say(answer), answer === this.answer));
            chips.forEach((chip, i) => chip.addEventListener("click", () => this.choose(this.panel.spec.answers[i])));
            replace(this.answers, chips);
            replace(this.results, this.drawResults());
        }

        chip(text, isPressed) {
            return element(
                "button",
                {type: "button", className: "ipadapter-chip", ariaPressed: String(isPressed), ariaLabel: text},
                text,
            );
        }

        /* With several units, which one it is about: those that were used, and those that were not, although they could. */
        drawUnits() {
            const {state, generations} = this.panel;
            const places = state.all.map((unit, index) => index).filter((index) => state.isFilled(state.all[index]));
            const chips = places.map((index) => {
                const name = say("Unit {n}", {n: index + 1});
                const isUsed = generations.latest?.units[index];
                const chip = this.chip(isUsed ? name : `${name} (${say("off")})`, index === this.index);
                chip.addEventListener("click", () => this.turnTo(index));
                return chip;
            });
            this.units.hidden = chips.length < 2;
            replace(this.units, chips);
        }

        turnTo(index) {
            this.index = index;
            if (this.answer) this.choose(this.answer);
            else this.draw();
        }

        /* Ask what repairs it. */
        async choose(answer) {
            const {panel, index} = this;
            Object.assign(this, {answer, offered: null, done: null});
            this.log.see(answer);
            panel.open(index);
            this.draw();
            const found = await panel.server.answerTo("repairs", this.question());
            if (this.answer !== answer || this.index !== index) return;
            this.offered = found.repairs || [];
            this.problem = found.message || "";
            this.draw();
        }

        question() {
            const {panel, answer, index} = this;
            const unit = panel.state.all[index];
            const {strength} = panel.state;
            const {asked, steps} = panel.generations.latest;
            return {
                unit: {...ipAdapter.lightCopy(panel.state.sent(unit)), enabled: unit.enabled},
                answer,
                place: strength.isCustom(unit) ? null : strength.placeOf(unit),
                cfg_scale: asked.cfg_scale,
                denoising: panel.tab === "img2img" ? asked.denoising_strength : null,
                steps: steps.filter(Boolean),
            };
        }

        drawResults() {
            if (this.done) return [this.drawDone()];
            if (!this.offered) return [];
            if (this.problem) return [element("p", {className: "ipadapter-note wrong"}, this.problem)];
            if (this.offered.length === 0) return [this.drawNothing()];
            return this.offered.map((repair) => this.drawRepair(repair));
        }

        drawNothing() {
            const text = say("The settings show no reason. Try another reference, or another seed.");
            return element("p", {className: "ipadapter-note"}, text);
        }

        drawRepair(repair) {
            if (repair.do === "finding") return ipAdapter.drawFinding(this.panel, repair.finding);
            const {text, act} = ipAdapter.repairAct(this.panel, repair);
            const why = element("span", {className: "ipadapter-note"}, say(repair.why));
            return element(
                "div",
                {className: "ipadapter-repair"},
                button(text, () => this.take(text, act)),
                why,
            );
        }

        take(text, act) {
            this.panel.open(this.index);
            const undo = act(this.index);
            if (!undo) return;
            this.done = {text, undo};
            this.draw();
            this.results.querySelector("button").focus();
        }

        drawDone() {
            const text = say("{what}: set. Generate again to see what it does.", {what: this.done.text});
            return element(
                "div",
                {className: "ipadapter-repair"},
                button(say("Undo"), () => this.undo()),
                element("span", {className: "ipadapter-note"}, text),
            );
        }

        undo() {
            this.done.undo();
            this.done = null;
            this.draw();
            this.results.querySelector("button")?.focus();
        }
    };

    function replace(parent, children) {
        ipAdapter.keepFocus(parent, () => parent.replaceChildren(...children));
    }
})();

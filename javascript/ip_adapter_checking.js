/* What the encoder will see of a unit's references, and what the server advises on them. */

(() => {
    const {element, say, button} = ipAdapter;

    ipAdapter.Checking = class {
        constructor(panel) {
            this.panel = panel;
            this.reports = new Map(); // address of a picture -> what the server said of it, or null while it looks
            this.advice = [];
        }

        get offered() {
            return this.panel.files.asks.includes("check");
        }

        /* A button, and what was said of the unit as a whole. */
        draw() {
            if (!this.offered || this.panel.unit.images.length === 0) return [];
            const title = say("Show what the encoder will see of each reference, and what speaks against it");
            return [
                element("div", {className: "ipadapter-row"}, button(say("Check references"), () => this.ask(), {title})),
                ...this.advice.map((text) => element("p", {className: "ipadapter-note"}, text)),
            ];
        }

        async ask() {
            const {unit} = this.panel;
            this.panel.tell(say("Looking at the references…"));
            this.panel.drawBody();
            const answer = await this.panel.asking.ask("check", {unit: {...this.panel.sent(unit), enabled: true}});
            if (!answer.references) {
                this.panel.tell(answer.message, true);
            } else {
                this.panel.tell("");
                this.advice = answer.advice || [];
                unit.images.forEach((picture, index) => this.reports.set(picture.image, answer.references[index]));
            }
            this.panel.drawBody();
        }

        /* What stands below a reference that was looked at. */
        drawAdvice(field, picture) {
            const report = field === "images" && this.reports.get(picture.image);
            if (!report) return [];
            const seen = (report.seen || []).map((src) => element("img", {src, alt: say("What the encoder sees"), title: say("What the encoder sees")}));
            return [
                element("div", {className: "ipadapter-seen"}, ...seen),
                ...(report.advice || []).map((text) => element("p", {className: "ipadapter-note"}, text)),
            ];
        }
    };
})();

/* Copies a report of what runs here, for asking others for help. The server writes it, without pictures, paths, names and
   prompts; the user sees what was copied. */

(() => {
    const {element, say, button} = ipAdapter;

    ipAdapter.Report = class {
        constructor(panel) {
            this.panel = panel;
            this.place = element("div", {className: "ipadapter-copied", role: "status"});
            this.button = button("", () => this.copy());
            this.root = element("div", {className: "ipadapter-foot"}, this.button, panel.news.version, this.place);
            panel.root.append(this.root);
        }

        /* Name the button in the web UI's language; the same element keeps the focus. */
        draw() {
            this.button.textContent = say("Copy report");
            this.button.title = say(
                "Copy versions, settings and the last error, without pictures, paths, names and prompts",
            );
        }

        async copy() {
            const {panel, place} = this;
            const {report, message} = await panel.server.answerTo("report", {
                ...JSON.parse(panel.readiness.question()),
                error: panel.message.lastError,
            });
            if (report) ipAdapter.copyText(report, place, true);
            else place.replaceChildren(element("p", {className: "ipadapter-note wrong"}, message));
        }
    };
})();

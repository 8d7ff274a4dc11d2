/* Copies a report of what runs here, for asking others for help. The server writes it, without pictures, paths, names and
   prompts; the user sees what was copied. */

(() => {
    const {element, say, button} = ipAdapter;

    ipAdapter.Report = class {
        constructor(panel) {
            this.panel = panel;
            this.place = element("div", {className: "ipadapter-copied", role: "status"});
            const title = say("Copy versions, settings and the last error, without pictures, paths, names and prompts");
            const copy = button(say("Copy report"), () => this.copy(), {title});
            this.root = element("div", {className: "ipadapter-foot"}, copy, this.place);
            panel.root.append(this.root);
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

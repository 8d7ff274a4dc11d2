/* The run log: a line for each generation with what was changed, what was seen and a note. It stays in the browser only
   if the user wants that. */

(() => {
    const {element, say, button} = ipAdapter;
    const KEY = "ipadapter-run-log";
    const MOST = 100; // lines

    /* Storage may be forbidden. */
    function stored(tab) {
        try {
            return JSON.parse(localStorage.getItem(`${KEY}-${tab}`));
        } catch {
            return null;
        }
    }

    function store(tab, runs) {
        try {
            if (runs) localStorage.setItem(`${KEY}-${tab}`, JSON.stringify(runs));
            else localStorage.removeItem(`${KEY}-${tab}`);
            return true;
        } catch {
            return false;
        }
    }

    /* Return a line as text: number, what was changed, what was seen, note. */
    function lineOf(run) {
        const seen = run.seen ? say(run.seen) : "";
        return [String(run.n), changesOf(run), seen, run.note].filter(Boolean).join(" · ");
    }

    function changesOf({n, changes}) {
        return changes.join(", ") || (n === 1 ? say("first run") : say("no change"));
    }

    ipAdapter.RunLog = class {
        constructor(tab) {
            this.tab = tab;
            const kept = stored(tab);
            this.runs = kept || []; // the latest last
            this.isKept = Boolean(kept);
            this.lines = element("ol", {className: "ipadapter-runs"});
            this.status = element("div", {className: "ipadapter-note", role: "status"});
            this.name = element("summary");
            this.root = element("details", {className: "ipadapter-log"}, this.name, this.lines, this.drawTools());
            this.draw();
        }

        drawTools() {
            this.keep = element("input", {type: "checkbox", checked: this.isKept, onchange: () => this.hold()});
            return element(
                "div",
                {},
                element(
                    "div",
                    {className: "ipadapter-row"},
                    button(say("Copy"), () => this.copy(), {ariaLabel: say("Copy the run log")}),
                    button(say("Clear"), () => this.clear(), {ariaLabel: say("Clear the run log")}),
                    element("label", {className: "ipadapter-check"}, this.keep, say("Keep in this browser")),
                ),
                this.status,
            );
        }

        /* Add a line for a generation. */
        add(changes, {asked}) {
            const n = (this.runs[this.runs.length - 1]?.n || 0) + 1;
            this.runs.push({n, changes, seen: "", note: "", isRandom: asked.seed === "-1"});
            this.runs.splice(0, this.runs.length - MOST);
            this.save();
            this.draw();
        }

        /* Note what was seen in the latest picture. */
        see(answer) {
            const last = this.runs[this.runs.length - 1];
            if (!last) return;
            last.seen = answer;
            this.save();
            this.draw();
        }

        save() {
            if (this.isKept) this.isKept = store(this.tab, this.runs);
        }

        hold() {
            this.isKept = store(this.tab, this.keep.checked ? this.runs : null) && this.keep.checked;
            this.keep.checked = this.isKept;
        }

        clear() {
            this.runs = [];
            this.save();
            this.draw();
        }

        copy() {
            ipAdapter.copyText(this.runs.map(lineOf).join("\n"), this.status);
        }

        draw() {
            this.name.textContent = say("Run log ({n})", {n: this.runs.length});
            this.status.replaceChildren(this.advice());
            this.lines.replaceChildren(...[...this.runs].reverse().map((run) => this.drawLine(run)));
        }

        /* What makes the latest two runs hard to compare. */
        advice() {
            const last = this.runs[this.runs.length - 1];
            if (!last || last.n === 1) return "";
            if (last.changes.length > 1)
                return say("Several things were changed at once. Change one to see what it does.");
            return last.isRandom ? say("The seed is random, so pictures differ by chance too.") : "";
        }

        drawLine(run) {
            const note = element("input", {
                type: "text",
                value: run.note,
                placeholder: say("Note"),
                ariaLabel: say("Note on run {n}", {n: run.n}),
                oninput: () => {
                    run.note = note.value;
                    this.save();
                },
                onkeydown: (event) => event.stopPropagation(),
            });
            const parts = [changesOf(run), run.seen && say(run.seen)].filter(Boolean).join(" · ");
            return element("li", {value: run.n}, element("div", {}, element("span", {}, parts), note));
        }
    };
})();

/* One published file in the dialog for getting models: what it is, whether it is installed, and its progress. */

(() => {
    const {element, say, button} = ipAdapter;

    const STATES = {
        there: () => [say("installed"), "✓"],
        unchecked: () => [say("installed"), "✓"],
        elsewhere: ({there_as: path}) => [say("already on this computer as {path}, no download needed", {path}), ""],
        different: () => [say("different file"), "⚠"],
    };
    const ACTS = {
        paused: () => [say("Resume"), say("Resume {title}")],
        stopped: () => [say("Resume"), say("Resume {title}")],
        failed: () => [say("Try again"), say("Try again: {title}")],
    };

    /* Return the progress of a download in words. */
    function wordsOf({state, done, bytes, speed, seconds_left: seconds, error}) {
        const parts = {
            waiting: () => [say("Queued")],
            running: () => [
                ipAdapter.partOf(done, bytes),
                speed ? say("{size}/s", {size: ipAdapter.sizeOf(speed)}) : "",
                seconds === null ? "" : ipAdapter.timeLeft(seconds),
            ],
            checking: () => [say("Checking…")],
            paused: () => [say("Paused at {part}", {part: ipAdapter.partOf(done, bytes)})],
            stopped: () => [say("Stopped at {part}", {part: ipAdapter.partOf(done, bytes)})],
            failed: () => [error],
        };
        return parts[state]().filter(Boolean).join(" · ");
    }

    /* A bar that shows how much of a whole is done. */
    ipAdapter.Bar = class {
        constructor(ariaLabel) {
            this.part = element("span");
            const range = {role: "progressbar", ariaValueMin: 0, ariaValueMax: 100};
            this.root = element("div", {className: "ipadapter-bar", ariaLabel, ...range}, this.part);
        }

        show(done, bytes) {
            const percent = bytes ? Math.floor((done / bytes) * 100) : 0;
            this.part.style.width = `${percent}%`;
            this.root.setAttribute("aria-valuenow", percent);
        }
    };

    ipAdapter.ModelRow = class {
        /* `tick` is the checkbox that chooses the file, or null if it cannot be downloaded; `about` is a sentence about
           the file; `other` is the button that takes another file instead, or null. */
        constructor(file, tick, about, other) {
            Object.assign(this, {file, tick, about, other});
        }

        /* Its download, as the server reports it, or one that a restart of the server has interrupted. */
        get download() {
            const download = ipAdapter.downloads.of(this.file.name);
            if (download) return download.state !== "done" ? download : null;
            const {part: done, bytes} = this.file;
            return done && this.tick ? {state: "paused", done: Math.min(done, bytes), bytes} : null;
        }

        draw() {
            const {file, tick} = this;
            const [words, mark] = STATES[file.state]?.(file) || ["", ""];
            const title = element(tick ? "label" : "span", {className: "ipadapter-title"}, file.title);
            if (tick) title.htmlFor = tick.id;
            return element(
                "div",
                {className: "ipadapter-model", role: "group", ariaLabel: file.title, title: file.there_as || file.name},
                tick || element("span", {ariaHidden: "true"}, mark),
                title,
                element("output", {}, [ipAdapter.sizeOf(file.bytes), words].filter(Boolean).join(" · ")),
                element("div", {className: "ipadapter-about"}, element("span", {}, this.about), this.drawFacts()),
                ...(this.other ? [element("div", {className: "ipadapter-about"}, this.other)] : []),
                ...this.drawTrouble(),
                ...this.drawDownload(),
            );
        }

        /* Its licence, its folder, and a link to its page. */
        drawFacts() {
            const {licence, commercial, folder, page, title} = this.file;
            const attributes = {
                href: page,
                target: "_blank",
                rel: "noopener",
                ariaLabel: say("Page about {title}", {title}),
            };
            const restricted = element("strong", {}, say("non-commercial"));
            const allowed = commercial || licence.includes("non-commercial") ? [licence] : [licence, " · ", restricted];
            return element("span", {}, ...allowed, " · ", folder, " · ", element("a", attributes, say("Page")));
        }

        drawTrouble() {
            if (this.file.state !== "different") return [];
            return [element("p", {className: "ipadapter-note wrong"}, this.file.sentence)];
        }

        drawDownload() {
            if (!this.download) return [];
            this.bar = new ipAdapter.Bar(say("Progress of {title}", {title: this.file.title}));
            this.words = element("span", {className: this.download.state === "failed" ? "wrong" : ""});
            this.mark();
            return [element("div", {className: "ipadapter-fetching"}, this.bar.root, this.words, this.drawAct())];
        }

        drawAct() {
            const {name, title} = this.file;
            const {downloads} = ipAdapter;
            if (ipAdapter.isUnderWay(this.download)) {
                return button(say("Stop"), () => downloads.stop([name]), {ariaLabel: say("Stop {title}", {title})});
            }
            const [word, ariaLabel] = ACTS[this.download.state]();
            return button(word, () => downloads.get([name]), {ariaLabel: ariaLabel.replace("{title}", title)});
        }

        /* Show its progress. */
        mark() {
            const {download} = this;
            if (!download || !this.bar) return;
            this.bar.show(download.done, download.bytes);
            this.words.textContent = wordsOf(download);
        }
    };
})();

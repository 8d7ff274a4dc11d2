/* A thin line above the units that shows the progress of the downloads and opens their dialog. */

(() => {
    const {element, say} = ipAdapter;

    function sum(files, name) {
        return files.reduce((all, file) => all + file[name], 0);
    }

    /* Return the seconds until everything is downloaded, or null if that is unknown. */
    function secondsLeft(files) {
        const speed = sum(files, "speed");
        return speed ? (ipAdapter.bytesOf(files) - sum(files, "done")) / speed : null;
    }

    function wordsOf(files) {
        const seconds = secondsLeft(files);
        const what =
            files.length === 1
                ? say("Downloading {title}", {title: files[0].title})
                : say("Downloading {n} files", {n: files.length});
        const percent = `${Math.floor((100 * sum(files, "done")) / ipAdapter.bytesOf(files))} %`;
        return [what, percent, ...(seconds === null ? [] : [ipAdapter.timeLeft(seconds)])].join(" · ");
    }

    ipAdapter.DownloadLine = class {
        constructor(panel) {
            this.panel = panel;
            this.root = element("div", {className: "ipadapter-downloading", hidden: true});
            ipAdapter.downloads.watchers.add(() => this.mark());
        }

        /* Show what is under way, or what failed. */
        mark() {
            const {underWay, batch, files} = ipAdapter.downloads;
            const failed = files.filter(({state}) => state === "failed");
            this.root.hidden = underWay.length + failed.length === 0;
            if (this.root.hidden) return;
            if (!this.words) this.draw();
            this.root.classList.toggle("wrong", underWay.length === 0);
            this.bar.root.hidden = underWay.length === 0;
            this.bar.show(sum(batch, "done"), ipAdapter.bytesOf(batch));
            this.words.textContent = underWay.length
                ? wordsOf(batch)
                : say("{title} could not be downloaded.", {title: failed[0].title});
        }

        draw() {
            this.bar = new ipAdapter.Bar(say("Download progress"));
            this.words = element("span");
            const onclick = () => this.panel.getModels.open();
            const open = element("button", {type: "button", onclick, title: say("Show downloads")}, this.words);
            this.root.replaceChildren(this.bar.root, open);
        }
    };
})();

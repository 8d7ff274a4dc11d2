/* A panel's requests to the server, and what it does with the answers. */

(() => {
    const {say} = ipAdapter;

    ipAdapter.Server = class {
        constructor(panel) {
            this.panel = panel;
        }

        /* Return the server's answer, once the view may be redrawn. */
        async answerTo(what, more) {
            const answer = await this.panel.asking.ask(what, more);
            await this.panel.view.released;
            return answer;
        }

        /* Make a request that is answered with new lists, a message, or both. */
        async ask(what, more) {
            const {message, kept = [], ...files} = await this.answerTo(what, more);
            this.panel.files.take(files);
            this.panel.state.renew();
            if (message) this.panel.message.show(message + this.stays(kept), Object.keys(files).length === 0);
            this.panel.draw();
        }

        /* Say which files were kept in a deleted subject's folder. */
        stays(files) {
            if (files.length === 0) return "";
            return ` ${say("Other files in its folder were kept: {files}.", {files: files.join(", ")})}`;
        }

        /* Make a request that takes long, and show its progress with a button that stops it. */
        work(what, more) {
            const {panel} = this;
            panel.message.show(say("Working…"));
            const task = ipAdapter.newTask();
            const work = this.ask(what, {...more, task});
            const stop = () => gradioApp().querySelector(`#${panel.tab}_interrupt`).click();
            ipAdapter.follow(task, work, async (text) => {
                await panel.view.released;
                panel.message.show(text, false, {[say("Stop")]: stop});
            });
            return work;
        }

        /* Get the lists of files. */
        async look(what = "list") {
            await this.ask(what);
            this.panel.following.follow();
            this.panel.intake.chooseAdapters();
            ipAdapter.downloads.find(this.panel);
            if (this.panel.files.offers("subjects")) await this.ask("subjects");
        }

        /* Save the open unit's references under a name. */
        save() {
            const name = (prompt(say("Name of the saved reference")) || "").trim();
            if (!name) return;
            const file = `${name}.safetensors`.toLowerCase();
            const overwrite = this.panel.files.saved.some((saved) => saved.name.toLowerCase() === file);
            if (overwrite && !confirm(say("Replace the saved reference {name}?", {name}))) return;
            this.work("save", {name, unit: {...this.panel.unit, enabled: true, embeds: ""}, overwrite});
        }
    };
})();

/* What is new: a line after an update, which goes once it was read or closed, and a dialog with the changes, which the
   version at the panel's end opens too. */

(() => {
    const {element, say, button, sign} = ipAdapter;

    ipAdapter.News = class {
        constructor(panel) {
            this.panel = panel;
            this.root = element("div", {className: "ipadapter-news", role: "status", hidden: true});
            this.version = button("", () => this.open(), {className: "ipadapter-version"});
            panel.root.prepend(this.root);
        }

        /* Name the version in the web UI's language, and show the line as long as nobody has read the changes. */
        draw() {
            const {files, spec} = this.panel;
            this.version.textContent = say("Version {version}", {version: spec.version});
            this.version.title = say("What is new");
            if (this.root.hidden !== files.news) return;
            this.root.hidden = !files.news;
            this.root.replaceChildren(...(files.news ? this.drawLine() : []));
        }

        drawLine() {
            const {version} = this.panel.spec;
            return [
                element("span", {}, say("IP-Adapter was updated to version {version}.", {version})),
                button(say("What is new"), () => this.open()),
                sign("×", say("Close"), () => this.read()),
            ];
        }

        /* Return the changes. From now on they count as read, in both tabs. */
        async read() {
            const {changes = [], message} = await this.panel.server.answerTo("read news");
            if (message) this.panel.message.show(message, true);
            for (const panel of Object.values(ipAdapter.panels)) {
                panel.files.news = false;
                panel.news.draw();
            }
            return changes;
        }

        async open() {
            const changes = await this.read();
            if (changes.length === 0) return;
            const parts = changes.flatMap(({title, items}) => [
                element("h4", {}, title),
                element("ul", {}, ...items.map((item) => element("li", {}, item))),
            ]);
            const list = element("div", {className: "ipadapter-changes", tabIndex: 0, role: "group"}, ...parts);
            list.setAttribute("aria-label", say("Changes"));
            const dialog = new ipAdapter.Dialog(say("What is new"), "", "", {}, list);
            dialog.use.remove();
            dialog.cancel.textContent = say("Close");
            await dialog.open(this.panel.root);
            this.version.focus();
        }
    };
})();

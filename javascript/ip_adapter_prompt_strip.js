/* Thumbnails of the references in use, under the prompt. They stand in the free part of the line of tabs there, so
   that the page does not move when they come and go; where that line is full, they are left out. */

(() => {
    const {element, say} = ipAdapter;
    const LEAST = 40; // pixels of free width that are worth using
    const SETTING = "ipadapter_prompt_strip";

    const isWanted = () => typeof opts === "undefined" || opts[SETTING] !== false;

    ipAdapter.PromptStrip = class {
        constructor(panel) {
            this.panel = panel;
            this.drawn = [];
            this.root = element("div", {
                className: "ipadapter-panel ipadapter-thumbnails",
                role: "group",
                ariaLabel: say("References in use"),
                hidden: true,
            });
        }

        /* The line of tabs under the prompt, if the page has one. */
        get line() {
            return gradioApp().querySelector(`#${this.panel.tab}_extra_tabs > .tab-nav`);
        }

        /* Put the strip into the page once the web UI has drawn it. */
        place() {
            const {line, root} = this;
            if (!line || root.isConnected) return Boolean(line);
            line.parentElement.classList.add("ipadapter-beside");
            line.parentElement.append(root);
            new ResizeObserver(() => this.fit()).observe(line);
            line.addEventListener("click", () => requestAnimationFrame(() => this.fit()));
            return true;
        }

        /* The pictures in use, each with its unit's place. */
        pictures() {
            const {state} = this.panel;
            if (!state.ticked || !isWanted()) return [];
            return state.all.flatMap((unit, index) =>
                state.isUsed(unit) ? unit.images.map(({image}) => ({image, index})) : [],
            );
        }

        draw() {
            const pictures = this.pictures();
            const isSame =
                pictures.length === this.drawn.length &&
                pictures.every(
                    ({image, index}, at) => image === this.drawn[at].image && index === this.drawn[at].index,
                );
            if (isSame || !this.place()) return;
            this.drawn = pictures;
            this.root.replaceChildren(...pictures.map((picture) => this.drawOne(picture)));
            this.fit();
        }

        drawOne({image, index}) {
            const title = say("Open unit {n}", {n: index + 1});
            return element(
                "button",
                {type: "button", title, ariaLabel: title, onclick: () => this.panel.reveal(index)},
                element("img", {src: image, alt: "", draggable: false}),
                element("span", {}, String(index + 1)),
            );
        }

        /* Use what the tabs leave free of their last line. */
        fit() {
            const tabs = [...this.line.children].filter((child) => child.getBoundingClientRect().width > 0);
            const last = tabs.filter((tab) => tab.matches("button")).pop();
            if (!last) return;
            const [whole, end] = [this.line.getBoundingClientRect(), last.getBoundingClientRect()];
            const others = tabs.filter((tab) => !tab.matches("button"));
            const right = Math.min(whole.right, ...others.map((tab) => tab.getBoundingClientRect().left));
            const free = right - end.right - 16;
            const from = this.line.parentElement.getBoundingClientRect();
            this.root.hidden = this.drawn.length === 0 || free < LEAST;
            Object.assign(this.root.style, {
                left: `${end.right - from.left + 8}px`,
                top: `${end.top - from.top}px`,
                width: `${free}px`,
                height: `${end.height}px`,
            });
        }
    };

    if (typeof onOptionsChanged === "function")
        onOptionsChanged(() => Object.values(ipAdapter.panels).forEach((panel) => panel.promptStrip.draw()));
})();

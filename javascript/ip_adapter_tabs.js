/* The tabs, one for each unit, with its summary. */

(() => {
    const {element, say} = ipAdapter;
    const STEPS = {ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity};

    function adapterOf(unit, model) {
        if (model && model.title) return model.title[0].toUpperCase() + model.title.slice(1);
        return unit.model.replace(/\.\w+$/, "") || say("no adapter");
    }

    /* Return a unit's summary: adapter, weight, references. */
    ipAdapter.summaryOf = (unit, state) => {
        if (!state.isFilled(unit)) return "";
        const count = unit.images.filter((picture) => !ipAdapter.isOff(picture)).length;
        if (state.isSilent(unit)) return say("all references are off");
        const pictures = count === 1 ? say("1 ref") : say("{n} refs", {n: count});
        const named = unit.subject || unit.embeds;
        const words = [adapterOf(unit, state.files.modelOf(unit)), String(unit.weight), named];
        return [...words, count || !named ? pictures : ""].filter(Boolean).join(" · ");
    };

    ipAdapter.Tabs = class {
        constructor(panel) {
            this.panel = panel;
            this.root = element("div", {
                className: "ipadapter-tabs",
                role: "tablist",
                onkeydown: (event) => this.key(event),
            });
        }

        draw() {
            const focused = [...this.root.children].indexOf(document.activeElement);
            this.root.setAttribute("aria-label", say("Units"));
            this.root.replaceChildren(...this.panel.state.all.map((unit, index) => this.drawTab(unit, index)));
            if (focused >= 0) this.root.children[focused].focus({preventScroll: true});
        }

        drawTab(unit, index) {
            const {state} = this.panel;
            const summary = ipAdapter.summaryOf(unit, state);
            return element(
                "button",
                {
                    type: "button",
                    role: "tab",
                    ariaSelected: String(index === state.current),
                    ariaControls: `ipadapter_${this.panel.tab}_unit`,
                    tabIndex: index === state.current ? 0 : -1,
                    className: `ipadapter-tab${state.isUsed(unit) ? " used" : ""}`,
                    title: summary,
                    onclick: () => this.panel.open(index),
                    ondragenter: () => this.panel.open(index),
                },
                element("span", {}, say("Unit {n}", {n: index + 1}), this.panel.readiness.drawSign(unit)),
                element("small", {}, summary),
            );
        }

        /* Arrow keys open the next or previous unit, as usual for tabs. */
        key(event) {
            const step = STEPS[event.key];
            if (!step) return;
            event.preventDefault();
            const last = this.panel.state.all.length - 1;
            const index = Math.min(last, Math.max(0, this.panel.state.current + step));
            this.panel.open(index);
            this.root.children[index].focus();
        }
    };
})();

/* One click for the parts of the steps that are wanted most. */

(() => {
    const {element, say, button} = ipAdapter;
    const PARTS = [
        {label: () => say("All steps"), start: 0, end: 1},
        {label: () => say("First half"), start: 0, end: 0.5},
        {label: () => say("Second half"), start: 0.5, end: 1},
    ];

    ipAdapter.StepsParts = class {
        constructor(panel) {
            this.panel = panel;
        }

        draw() {
            this.buttons = PARTS.map(({label, start, end}) => button(label(), () => this.put({start, end})));
            this.mark();
            const group = {className: "ipadapter-row", role: "group", ariaLabel: say("Steps")};
            return element("div", group, ...this.buttons);
        }

        put(part) {
            Object.assign(this.panel.unit, part);
            this.panel.write();
        }

        /* Show which part the unit has, if any. */
        mark() {
            const {unit} = this.panel;
            PARTS.forEach(({start, end}, index) => {
                const isChosen = unit.start === start && unit.end === end;
                this.buttons[index].setAttribute("aria-pressed", String(isChosen));
            });
        }
    };
})();

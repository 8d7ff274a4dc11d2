/* Draws the strength of the open unit: a slider with marks, or in its place the fields of the user's own values, and the
   parts of the steps below. */

(() => {
    const {element, say, button} = ipAdapter;
    const WORDS = {
        off: () => say("off"),
        light: () => say("light"),
        normal: () => say("normal"),
        strong: () => say("strong"),
        full: () => say("full"),
    };

    /* Return the word at a mark of the slider, of which `marks` come after off. */
    ipAdapter.strengthWord = (marks, place) => WORDS[["off", ...marks][place]]();

    function percent(share) {
        return Math.round(share * 100);
    }

    /* Return weight and steps in words. */
    function inWords({weight, start, end}) {
        if (weight === 0) return "";
        const values = {weight, from: percent(start), to: percent(end)};
        if (start === 0 && end === 1) return say("weight {weight}, all steps", values);
        return say("weight {weight}, from {from} % to {to} % of the steps", values);
    }

    ipAdapter.StrengthSlider = class {
        constructor(panel) {
            this.panel = panel;
            this.parts = new ipAdapter.StepsParts(panel);
        }

        get strength() {
            return this.panel.state.strength;
        }

        get words() {
            return ["off", ...this.panel.spec.strength.marks];
        }

        draw() {
            this.isCustom = this.strength.isCustom(this.panel.unit);
            this.summary = element("small");
            this.toggle = button(say("Custom"), () => this.switch(), {
                title: say("Set weight, start and end yourself"),
                ariaPressed: String(this.isCustom),
            });
            const head = ipAdapter.heading(say("Strength"), this.summary, this.toggle);
            this.body = element("div", {className: "ipadapter-strength"}, ...this.drawBody());
            const parts = [head, this.body, this.parts.draw()];
            this.mark();
            const group = {className: "ipadapter-section", role: "group", ariaLabel: say("Strength")};
            return element("div", group, ...parts);
        }

        drawBody() {
            return this.isCustom ? [this.panel.view.drawFields(this.panel.state.controlsOf(""))] : this.drawSlider();
        }

        drawSlider() {
            this.slider = element("input", {
                type: "range",
                min: 0,
                max: this.strength.most,
                step: 0.25,
                ariaLabel: say("Strength"),
                oninput: () => this.put(Number(this.slider.value)),
            });
            this.marks = this.words.map((word, place) =>
                element(
                    "button",
                    {type: "button", tabIndex: -1, className: "ipadapter-mark", onclick: () => this.put(place)},
                    WORDS[word](),
                ),
            );
            return [this.slider, element("div", {className: "ipadapter-marks"}, ...this.marks)];
        }

        put(place) {
            this.strength.put(this.panel.unit, place);
            this.panel.write();
        }

        switch() {
            this.strength.toggle(this.panel.unit);
            this.panel.draw();
        }

        /* Show the unit's values, which may have changed elsewhere. */
        mark() {
            const {unit} = this.panel;
            if (this.isCustom !== this.strength.isCustom(unit)) this.change();
            this.summary.textContent = this.isCustom ? "" : inWords(unit);
            if (!this.isCustom) this.markSlider(this.strength.placeOf(unit));
            this.parts.mark();
        }

        /* Take over the other of the two faces. */
        change() {
            this.isCustom = !this.isCustom;
            this.toggle.setAttribute("aria-pressed", String(this.isCustom));
            this.body.replaceChildren(...this.drawBody());
        }

        markSlider(place) {
            const {unit} = this.panel;
            this.slider.value = place;
            const word = WORDS[this.words[Math.round(place)]]();
            this.slider.setAttribute("aria-valuetext", [word, inWords(unit)].filter(Boolean).join(", "));
            this.marks.forEach((mark, index) => mark.classList.toggle("current", index === place));
        }
    };
})();

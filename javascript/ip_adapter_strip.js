/* A strip of pictures, which can be added, reordered, dragged elsewhere and removed. Each is drawn as a card. */

(() => {
    const {element, say} = ipAdapter;

    const OWN = "application/x-ipadapter"; // marks what is dragged as a picture of a strip
    let dragged = null; // {panel, pictures, index} while a picture is being dragged

    ipAdapter.Strip = class {
        constructor(panel, field) {
            this.panel = panel;
            this.field = field;
            this.texts = ipAdapter.stripTexts[field];
        }

        get pictures() {
            return this.panel.unit[this.field];
        }

        draw() {
            const input = element("input", {
                type: "file",
                accept: "image/*",
                multiple: true,
                ariaLabel: this.texts.all(),
                onchange: () => this.panel.intake.add(this.field, [...input.files]),
            });
            this.cards = this.pictures.map((_, index) => ipAdapter.drawCard(this, index));
            const add = element("label", {className: "ipadapter-add"}, say("Drop, paste or choose pictures"), input);
            this.root = element(
                "div",
                {
                    className: "ipadapter-references",
                    tabIndex: 0,
                    role: "group",
                    ariaLabel: this.texts.all(),
                    ondragover: (event) => this.showPlace(event),
                    ondragleave: () => this.hidePlace(),
                    ondrop: (event) => this.drop(event),
                    onpaste: (event) => this.panel.intake.paste(event, this.field),
                },
                ...this.cards,
                add,
            );
            return this.field === "images"
                ? element("div", {className: "ipadapter-cards"}, this.root, this.panel.recent.draw())
                : this.root;
        }

        remove(index) {
            const {pictures} = this;
            const what = this.texts.one(index + 1);
            const [picture] = pictures.splice(index, 1);
            this.panel.draw();
            ipAdapter.offerUndo(this.panel, say("{what} removed.", {what}), () => pictures.splice(index, 0, picture));
            this.focus(Math.min(index, pictures.length - 1));
        }

        move(from, to) {
            if (!(to in this.pictures)) return;
            this.pictures.splice(to, 0, ...this.pictures.splice(from, 1));
            this.panel.draw();
            this.focus(to);
        }

        /* Focus the card of a picture, on a strip that may have been drawn again. */
        focus(index) {
            const card =
                index >= 0 && this.panel.root.querySelector(`[aria-label="${CSS.escape(this.texts.one(index + 1))}"]`);
            if (card) card.focus();
        }

        key(event, index) {
            const by = {ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1}[event.key];
            const isCommand = event.ctrlKey || event.metaKey;
            if (isCommand && event.key === "z") ipAdapter.undoLast(this.panel);
            else if (by && (isCommand || event.altKey)) this.move(index, index + by);
            else if (by) this.focus(Math.max(0, index + by));
            else if (event.key === "Delete" || event.key === "Backspace") this.remove(index);
            else return;
            event.preventDefault();
            event.stopPropagation();
        }

        drag(event, index) {
            dragged = {panel: this.panel, pictures: this.pictures, index};
            event.dataTransfer.effectAllowed = "move";
            event.dataTransfer.setData(OWN, String(index));
            event.dataTransfer.setDragImage(event.currentTarget.querySelector("img"), 20, 20);
        }

        endDrag() {
            dragged = null;
        }

        /* Return the index at which a dropped picture is inserted. */
        placeAt(event) {
            const after = this.cards.findIndex((card) => {
                const {left, width, top, bottom} = card.getBoundingClientRect();
                return event.clientY < top || (event.clientY <= bottom && event.clientX < left + width / 2);
            });
            return after < 0 ? this.pictures.length : after;
        }

        showPlace(event) {
            event.preventDefault();
            event.stopPropagation();
            this.hidePlace();
            const place = this.placeAt(event);
            this.root.classList.add("over");
            if (place in this.cards) this.cards[place].classList.add("before");
        }

        hidePlace() {
            this.root.classList.remove("over");
            this.cards.forEach((card) => card.classList.remove("before"));
        }

        async drop(event) {
            event.preventDefault();
            event.stopPropagation();
            const place = this.placeAt(event);
            this.hidePlace();
            if (dragged && event.dataTransfer.types.includes(OWN)) this.takeDragged(place);
            else await this.panel.intake.add(this.field, await ipAdapter.filesOf(event.dataTransfer), place);
        }

        /* Insert the dragged picture, which may come from another strip. */
        takeDragged(place) {
            const {pictures, index, panel} = dragged;
            dragged = null;
            if (pictures !== this.pictures && this.panel.intake.space(this.pictures, 1) === 0) return;
            const [picture] = pictures.splice(index, 1);
            this.pictures.splice(pictures === this.pictures && index < place ? place - 1 : place, 0, picture);
            if (panel !== this.panel) panel.draw();
            this.panel.draw();
            this.focus(this.pictures.indexOf(picture));
        }

        async editRegion(index) {
            const picture = this.pictures[index];
            const mask = await ipAdapter.editRegion(this.panel, this.texts.region(index + 1), picture.mask);
            if (mask === undefined) return;
            if (mask) picture.mask = mask;
            else delete picture.mask;
            this.panel.draw();
        }

        async editPart(index) {
            const picture = this.pictures[index];
            const texts = {title: this.texts.part(index + 1), cropLabel: this.texts.crop(index + 1)};
            const editor = new ipAdapter.PartEditor(this.panel, picture, texts);
            let isConfirmed = false;
            const image = await ipAdapter.editPart(
                picture.image,
                async (...given) => (isConfirmed = await editor.open(...given)),
            );
            if (!isConfirmed) return;
            editor.keep();
            if (image !== undefined && editor.isPainted) picture.image = image;
            this.panel.draw();
        }
    };
})();

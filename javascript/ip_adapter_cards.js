/* The card of a reference in a strip: its picture, an eye, its weight, its purpose, and what can be done with it. */

(() => {
    const {element, say, drawing, choice, option} = ipAdapter;
    const FULL = 2; // weight at the end of the slider; the number field takes any other

    ipAdapter.isOff = (picture) => picture.enabled === false;

    /* The weight as a slider for the hand and a number to read and to type. */
    function drawWeight({panel, texts, pictures}, index) {
        const picture = pictures[index];
        const number = ipAdapter.weightOf(
            picture,
            texts.weight(index + 1),
            () => {
                slider.value = picture.weight;
                panel.write();
            },
            (text) => panel.message.show(text, true),
        );
        const slider = element("input", {
            type: "range",
            min: 0,
            max: FULL,
            step: 0.05,
            value: picture.weight ?? 1,
            tabIndex: -1, // the number is for keys and screen readers
            ariaHidden: "true",
            draggable: true,
            ondragstart: (event) => {
                event.preventDefault(); // the slider moves, not the card
                event.stopPropagation();
            },
            oninput: () => {
                picture.weight = Number(slider.value);
                number.value = picture.weight;
                panel.write();
            },
        });
        return element("div", {className: "ipadapter-weight"}, slider, number);
    }

    /* The eye, which switches a reference off and on. */
    function drawEye(strip, index) {
        const picture = strip.pictures[index];
        const isOff = ipAdapter.isOff(picture);
        const use = () => {
            if (isOff) delete picture.enabled;
            else picture.enabled = false;
            strip.panel.draw();
        };
        return ipAdapter.iconButton(isOff ? "eye off" : "eye", strip.texts.use(index + 1), use, {
            className: "ipadapter-sign ipadapter-eye",
            ariaPressed: String(!isOff),
        });
    }

    /* Shade what is outside the box of a picture, once its size is known. */
    function drawBox(box, image) {
        const shade = drawing("svg", {class: "ipadapter-boxed", "aria-hidden": "true"});
        const draw = () => {
            const [width, height] = [image.naturalWidth, image.naturalHeight];
            const [left, top, right, bottom] = box.map((edge, index) => edge * (index % 2 ? height : width));
            shade.setAttribute("viewBox", `0 0 ${width} ${height}`);
            const inside = `M${left} ${top}V${bottom}H${right}V${top}z`;
            shade.replaceChildren(
                drawing("path", {d: `M-1 -1H${width + 1}V${height + 1}H-1z ${inside}`, class: "outside"}),
                drawing("path", {d: inside, class: "edge"}),
            );
        };
        if (image.complete && image.naturalWidth) draw();
        else image.addEventListener("load", draw);
        return shade;
    }

    function drawPicture({panel, field, texts, pictures}, index) {
        const picture = pictures[index];
        const image = element("img", {src: picture.image, alt: texts.one(index + 1), draggable: false});
        return [
            image,
            ...(picture.box ? [drawBox(picture.box, image)] : []),
            ...(picture.mask
                ? [element("img", {className: "ipadapter-region", src: picture.mask, alt: say("Region")})]
                : []),
            ...panel.checking.drawFaces(field, picture),
        ];
    }

    /* A menu of purposes; another one moves the reference to a unit of that purpose. */
    function drawPurpose(strip, index) {
        if (strip.field !== "images") return [];
        const {panel} = strip;
        const current = panel.state.strength.purposeOf(panel.unit);
        const names = panel.state.strength.offered;
        const options = [...(current ? [] : [option("", say("own settings"))]), ...names.map((name) => option(name))];
        const select = choice(options, current, {
            ariaLabel: strip.texts.purpose(index + 1),
            title: say("What this reference is for. Another purpose moves it to a unit for that."),
            onchange: () => ipAdapter.movePurpose(panel, index, select.value),
        });
        return [select];
    }

    function drawTools(strip, index) {
        const {texts, pictures} = strip;
        const number = index + 1;
        const move = (by, name, title) =>
            ipAdapter.iconButton(name, title, () => strip.move(index, index + by), {
                disabled: !(index + by in pictures),
            });
        const what = texts.one(number);
        return element(
            "div",
            {className: "ipadapter-acts"},
            ipAdapter.iconButton("crop", texts.part(number), () => strip.editPart(index)),
            ...(texts.region
                ? [ipAdapter.iconButton("region", texts.region(number), () => strip.editRegion(index))]
                : []),
            ...(pictures.length > 1
                ? [
                      move(-1, "left", say("Move {what} left", {what})),
                      move(1, "right", say("Move {what} right", {what})),
                  ]
                : []),
        );
    }

    ipAdapter.drawCard = (strip, index) => {
        const {panel, field, texts, pictures} = strip;
        const picture = pictures[index];
        const number = index + 1;
        const card = element(
            "figure",
            {
                className: `ipadapter-reference${ipAdapter.isOff(picture) ? " off" : ""}`,
                tabIndex: 0,
                role: "group",
                draggable: true,
                ariaLabel: texts.one(number),
                title: say(
                    "Drag to reorder. On the keyboard, Alt with an arrow key moves the picture, and Delete removes it.",
                ),
                ondragstart: (event) => strip.drag(event, index),
                ondragend: () => strip.endDrag(),
                onkeydown: (event) => event.target === card && strip.key(event, index),
            },
            ...drawPicture(strip, index),
            drawEye(strip, index),
            ipAdapter.iconButton("remove", texts.remove(number), () => strip.remove(index), {
                className: "ipadapter-sign ipadapter-remove",
            }),
            element(
                "figcaption",
                {},
                drawWeight(strip, index),
                ...drawPurpose(strip, index),
                ...panel.checking.drawOffer(field, picture),
                drawTools(strip, index),
            ),
            ...panel.checking.drawAdvice(field, picture),
        );
        return card;
    };
})();

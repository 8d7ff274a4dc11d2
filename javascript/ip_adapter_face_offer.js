/* Offers two uses of a unit's first picture if one face fills it: the person's likeness, or the whole picture. */

(() => {
    const {say} = ipAdapter;
    const LEAST_AREA = 0.25; // fractions of the picture's area and height that a face fills at least
    const LEAST_HEIGHT = 0.45;
    const LIKENESS = ["likeness", "face"]; // uses of adapters, the better one first

    function fills([left, top, right, bottom], {width, height}) {
        const [wide, high] = [(right - left) / width, (bottom - top) / height];
        return wide * high >= LEAST_AREA || high >= LEAST_HEIGHT;
    }

    /* Return the best adapter that can run and has one of these uses, or undefined. */
    function bestFor(files, uses) {
        const usable = [...new Set(Object.values(files.suited).flat())].map((name) => files.modelOf({model: name}));
        const found = uses.map((use) => usable.find((model) => model.uses.includes(use)));
        return found.find(Boolean);
    }

    function take(panel, unit, uses) {
        const {files, state, message} = panel;
        const model = bestFor(files, uses);
        if (!model) return panel.getModels.open([], uses);
        state.choose(unit, model.name);
        message.show(say("The unit uses {name}.", {name: files.titleOf(model)}));
        panel.draw();
    }

    /* Return the best adapter for a person's likeness that can run, or undefined. */
    ipAdapter.bestForFaces = (files) => bestFor(files, LIKENESS);

    /* Look for a face in a unit's only picture, if face models are installed; if it fills the picture, add two buttons to
       the message that says which adapter was chosen, unless another one is shown by then. */
    ipAdapter.offerUses = async (panel, unit, acts) => {
        const {files, message, server} = panel;
        const {text} = message;
        if (!files.finds_faces || !files.offers("faces") || unit.images.length !== 1) return;
        const [{image}] = unit.images;
        const {faces = [], ...size} = await server.answerTo("faces", {image});
        if (faces.length !== 1 || !fills(faces[0].box, size) || message.text !== text) return;
        const uses = {
            [say("Likeness")]: () => take(panel, unit, LIKENESS),
            [say("Whole picture")]: () => take(panel, unit, ["general"]),
        };
        message.show(text, false, {...uses, ...acts});
    };
})();

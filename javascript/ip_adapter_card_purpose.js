/* The purpose of one reference. The references of a unit share a purpose, so another one moves the reference to a unit of
   that purpose, which is made if there is none. */

(() => {
    const {say} = ipAdapter;

    /* Return the index of a unit that a reference can move to: one of the purpose that has space, or an empty one. */
    function placeFor({state, spec, unit}, purpose) {
        const others = state.all.map((each, index) => ({each, index})).filter(({each}) => each !== unit);
        const suits = ({each}) =>
            state.isUsed(each) &&
            each.embeds === "" &&
            each.images.length > 0 &&
            each.images.length < spec.most &&
            state.strength.purposeOf(each) === purpose;
        const found = others.find(suits) || others.find(({each}) => !state.isFilled(each));
        return found ? found.index : -1;
    }

    /* Return a new unit for a purpose, with the best adapter for it. */
    function unitFor({state, files}, purpose) {
        const before = state.newUnit();
        const unit = {...before, ...state.strength.settingsFor(purpose)};
        state.suggest(unit, files.best(purpose));
        state.strength.choose(unit, purpose, before);
        return unit;
    }

    /* Give the open unit's reference another purpose. */
    ipAdapter.movePurpose = (panel, index, purpose) => {
        const {state, unit} = panel;
        if (unit.images.length === 1) return panel.purposes.take(purpose);
        const place = placeFor(panel, purpose);
        if (place < 0) {
            panel.view.draw();
            return panel.message.show(
                say("All units are in use. Empty one, or raise Number of units in the settings."),
                true,
            );
        }
        const before = state.all[place];
        const target = state.isFilled(before) ? before : unitFor(panel, purpose);
        const [picture] = unit.images.splice(index, 1);
        target.images.push(picture);
        state.all[place] = target;
        panel.draw();
        const values = {what: say("Reference {n}", {n: index + 1}), unit: place + 1, purpose: say(purpose)};
        const undo = () => {
            target.images.splice(target.images.indexOf(picture), 1);
            state.all[place] = before;
            unit.images.splice(index, 0, picture);
        };
        ipAdapter.offerUndo(panel, say("{what} moved to unit {unit}, {purpose}.", values), undo, {
            [say("Open unit {n}", {n: place + 1})]: () => panel.open(place),
        });
    };
})();

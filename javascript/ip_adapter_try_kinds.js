/* What can be tried with a unit, by kind: each variant has a label, whether the unit is like that now, and what the unit
   is with it. */

(() => {
    const {say} = ipAdapter;

    /* Return a changed copy of the open unit, with all that is known of it. */
    function copyWith({state, unit: before}, values) {
        const {strength} = state;
        const unit = {...before, ...values};
        if (before.model !== "" && !state.isChosen(before)) state.suggest(unit, before.model);
        strength.choose(unit, strength.purposeOf(before), before);
        return unit;
    }

    function strengths(panel) {
        const {strength} = panel.state;
        const {marks} = panel.spec.strength;
        return ["off", ...marks].map((_, place) => {
            const values = strength.scaleOf(panel.unit)(place);
            const {weight} = values;
            const word = ipAdapter.strengthWord(marks, place);
            return {
                label: weight ? `${word} ${weight}` : word,
                isCurrent: ({unit}) => strength.placeOf(unit) === place,
                make: () => {
                    const unit = copyWith(panel, {});
                    strength.put(unit, place);
                    return Object.assign(unit, values); // also if the unit has another purpose by now
                },
            };
        });
    }

    /* Return whether an adapter is ready that suits a purpose: the one that the user has chosen, or else any. */
    function isReady({state, files, spec, unit, model}, purpose) {
        if (!state.isChosen(unit)) return files.best(purpose) !== "";
        const uses = model?.uses || ["general"];
        return spec.intents[purpose].uses.some((use) => uses.includes(use));
    }

    function purposes(panel) {
        const names = panel.state.strength.offered.filter((name) => isReady(panel, name));
        return names.map((name) => ({
            label: say(name),
            isCurrent: ({unit, state}) => state.strength.purposeOf(unit) === name,
            make: () => panel.purposes.unitFor(name),
        }));
    }

    function onAndOff(panel) {
        return [true, false].map((enabled) => ({
            label: enabled ? say("on") : say("off"),
            isCurrent: ({unit}) => unit.enabled === enabled,
            make: () => copyWith(panel, {enabled}),
        }));
    }

    ipAdapter.TRY_KINDS = {
        strengths: {name: () => say("Strengths"), label: () => say("Try strengths"), variants: strengths},
        purposes: {name: () => say("Purposes"), label: () => say("Try purposes"), variants: purposes},
        onAndOff: {name: () => say("On and off"), label: () => say("Try on and off"), variants: onAndOff},
    };

    /* Return the fields in which a variant differs from the open unit, as they are sent. */
    ipAdapter.changesOf = ({state, unit: before}, {make}) => {
        const [now, unit] = [state.sent(before), make()];
        const changed = Object.entries(state.sent(unit)).filter(([name, value]) => value !== now[name]);
        return {...Object.fromEntries(changed), ...(unit.enabled ? {} : {enabled: false})};
    };
})();

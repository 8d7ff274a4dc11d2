/* Number inputs, which show the allowed range instead of silently reverting an invalid value. */

(() => {
    const {element, say} = ipAdapter;

    /* Return a number field. `value` returns the number to show, `set` gets each valid number, and `report` a sentence
       about an invalid one, or "" once that is resolved. If `isOptional`, an empty field means null. */
    ipAdapter.numberField = ({value, set, report, isOptional = false, ...attributes}) => {
        const {min, max, ariaLabel} = attributes;
        let isReported = false;
        const read = () => {
            if (field.value === "") return isOptional && !field.validity.badInput ? null : undefined;
            const number = Number(field.value);
            return number >= min && number <= max ? number : undefined;
        };
        const clear = () => {
            if (isReported) report("");
            isReported = false;
        };
        const refuse = () => {
            report(say("{what} must be a number from {min} to {max}.", {what: ariaLabel, min, max}));
            isReported = true;
        };
        /* More digits only lead further away. */
        const isBeyond = (number) => number > max || number < Math.min(min, 0);
        const take = () => {
            const number = read();
            if (number !== undefined) {
                clear();
                set(number);
            } else if (isBeyond(Number(field.value))) refuse();
        };
        const leave = () => {
            if (read() === undefined && (field.value !== "" || field.validity.badInput)) refuse();
            field.value = value() ?? "";
        };
        const field = element("input", {
            type: "number",
            ...attributes,
            value: value() ?? "",
            oninput: take,
            onchange: leave,
        });
        return field;
    };

    /* Return a field for the weight of a picture relative to others. */
    ipAdapter.weightOf = (picture, ariaLabel, changed, report) =>
        ipAdapter.numberField({
            min: -5,
            max: 5,
            step: 0.05,
            title: say("Weight of this picture relative to the others"),
            ariaLabel,
            report,
            value: () => picture.weight ?? 1,
            set: (weight) => {
                picture.weight = weight;
                changed();
            },
        });
})();

/* The labels of a strip, by the unit's field that holds its pictures. */

(() => {
    const {say} = ipAdapter;

    ipAdapter.stripTexts = {
        images: {
            all: () => say("Reference pictures"),
            one: (n) => say("Reference {n}", {n}),
            use: (n) => say("Use reference {n}", {n}),
            weight: (n) => say("Weight of reference {n}", {n}),
            purpose: (n) => say("Purpose of reference {n}", {n}),
            crop: (n) => say("Crop of reference {n}", {n}),
            remove: (n) => say("Remove reference {n}", {n}),
            region: (n) => say("Region of reference {n}", {n}),
            part: (n) => say("Part of reference {n} to use", {n}),
        },
        negative_images: {
            all: () => say("Negative reference pictures"),
            one: (n) => say("Negative reference {n}", {n}),
            use: (n) => say("Use negative reference {n}", {n}),
            weight: (n) => say("Weight of negative reference {n}", {n}),
            crop: (n) => say("Crop of negative reference {n}", {n}),
            remove: (n) => say("Remove negative reference {n}", {n}),
            part: (n) => say("Part of negative reference {n} to use", {n}),
        },
        composition_images: {
            all: () => say("Composition reference pictures"),
            one: (n) => say("Composition reference {n}", {n}),
            use: (n) => say("Use composition reference {n}", {n}),
            weight: (n) => say("Weight of composition reference {n}", {n}),
            crop: (n) => say("Crop of composition reference {n}", {n}),
            remove: (n) => say("Remove composition reference {n}", {n}),
            region: (n) => say("Region of composition reference {n}", {n}),
            part: (n) => say("Part of composition reference {n} to use", {n}),
        },
    };
})();

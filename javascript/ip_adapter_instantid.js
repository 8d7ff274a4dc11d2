/* The second part of InstantID in one act: a ControlNet unit with the key points, its model and its weight. */

(() => {
    const {say} = ipAdapter;
    const MODEL = "control_instant_id_sdxl.safetensors"; // its name in the catalogue

    /* Say what is set in a unit, and offer the model if ControlNet lacks it. */
    function tell({message, getModels, files}, unit, isWhole) {
        if (isWhole) return message.show(say("{unit} is set up, with the picture and InstantID's model.", {unit}));
        const lacking = say(
            "{unit} has the picture, but ControlNet lacks InstantID's model. Get it, then set up again.",
            {unit},
        );
        const get = {[say("Get models")]: () => getModels.open([MODEL])};
        message.show(lacking, true, files.offers("catalogue") ? get : {});
    }

    /* Put a picture of key points, at an address, into a unit of the panel's tab, and set that unit up. */
    ipAdapter.setUpControlNet = async (panel, url, name) => {
        const {message, tab} = panel;
        const number = ipAdapter.unitForInstantId(tab);
        if (number < 0)
            return message.show(say("All ControlNet units already have a picture. Remove one first."), true);
        message.show(say("Setting up ControlNet…"));
        await ipAdapter.sendToControlNet(tab, number, url, name);
        const isWhole = await ipAdapter.setUpInstantId(tab, number);
        tell(panel, ipAdapter.nameOfControlNet(tab, number), isWhole);
    };
})();

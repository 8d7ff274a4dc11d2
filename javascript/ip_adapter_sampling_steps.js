/* The sampling steps that the web UI's fields ask for, and which of them a unit is active in. */

(() => {
    const NEARLY = 1e-9; // for fractions such as 0.1 * 3

    /* Return the value of one of the web UI's number fields, or null. */
    function numberIn(tab, name) {
        const field = gradioApp().querySelector(`#${tab}_${name} input[type=number]`);
        return field && field.value !== "" ? Number(field.value) : null;
    }

    ipAdapter.numberOfTab = numberIn;

    function isTicked(tab, name) {
        return Boolean(gradioApp().querySelector(`#${tab}_${name}-checkbox input`)?.checked);
    }

    /* img2img runs as many of the steps as its denoising strength says, plus one (modules/sd_samplers_common.py). */
    function ofImg2img(steps, tab) {
        const strength = numberIn(tab, "denoising_strength");
        const isExact = typeof opts === "object" && opts.img2img_fix_steps;
        return strength === null || isExact ? steps : Math.floor(Math.min(strength, 0.999) * steps) + 1;
    }

    /* Return the number of steps of each pass, one or two; null where it is unknown. */
    ipAdapter.stepsOfPasses = (tab) => {
        const steps = numberIn(tab, "steps");
        if (tab === "img2img") return [steps && ofImg2img(steps, tab)];
        return isTicked(tab, "hr") ? [steps, numberIn(tab, "hires_steps") || steps] : [steps];
    };

    /* Return the first and the last step, from 1, between two fractions of `count` steps; the last is less than the
       first if there is none. */
    ipAdapter.stepsBetween = (start, end, count) => [
        Math.ceil(start * count - NEARLY) + 1,
        end >= 1 ? count : Math.ceil(end * count - NEARLY),
    ];

    /* Return the fraction at which the step after the first `done` ones begins, in digits that stay before that step. */
    ipAdapter.fractionAt = (done, count) => Math.floor((done / count) * 1000 + NEARLY) / 1000;

    /* Call `changed` after one of the fields changes. */
    ipAdapter.watchSteps = (tab, changed) => {
        const fields = ["steps", "hires_steps", "denoising_strength", "hr-checkbox"].map((name) => `#${tab}_${name}`);
        const notice = ({target}) => target.closest(fields.join()) && setTimeout(changed);
        for (const kind of ["input", "change"]) gradioApp().addEventListener(kind, notice);
    };
})();

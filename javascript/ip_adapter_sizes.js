/* Sizes and times as the panel shows them. */

(() => {
    const {say} = ipAdapter;
    const UNITS = ["bytes", "kB", "MB", "GB", "TB"];

    function unitOf(bytes) {
        return Math.min(UNITS.length - 1, Math.floor(Math.log10(Math.max(1, bytes)) / 3));
    }

    function numberIn(bytes, unit) {
        const number = bytes / 1000 ** unit;
        return String(unit === 0 || number >= 9.95 ? Math.round(number) : Math.round(number * 10) / 10);
    }

    ipAdapter.sizeOf = (bytes) => `${numberIn(bytes, unitOf(bytes))} ${UNITS[unitOf(bytes)]}`;

    /* Return the total size of the files that must be downloaded. */
    ipAdapter.bytesOf = (files) =>
        files.filter(({state}) => state !== "elsewhere").reduce((sum, {bytes}) => sum + bytes, 0);

    /* Return how much of a whole is done, in the unit of the whole. */
    ipAdapter.partOf = (bytes, whole) =>
        say("{part} of {whole}", {part: numberIn(bytes, unitOf(whole)), whole: ipAdapter.sizeOf(whole)});

    ipAdapter.timeLeft = (seconds) => {
        if (seconds < 60) return say("{n} s left", {n: Math.ceil(seconds)});
        if (seconds < 3600) return say("{n} min left", {n: Math.round(seconds / 60)});
        return say("{n} h left", {n: Math.round(seconds / 360) / 10});
    };
})();

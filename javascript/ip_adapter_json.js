/* A unit as JSON, without a walk over its pictures: a long text is quoted once, and kept while its owner is in use. */

(() => {
    const LONG = 1000; // characters from which a text's JSON is kept
    const kept = new WeakMap(); // an owner -> its long texts by name, each with its JSON

    function quoted(owner, name, text) {
        if (!kept.has(owner)) kept.set(owner, {});
        const texts = kept.get(owner);
        if (texts[name]?.text !== text) texts[name] = {text, json: JSON.stringify(text)};
        return texts[name].json;
    }

    function isLong(value) {
        return typeof value === "string" && value.length > LONG;
    }

    function isListOfObjects(value) {
        return Array.isArray(value) && typeof value[0] === "object";
    }

    /* Return the parts of an object's JSON, which only have to be joined. A long part is the same text each time, so
       that two such lists compare at once. `values` may be a copy of their `owner`. */
    function jsonParts(values, owner = values) {
        const short = {};
        const parts = [];
        for (const [name, value] of Object.entries(values)) {
            if (isLong(value)) parts.push(",", JSON.stringify(name), ":", quoted(owner, name, value));
            else if (isListOfObjects(value)) parts.push(",", JSON.stringify(name), ":", ...partsOfList(value));
            else short[name] = value;
        }
        const head = JSON.stringify(short).slice(0, -1);
        return head === "{" ? [head, ...parts.slice(1), "}"] : [head, ...parts, "}"];
    }

    function partsOfList(objects) {
        return ["[", ...objects.flatMap((object, index) => [...(index ? [","] : []), ...jsonParts(object)]), "]"];
    }

    ipAdapter.jsonParts = jsonParts;
})();

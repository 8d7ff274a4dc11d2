/* Writes a unit as JSON without going through its pictures each time: a long text's JSON is made once, and kept as long
   as its owner exists. */

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

    /* Return the parts of an object's JSON, to be joined. A long part is the same string each time, so comparing two
       lists is fast. `values` may be a copy of their `owner`. */
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

/* The likeness report as a table below the gallery. It replaces the lines that the server adds to the web UI's
   comments; its values are requested from the server. */

(() => {
    const {element, say} = ipAdapter;
    const FOUND = {"no face": () => say("no face"), "no face in its region": () => say("no face in its region")};
    const seen = new WeakSet();

    /* Return the lines of comments, each with its nodes. */
    function linesOf(comments) {
        const lines = [[]];
        for (const node of comments.childNodes) {
            lines[lines.length - 1].push(node);
            if (node.nodeName === "BR") lines.push([]);
        }
        return lines.map((nodes) => ({
            nodes,
            text: nodes
                .map((node) => node.textContent)
                .join("")
                .trim(),
        }));
    }

    function drawRow({picture, unit, found, faces, remedies}) {
        const likeness = faces.map(({cosine}) => cosine.toFixed(2)).join(", ");
        const known = FOUND[found];
        const cells = [
            String(picture),
            String(unit),
            known ? known() : likeness,
            remedies.map((text) => say(text)).join(" "),
        ];
        return element(
            "tr",
            {className: remedies.length ? "low" : ""},
            ...cells.map((text) => element("td", {}, text)),
        );
    }

    function drawTable(rows) {
        const titles = [say("Picture"), say("Unit"), say("Likeness"), say("Suggestions")];
        const meaning = say(
            "How closely each face matches the references of its IP-Adapter unit, largest face first. 1 means the same picture; low values are highlighted.",
        );
        return element(
            "table",
            {className: "ipadapter-likeness"},
            element("caption", {}, meaning, " ", element("strong", {}, say("This is not identity verification."))),
            element("thead", {}, element("tr", {}, ...titles.map((text) => element("th", {scope: "col"}, text)))),
            element("tbody", {}, ...rows.map(drawRow)),
        );
    }

    /* Replace the report's lines with a table; other lines stay unchanged. */
    function tabulate(comments, {title, lines: replaced = [], rows = []}) {
        const lines = linesOf(comments);
        const first = lines.find(({text}) => title && text === title);
        if (!first || rows.length === 0) return;
        first.nodes[0].before(drawTable(rows));
        const gone = lines.filter(({text}) => text === title || replaced.includes(text));
        for (const {nodes} of gone) nodes.forEach((node) => node.remove());
    }

    /* New comments appear when a generation ends. */
    async function look(panel, comments) {
        if (seen.has(comments)) return;
        seen.add(comments);
        if (comments.textContent.trim() && panel.files.offers("likeness")) {
            tabulate(comments, await panel.asking.ask("likeness"));
        }
    }

    onAfterUiUpdate(() => {
        for (const panel of Object.values(ipAdapter.panels)) {
            const found = gradioApp().querySelectorAll(`#html_log_${panel.tab} .comments`);
            for (const comments of found) look(panel, comments);
        }
    });
})();

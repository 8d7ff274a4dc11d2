/* How alike made faces are to their references, as a table: the web UI shows what the server tells of it below the gallery,
   line by line. Where this does not run, the lines stay. */

(() => {
    const {element, say} = ipAdapter;
    const TITLE = "Likeness of faces to the references of IP-Adapter units";
    const NONE = {"no face": () => say("no face"), "no face in its region": () => say("no face in its region")};
    const LINE = /^Picture (\d+), unit (\d+): (.*?)(?:\. Low: (.*))?$/;

    /* Return the lines of a text with breaks, each with its nodes. */
    function linesOf(log) {
        const lines = [[]];
        for (const node of log.childNodes) {
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

    function drawRow([, picture, unit, words, advice]) {
        const told = words in NONE ? NONE[words]() : words.split(" ").join(", ");
        const cells = [picture, unit, told, advice || ""].map((text) => element("td", {}, text));
        return element("tr", {className: advice ? "low" : ""}, ...cells);
    }

    function drawTable(rows) {
        const titles = [say("Picture"), say("Unit"), say("Likeness"), say("What may help")];
        return element(
            "table",
            {className: "ipadapter-likeness"},
            element(
                "caption",
                {},
                say(
                    "Likeness of each face to the references of IP-Adapter units, the largest face first; 1 is the same picture, and low is marked.",
                ),
                " ",
                element("strong", {}, say("This is no identity verification.")),
            ),
            element("thead", {}, element("tr", {}, ...titles.map((text) => element("th", {scope: "col"}, text)))),
            element("tbody", {}, ...rows.map(drawRow)),
        );
    }

    /* Put a table in the place of the lines, among others that stay as they are. */
    function tabulate(log) {
        const lines = linesOf(log);
        const title = lines.find(({text}) => text.startsWith(TITLE));
        if (!title) return;
        const told = lines.map(({text, nodes}) => ({nodes, found: LINE.exec(text)})).filter(({found}) => found);
        title.nodes[0].before(drawTable(told.map(({found}) => found)));
        for (const {nodes} of [title, ...told]) nodes.forEach((node) => node.remove());
    }

    function look() {
        gradioApp().querySelectorAll("[id^=html_log_] .comments").forEach(tabulate);
    }

    onAfterUiUpdate(look);
})();

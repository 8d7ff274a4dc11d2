/* The panel of the IP-Adapter extension. It draws itself from the field table that the server sends, keeps the state of
   each unit, and writes it as JSON to a text field that the web UI passes to the script.

   The web UI loads this folder's files by name, so this one comes first, with what the others share. */

const ipAdapter = (() => {
    const panels = {};

    /* Translate a text to the web UI's language, and fill in its {names}. */
    function say(text, values = {}) {
        const known = typeof getTranslation === "function" && getTranslation(text);
        return (known || text).replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
    }

    function element(kind, attributes = {}, ...children) {
        const made = document.createElement(kind);
        for (const [name, value] of Object.entries(attributes)) {
            if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
            else if (name.startsWith("aria")) made.setAttribute(`aria-${name.slice(4).toLowerCase()}`, value);
            else if (name in made) made[name] = value;
            else made.setAttribute(name, value);
        }
        made.append(...children.filter((child) => child !== null));
        return made;
    }

    /* An SVG element. */
    function drawing(kind, attributes = {}, ...children) {
        const made = document.createElementNS("http://www.w3.org/2000/svg", kind);
        for (const [name, value] of Object.entries(attributes)) {
            if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
            else made.setAttribute(name, value);
        }
        made.append(...children);
        return made;
    }

    function button(text, onclick, attributes = {}) {
        return element("button", {type: "button", className: "ipadapter-button", onclick, ...attributes}, text);
    }

    /* A button with a symbol instead of text. */
    function sign(text, title, onclick, attributes = {}) {
        return button(text, onclick, {className: "ipadapter-sign", title, ariaLabel: title, ...attributes});
    }

    function choice(options, value, attributes = {}) {
        const select = element("select", attributes, ...options);
        select.value = value;
        return select;
    }

    function option(value, text = say(String(value)), attributes = {}) {
        return element("option", {value, ...attributes}, text);
    }

    /* Accordions of older web UIs open only by mouse, so make their arrow a button. The line around it cannot be one,
       because it contains the checkbox. */
    function openByKeys(label) {
        if (!label || label.matches("button")) return;
        const arrow = label.querySelector(".icon") || label;
        arrow.tabIndex = 0;
        arrow.role = "button";
        arrow.setAttribute("aria-label", say("Open or close IP-Adapter"));
        arrow.addEventListener("keydown", (event) => {
            if (!["Enter", " "].includes(event.key)) return;
            event.preventDefault();
            label.click();
        });
    }

    function start() {
        for (const root of gradioApp().querySelectorAll(".ipadapter-panel[data-spec]:empty")) {
            const {tab} = root.dataset;
            panels[tab] = new ipAdapter.Panel(root);
            openByKeys(gradioApp().querySelector(`#ipadapter_${tab} .label-wrap`));
        }
        ipAdapter.offerResults(panels);
        ipAdapter.offerInput(panels.img2img);
    }

    function checkpointChanged() {
        Object.values(panels)
            .filter((panel) => panel.state.ticked)
            .forEach((panel) => panel.server.look());
    }

    onUiLoaded(start);
    if (typeof onOptionsChanged === "function") onOptionsChanged(checkpointChanged);

    return {
        panels,
        say,
        element,
        drawing,
        button,
        sign,
        choice,
        option,
        tick: (tab, on) => panels[tab].tick(on),
        request: (tab) => panels[tab].asking.take(),
        answer: (tab, text) => panels[tab].asking.answer(text),
        restore: (tab, index, text) => panels[tab].restore(index, text),
        send: (tab, url) => panels[tab].intake.send(url),
    };
})();

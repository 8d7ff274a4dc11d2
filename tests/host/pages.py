"""Pages of a real web UI in a real browser."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from panel.served import PATIENCE, PICTURES

PANEL = "#ipadapter_txt2img"

COUNT_SOCKETS = """
window.openSockets = new Set();
window.WebSocket = class extends WebSocket {
    constructor(...given) {
        if (window.isLeft) throw new Error("the page is about to be left");
        super(...given);
        openSockets.add(this);
        this.addEventListener("close", () => openSockets.delete(this));
    }
};
"""
LEFT = "openSockets.size === 0 && (window.isLeft = true)"
"""Gradio 3 has answered every event, each of which has a socket of its own, and there will be no more.

If a page goes while gradio 3 waits for an event's inputs, the event's task never ends, and the next reload of the UI
waits for it forever.
"""


@contextmanager
def opened(browser: Any, url: str, name: str, width: int = 1400, height: int = 1400) -> Iterator[Any]:
    """Open a web UI with the panel in it; afterwards take a screenshot, and leave the page when gradio allows it."""
    page = browser.new_page(viewport={"width": width, "height": height})
    page.set_default_timeout(PATIENCE)
    page.add_init_script(COUNT_SOCKETS)
    page.goto(url)
    page.wait_for_selector(f"{PANEL} .ipadapter-tab", state="attached")
    yield page
    PICTURES.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=PICTURES / f"web-ui-{name}.png", full_page=True)
    page.wait_for_function(LEFT)
    page.close()

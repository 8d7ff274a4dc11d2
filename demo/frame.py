"""The parts of a web UI that the extension's panel needs, for any gradio page."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr

from lib_ipadapter.unit.field_kinds import FindReference
from lib_ipadapter.web.panel import Panel, draw_panel

ROOT = Path(__file__).resolve().parent.parent
PANEL = ".ipadapter-panel"
IMPORT = re.compile(r'@import url\("([^"?]+)[^"]*"\);')


class Accordion:
    """The part of the web UI's accordion that the panel uses: a checkbox that opens it."""

    def __init__(self, value: bool, label: str, elem_id: str) -> None:
        self.tick = gr.Checkbox(value, label=label, elem_id=f"{elem_id}-checkbox")
        self.group = gr.Column(elem_id=elem_id)

    def __enter__(self) -> Any:
        self.group.__enter__()
        return self.tick

    def __exit__(self, *error: Any) -> None:
        self.group.__exit__(*error)


def framed_panel(
    page: gr.Blocks,
    units: int,
    answer: Callable[[str], str],
    find_reference: FindReference,
) -> Panel:
    """Draw the txt2img panel on a page, with its style and browser code."""
    gr.HTML(f"<style>{style()}</style>")
    panel = draw_panel("txt2img", units, Accordion, answer, find_reference)
    code = {"_js" if gr.__version__.startswith("3.") else "js": browser_code()}
    page.load(fn=None, inputs=[], outputs=[], **code)
    return panel


def style() -> str:
    """Return the extension's style as one text: style.css with its imports inlined.

    gradio 6, which no web UI has, styles buttons by more specific selectors than the panel's; naming its class twice
    makes the panel's more specific still.
    """
    sheet = (ROOT / "style.css").read_text(encoding="utf-8")
    whole = IMPORT.sub(lambda found: (ROOT / found[1]).read_text(encoding="utf-8"), sheet)
    return whole.replace(PANEL, PANEL * 2)


def browser_code() -> str:
    """Return the extension's code in the web UI's order, after the web UI functions that it uses."""
    files = sorted((ROOT / "javascript").glob("*.js"))  # the web UI's order
    code = "\n".join(path.read_text(encoding="utf-8") for path in files)
    host = (
        "const gradioApp = () => document; const loaded = []; const onUiLoaded = (callback) => loaded.push(callback);"
        "const onAfterUiUpdate = (callback) => "
        "new MutationObserver(callback).observe(document.body, {childList: true, subtree: true});"
    )
    return f"() => {{ {host}\n{code}\nwindow.ipAdapter = ipAdapter; loaded.forEach((callback) => callback()); }}"

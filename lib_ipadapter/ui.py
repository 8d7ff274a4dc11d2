"""The panel. Gradio carries texts: one JSON text a unit, which the script gets; the browser draws all the rest.

So the panel is the same on every gradio version, and what it sends is what a program sends.
"""

import html
import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import gradio as gr

from .units import FIELDS, SLOTS

SHOWN = ("weight", "start", "end", "crop")
"""Fields with a control of their own, below the references and the adapter."""


def draw_panel(tab: str, units: int, accordion: Any, list_models: Callable[[bool], str]) -> list[Any]:
    """Draw the panel of a tab (`txt2img` or `img2img`) and return the script's components, one text a unit.

    `accordion` makes the host's accordion with a tick. `list_models` returns the adapters as JSON, after a new look at
    the folders where it is given true.
    """
    with accordion(False, label="IP-Adapter", elem_id=f"ipadapter_{tab}") as ticked:
        gr.HTML(
            f'<div class="ipadapter-panel" data-tab="{tab}" data-spec="{html.escape(json.dumps(spec(units)))}"></div>'
        )
        texts = [_hidden(gr.Textbox, f"ipadapter_{tab}_unit_{i + 1}", f"IP-Adapter {i + 1}") for i in range(SLOTS)]
        answer = _hidden(gr.Textbox, f"ipadapter_{tab}_models", "IP-Adapter models")
        for name, look in (("list", False), ("rescan", True)):
            button = _hidden(gr.Button, f"ipadapter_{tab}_{name}", name)
            asked = button.click(
                fn=lambda look=look: list_models(look), inputs=[], outputs=[answer], show_progress=False
            )
            asked.then(fn=None, inputs=[answer], outputs=[], **_in_browser(f"(t) => ipAdapter.models('{tab}', t)"))
        ticked.change(fn=None, inputs=[ticked], outputs=[], **_in_browser(f"(on) => ipAdapter.tick('{tab}', on)"))
    return texts


def spec(units: int) -> dict[str, Any]:
    """Return what the browser needs to draw the controls: the field table's part for the panel, as JSON values."""
    controls = [
        {
            "name": name,
            "label": FIELDS[name].metadata["label"],
            "help": FIELDS[name].metadata["help"],
            "default": FIELDS[name].default,
            **asdict(FIELDS[name].metadata["kind"]),
        }
        for name in SHOWN
    ]
    return {"units": units, "controls": controls}


def _hidden(component: Any, elem_id: str, label: str) -> Any:
    """Return a component that is on the page, where the browser's code finds it, but not in sight."""
    made = component(value=label if component is gr.Button else "", elem_id=elem_id, elem_classes=["ipadapter-hidden"])
    made.label = label
    made.do_not_save_to_config = True
    return made


def _in_browser(code: str) -> dict[str, str]:
    """Return the argument that makes an event run `code` in the browser; gradio 4 dropped the underscore."""
    return {"_js" if gr.__version__.startswith("3.") else "js": code}

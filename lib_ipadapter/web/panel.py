"""The panel. Gradio carries texts: one JSON text a unit, which the script gets; the browser draws all the rest.

So the panel is the same on every gradio version, and what it sends is what a program sends.
"""

import html
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import gradio as gr

from ..unit.fields import MAX_PICTURES
from ..unit.infotext import FaultOf, FindReference, no_fault, restored_units
from ..unit.presets import INTENTS, SETTINGS
from ..unit.unit import FIELDS, SLOTS
from ..weights.families import FAMILY_FIELDS

GROUPS: Mapping[str, tuple[str, ...]] = {
    "": ("weight", "start", "end", "crop"),
    "Layers and steps": (
        "weight_type",
        "composition_weight",
        "style_boost",
        "composition_boost",
        "layers",
        "curve",
        "scaling",
        "pass",
        "hires_weight",
        "inner",
    ),
    "Face": ("face", "structure_weight", "lora_weight", "variant"),
    "References": ("subject", "embeds", "combine", "unfold", "tiles", "enhance", "enhance_ratio", "encoder"),
    "Region": ("mask", "region"),
    "Negative references": ("negative_images", "noise_type", "noise"),
    "Composition references": ("composition_images",),
}
"""Fields with a control of their own, below the references and the adapter; named groups are folded."""

NOTES: Mapping[str, str] = {
    "Face": "Pictures that show a real person's likeness need that person's consent. insightface's models, which find "
    "faces, are licensed for non-commercial research only."
}
"""What stands above a group's controls."""

SLIDERS: Mapping[str, Mapping[str, float]] = {
    "weight": {"min": -1, "max": 2},
    "structure_weight": {"min": 0, "max": 2},
    "lora_weight": {"min": 0, "max": 2},
}
"""Where a slider has less than a field's range, because the rest is rarely wanted; the number beside it has all."""


@dataclass(frozen=True)
class Panel:
    """What the web UI has to know of a panel."""

    texts: list[Any]
    """The script's components, one text a unit."""
    infotext_fields: list[tuple[Any, Callable[[Mapping[str, Any]], Any]]]
    """What a pasted picture's parameters set: a component and a function of the parameters."""


def draw_panel(
    tab: str,
    units: int,
    accordion: Any,
    answer: Callable[[str], str],
    find_reference: FindReference,
    fault_of: FaultOf = no_fault,
) -> Panel:
    """Draw the panel of a tab (`txt2img` or `img2img`).

    `accordion` makes the host's accordion with a tick. `answer` takes what the browser asks of the server, and returns
    the answer; both are JSON, for the web UI offers the routes only to those who start it with an API.
    `find_reference` returns a picture by the first digits of its hash, `fault_of` what is wrong with a saved name.
    """
    with accordion(False, label="IP-Adapter", elem_id=f"ipadapter_{tab}") as ticked:
        gr.HTML(
            f'<div class="ipadapter-panel" data-tab="{tab}" data-spec="{html.escape(json.dumps(spec(units)))}"></div>'
        )
        texts = [_hidden(gr.Textbox, f"ipadapter_{tab}_unit_{i + 1}", f"IP-Adapter {i + 1}") for i in range(SLOTS)]
        for i, text in enumerate(texts):
            restore = _in_browser(f"(t) => ipAdapter.restore('{tab}', {i}, t)")
            text.change(fn=None, inputs=[text], outputs=[], **restore)
        request, answered = (
            _hidden(gr.Textbox, f"ipadapter_{tab}_{name}", f"IP-Adapter {name}") for name in ("request", "answer")
        )
        ask = _hidden(gr.Button, f"ipadapter_{tab}_ask", "Ask")
        asked = _in_browser(f"() => ipAdapter.request('{tab}')")
        done = ask.click(fn=answer, inputs=[request], outputs=[answered], show_progress=False, **asked)
        done.then(fn=None, inputs=[answered], outputs=[], **_in_browser(f"(t) => ipAdapter.answer('{tab}', t)"))
        ticked.change(fn=None, inputs=[ticked], outputs=[], **_in_browser(f"(on) => ipAdapter.tick('{tab}', on)"))
    pasted = [(text, partial(pasted_unit, i + 1, find_reference, fault_of)) for i, text in enumerate(texts)]
    return Panel(texts, [(ticked, has_units), *pasted])


def has_units(parameters: Mapping[str, Any]) -> bool:
    """Return whether a picture's parameters tell of units."""
    return bool(restored_units(parameters, lambda _digits: None))


def pasted_unit(
    number: int, find_reference: FindReference, fault_of: FaultOf, parameters: Mapping[str, Any]
) -> str | None:
    """Return a unit of a picture's parameters as the panel takes it, or None where there is none of this number."""
    unit = restored_units(parameters, find_reference, fault_of).get(number)
    return None if unit is None else json.dumps(unit)


def spec(units: int) -> dict[str, Any]:
    """Return what the browser needs to draw the controls: the field table's part for the panel, as JSON values."""
    controls = [control(name, group) for group, names in GROUPS.items() for name in names]
    return {
        "units": units,
        "most": MAX_PICTURES,
        "groups": [group for group in GROUPS if group],
        "notes": NOTES,
        "controls": controls,
        "intents": {name: asdict(intent) for name, intent in INTENTS.items()},
        "settings": SETTINGS,
    }


def control(name: str, group: str) -> dict[str, Any]:
    """Return one control: the widget that draws it, its group, its texts, its default and its kind's own facts."""
    facts = FIELDS[name].metadata
    default = FIELDS[name].default
    return {
        "name": name,
        "group": group,
        "widget": facts["kind"].widget,
        "label": facts["label"],
        "help": facts["help"],
        "default": list(default) if isinstance(default, tuple) else default,
        "example": getattr(facts["kind"], "example", ""),
        "slider": SLIDERS.get(name, {}),
        "conditional": name in FAMILY_FIELDS,
        **asdict(facts["kind"]),
    }


def _hidden(component: Any, elem_id: str, label: str) -> Any:
    """Return a component that is on the page, where the browser's code finds it, but not in sight."""
    made = component(value=label if component is gr.Button else "", elem_id=elem_id, elem_classes=["ipadapter-hidden"])
    made.label = label
    made.do_not_save_to_config = True
    return made


def _in_browser(code: str) -> dict[str, str]:
    """Return the argument that makes an event run `code` in the browser; gradio 4 dropped the underscore."""
    return {"_js" if gr.__version__.startswith("3.") else "js": code}

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

from ..unit.field import GROUPS, Field
from ..unit.field_kinds import FindReference
from ..unit.picture_fields import MAX_PICTURES
from ..unit.presets import INTENTS, SETTINGS
from ..unit.read_args import SLOTS
from ..unit.restore import Difference, no_difference, restored_units
from ..unit.unit import FIELDS


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
    difference: Difference = no_difference,
) -> Panel:
    """Draw the panel of a tab (`txt2img` or `img2img`).

    `accordion` makes the host's accordion with a tick. `answer` takes what the browser asks of the server, and returns
    the answer; both are JSON, for the web UI offers the routes only to those who start it with an API.
    `find_reference` returns a picture by the first digits of its hash, `difference` what differs now from pasted ones.
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
    paste = Paste(find_reference, difference)
    pasted = [(text, partial(paste.unit, i + 1)) for i, text in enumerate(texts)]
    return Panel(texts, [(ticked, paste.has_units), *pasted])


class Paste:
    """The units in pasted parameters, restored once: the web UI asks for each component with the same mapping."""

    def __init__(self, find: FindReference, difference: Difference) -> None:
        self._find, self._difference = find, difference
        self._last: tuple[Mapping[str, Any], dict[int, dict[str, Any]]] | None = None

    def has_units(self, parameters: Mapping[str, Any]) -> bool:
        """Return whether a picture's parameters describe units."""
        return bool(self._units(parameters))

    def unit(self, number: int, parameters: Mapping[str, Any]) -> str | None:
        """Return a unit as the panel takes it, or None where there is none of this number."""
        unit = self._units(parameters).get(number)
        if number == SLOTS:  # the last one that is asked for: pictures need not stay in memory
            self._last = None
        return None if unit is None else json.dumps(unit)

    def _units(self, parameters: Mapping[str, Any]) -> dict[int, dict[str, Any]]:
        last = self._last
        if last is None or last[0] is not parameters:
            last = self._last = parameters, restored_units(parameters, self._find, self._difference)
        return last[1]


def spec(units: int) -> dict[str, Any]:
    """Return what the browser needs to draw the controls: the fields' part for the panel, as JSON values."""
    controls = sorted((name for name, field in FIELDS.items() if field.group is not None), key=_place)
    return {
        "units": units,
        "most": MAX_PICTURES,
        "groups": [group for group in GROUPS if group],
        "notes": {group: note for group, note in GROUPS.items() if note},
        "controls": [control(name, FIELDS[name]) for name in controls],
        "intents": {name: asdict(intent) for name, intent in INTENTS.items()},
        "settings": SETTINGS,
    }


def _place(name: str) -> tuple[int, bool]:
    """Return where a control stands; those with the same place stand in the order of the fields."""
    field = FIELDS[name]
    return list(GROUPS).index(field.group or ""), field.late


def control(name: str, field: Field) -> dict[str, Any]:
    """Return one control: the widget that draws it, where it stands, its texts, and when it has a meaning."""
    return {
        "name": name,
        "group": field.group,
        "label": field.label,
        "help": field.help,
        "default": field.json_default,
        "slider": dict(zip(("min", "max"), field.slider or (), strict=False)),
        "conditional": field.by_family,
        "when": field.when,
        **field.kind.facts(),
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

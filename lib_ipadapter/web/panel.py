"""The panel. Gradio only transfers one JSON text per unit to the script; everything else is drawn in the browser.

The panel is therefore the same with every gradio version, and sends the same JSON as an API client.
"""

import html
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import gradio as gr

from ..base.version import VERSION
from ..review.repairs import ANSWERS
from ..unit.field import GROUPS, Field
from ..unit.field_kinds import FindReference
from ..unit.group_help import GROUP_HELP
from ..unit.picture_fields import MAX_PICTURES
from ..unit.presets import INTENTS, PURPOSE_FIELDS, SETTINGS
from ..unit.read_args import SLOTS
from ..unit.restore import Difference, no_difference, restored_units
from ..unit.schedule_plot import type_pictures
from ..unit.strength import ANY_BASE, MARKS, ROWS, SHIPPED
from ..unit.unit import FIELDS
from ..unit.weight_types import TYPE_GROUPS


@dataclass(frozen=True)
class Panel:
    """What the web UI needs from a panel."""

    texts: list[Any]
    """The script's components, one text per unit."""
    infotext_fields: list[tuple[Any, Callable[[Mapping[str, Any]], Any]]]
    """Components that pasted infotext sets, each with a function of the parsed parameters."""


def draw_panel(
    tab: str,
    units: int,
    accordion: Any,
    answer: Callable[[str], str],
    find_reference: FindReference,
    difference: Difference = no_difference,
) -> Panel:
    """Draw the panel of a tab (`txt2img` or `img2img`).

    `accordion` creates the host's accordion with a checkbox. `answer` handles the browser's requests, as JSON texts,
    because the web UI offers routes only if it is started with its API. `find_reference` returns a picture by the first
    digits of its hash, `difference` a sentence on what has changed since infotext was written.
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
    """The units in pasted infotext, restored once: the web UI calls a function per component with the same mapping."""

    def __init__(self, find: FindReference, difference: Difference) -> None:
        self._find, self._difference = find, difference
        self._last: tuple[Mapping[str, Any], dict[int, dict[str, Any]]] | None = None

    def has_units(self, parameters: Mapping[str, Any]) -> bool:
        """Return whether infotext has units."""
        return bool(self._units(parameters))

    def unit(self, number: int, parameters: Mapping[str, Any]) -> str | None:
        """Return a unit as JSON for the panel, or None if infotext has no unit of this number."""
        unit = self._units(parameters).get(number)
        if number == SLOTS:  # the last one that is requested, so the pictures can be freed
            self._last = None
        return None if unit is None else json.dumps(unit)

    def _units(self, parameters: Mapping[str, Any]) -> dict[int, dict[str, Any]]:
        last = self._last
        if last is None or last[0] is not parameters:
            last = self._last = parameters, restored_units(parameters, self._find, self._difference)
        return last[1]


def spec(units: int) -> dict[str, Any]:
    """Return what the browser needs to draw the controls, as JSON values."""
    controls = sorted((name for name, field in FIELDS.items() if field.group is not None), key=_place)
    return {
        "version": VERSION,
        "units": units,
        "most": MAX_PICTURES,
        "groups": [group for group in GROUPS if group],
        "notes": {group: note for group, note in GROUPS.items() if note},
        "helps": GROUP_HELP,
        "controls": [control(name, FIELDS[name]) for name in controls],
        "intents": {name: asdict(intent) for name, intent in INTENTS.items()},
        "settings": SETTINGS,
        "purpose_fields": PURPOSE_FIELDS,
        "strength": {"marks": MARKS, "any_base": ANY_BASE, "rows": ROWS, "table": SHIPPED},
        "answers": ANSWERS,
        "weight_types": {"groups": TYPE_GROUPS, "pictures": type_pictures()},
    }


def _place(name: str) -> tuple[int, bool]:
    """Return a sort key for a control; those with equal keys stay in the order of the fields."""
    field = FIELDS[name]
    return list(GROUPS).index(field.group or ""), field.late


def control(name: str, field: Field) -> dict[str, Any]:
    """Return one control: its widget, group, texts, and when it applies."""
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
    """Return a component that is on the page for the browser's code, but not visible."""
    made = component(value=label if component is gr.Button else "", elem_id=elem_id, elem_classes=["ipadapter-hidden"])
    made.label = label
    made.do_not_save_to_config = True
    return made


def _in_browser(code: str) -> dict[str, str]:
    """Return the argument that makes an event run `code` in the browser; gradio 4 renamed `_js` to `js`."""
    return {"_js" if gr.__version__.startswith("3.") else "js": code}

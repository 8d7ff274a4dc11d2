"""Restores units from infotext, with a note on what could not be restored."""

import functools
import re
from collections.abc import Callable, Mapping
from typing import Any

from ..base.errors import UnitError, printable
from .controlnet import from_controlnet
from .field_kinds import FindReference, MissingReferenceError
from .infotext import ENCODER_USED, UNCONDITIONAL, USUAL_UNCONDITIONAL, VERSION
from .infotext_entries import MAX_LINE, entries_of
from .unit import FIELDS

NAMES = {field.label: name for name, field in FIELDS.items()}
CIRCUMSTANCES = (ENCODER_USED, UNCONDITIONAL, VERSION)
COMPARED = (*(field.label for field in FIELDS.values() if field.kind.by_name), *CIRCUMSTANCES)
"""Labels of values that may refer to something else by now."""

UNIT_KEY = re.compile(r"IP-Adapter ([0-9]{1,2})")
CONTROLNET_KEY = re.compile(r"ControlNet(?: [0-9]{1,2})?")
STARTING_ENDING = re.compile(r"starting/ending: \(([\d.]+), ([\d.]+)\)", re.IGNORECASE)
LEGACY = {"preprocessor": "module"}
"""Labels in infotext of older ControlNet versions -> fields."""

MAX_LOST = 300
"""Maximum characters of a lost value that the note repeats."""

Difference = Callable[[str, str], str]
"""(label, value) -> a sentence on how the current state differs from the value, or "".

Called for the labels in `COMPARED`: adapter, saved reference and subject, which may end in a hash, and circumstances.
"""


def no_difference(_label: str, _value: str) -> str:
    """A `Difference` that compares nothing."""
    return ""


def restored_units(
    parameters: Mapping[str, Any], find: FindReference, difference: Difference = no_difference
) -> dict[int, dict[str, Any]]:
    """Return the units in infotext, by number, as JSON for the panel.

    ControlNet's IP-Adapter units come after this extension's. Each stored picture is looked up once.
    """
    find = functools.cache(find)
    keys = {key: UNIT_KEY.fullmatch(key) for key in parameters}
    own = {int(found[1]): restored(str(parameters[key]), find, difference) for key, found in keys.items() if found}
    theirs = [controlnets_unit(str(text)) for key, text in parameters.items() if CONTROLNET_KEY.fullmatch(key)]
    first = max(own, default=0) + 1
    return own | dict(enumerate(filter(None, theirs), first))


def restored(text: str, find: FindReference, difference: Difference = no_difference) -> dict[str, Any]:
    """Return the unit of a line, as JSON values, with a `note` on what could not be restored or differs."""
    if len(text) > MAX_LINE:
        return {"note": f"Not restored: the line has {len(text)} characters, more than any unit's."}
    unit: dict[str, Any] = {}
    lost: list[str] = []
    compared: dict[str, str] = {}
    for label, value in entries_of(text):
        if label in COMPARED:
            compared[label] = value
        if label in CIRCUMSTANCES:
            continue
        try:
            name = NAMES[label]
            unit[name] = FIELDS[name].kind.restore(name, value, find)
        except MissingReferenceError as missing:
            lost.append(f"{label} {missing} (reference missing)")
        except (KeyError, UnitError, ValueError):
            lost.append(f"{label} {printable(value, MAX_LOST)}")
    sentences = [f"Not restored, choose again: {'; '.join(lost)}."] if lost else []
    note = " ".join([*sentences, *_differences(compared, difference)])
    return unit | ({"note": note} if note else {})


def _differences(values: Mapping[str, str], difference: Difference) -> list[str]:
    """Return sentences on what differs. The version is mentioned only if something else does: it rarely matters."""
    usual = {UNCONDITIONAL: USUAL_UNCONDITIONAL} if VERSION in values else {}
    found = [difference(label, value) for label, value in {**usual, **values}.items() if label != VERSION]
    differing = [sentence for sentence in found if sentence]
    if differing and VERSION in values:
        differing.append(difference(VERSION, values[VERSION]))
    return [sentence for sentence in differing if sentence]


def controlnets_unit(text: str) -> dict[str, Any] | None:
    """Return the unit of a ControlNet infotext line, or None if it is not an IP-Adapter unit.

    Source: Mikubill/sd-webui-controlnet, internal_controlnet/args.py, `serialize`, and its older versions.
    """
    if len(text) > MAX_LINE:
        return None
    text = STARTING_ENDING.sub(r"Guidance Start: \1, Guidance End: \2", text)
    entries = {label.lower().replace(" ", "_"): value for label, value in entries_of(text)}
    given = {LEGACY.get(label, label): value for label, value in entries.items()}
    texts = {name: given[name] for name in ("model", "hr_option") if name in given}
    try:
        numbers = {name: float(given[name]) for name in ("weight", "guidance_start", "guidance_end") if name in given}
        unit = from_controlnet({"module": given.get("module", "none")} | texts | numbers)
        read = {name: FIELDS[name].kind.read(name, value) for name, value in unit.items()}
    except (UnitError, ValueError):
        return None
    return read | {"note": "Restored from ControlNet's infotext, which has no pictures: add the references again."}

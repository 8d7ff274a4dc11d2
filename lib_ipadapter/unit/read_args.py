"""Reads units from the script's args: objects of this extension or of ControlNet, as JSON text, in lists or single."""

import json
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from typing import Any

from ..base.errors import IPAdapterError, UnitError, brief, printable
from ..base.json_objects import refuse_unknown
from .contradictions import refuse_contradictions
from .controlnet import from_controlnet
from .picture_fields import Picture
from .unit import FIELDS, Unit

SLOTS = 10
"""Number of args that the web UI passes to the script; each may be a list of any number of units."""
MAX_NOTE = 300
"""Maximum characters of a unit's note that an error repeats."""
MAX_NESTING = 4
MAX_DIGITS = 400
"""Whole numbers with more digits become infinite: parsing them is slow, and they are out of every range."""


def read_unit(given: dict[str, Any]) -> Unit:
    """Return the unit that a JSON object describes.

    Raises `UnitError` for unknown fields, wrong types, values out of range, and contradictions.
    """
    if "note" in given:  # set when restoring infotext; the panel shows and removes it
        raise UnitError("note", given["note"], f"says what is missing: {printable(str(given['note']), MAX_NOTE)}")
    refuse_unknown("", given, tuple(FIELDS))
    values = {FIELDS[name].attribute: FIELDS[name].kind.read(name, value) for name, value in given.items()}
    unit = Unit(**values)
    if unit.enabled:
        _check_whole(unit)
    return unit


def _check_whole(unit: Unit) -> None:
    if not unit.model:
        raise UnitError("model", unit.model, "is required: the file name of an adapter.")
    if not unit.has_references:
        if unit.images:
            why = "are all switched off: switch one on, or disable the unit."
            raise UnitError("images", f"{len(unit.images)} pictures", why)
        why = "is required: at least one reference picture as base64 text, or a subject, or embeds."
        raise UnitError("images", [], why)
    if unit.start > unit.end:
        raise UnitError("start", unit.start, f"must not be after end, which is {unit.end:g}.")
    refuse_contradictions(unit)


def read_own_unit(given: Any, purpose: str, enabled: bool) -> Unit:
    """Return the unit of a request, with `enabled` overriding its own; raises `UnitError`.

    `purpose` follows "must be a unit" in the error for other values.
    """
    if not isinstance(given, dict):
        raise UnitError("unit", given, f"must be a unit{purpose}, not {brief(given)}.")
    return read_unit({**given, "enabled": enabled})


def read_units(args: Iterable[Any]) -> dict[int, Unit]:
    """Return the enabled units of a script's args by their number; errors carry the unit's number."""
    units: dict[int, Unit] = {}
    for number, given in given_units(args).items():
        with numbered(number):
            units[number] = read_unit(given)
    return {number: unit for number, unit in units.items() if unit.enabled}


def with_reference(args: Iterable[Any], picture: Picture) -> list[dict[str, Any] | None]:
    """Return the units of a script's args in order, with the picture added to those that have no references.

    Raises `UnitError` if every unit has references, or for an invalid unit.
    """
    units = {number: dict(given) for number, given in given_units(args).items()}
    empty = [unit for unit in units.values() if unit.get("enabled", True) and not _has_references(unit)]
    if not empty:
        raise UnitError("images", f"{len(units)} units", "must be left empty in one unit, which gets the pictures.")
    for unit in empty:
        unit["images"] = [picture]
    return [units.get(number) for number in range(1, max(units) + 1)]


def _has_references(given: Mapping[str, Any]) -> bool:
    return any(given.get(name) for name in ("images", "subject", "embeds"))


def given_units(args: Iterable[Any]) -> dict[int, dict[str, Any]]:
    """Return the unit objects in a script's args by number from 1, with ControlNet units translated.

    Each arg is an object, its JSON text, a list of these, or empty. Empty args are counted too, so that a unit's number
    is that of its tab in the panel.
    """
    units: dict[int, dict[str, Any]] = {}
    for number, given in enumerate(_places(args), 1):
        if given is not None:
            with numbered(number):
                units[number] = from_controlnet(given)
    return units


@contextmanager
def numbered(number: int) -> Generator[None, None, None]:
    """Set the unit's number on errors raised inside."""
    try:
        yield
    except IPAdapterError as error:
        error.unit = number
        raise


def _places(given: Any, nesting: int = 0) -> Iterable[dict[str, Any] | None]:
    if isinstance(given, str):
        given = _from_json(given)
    if given is None or isinstance(given, dict):
        yield given
    elif isinstance(given, (list, tuple)) and nesting < MAX_NESTING:
        for entry in given:
            yield from _places(entry, nesting + 1)
    else:
        raise UnitError(
            "args", given, f"must hold unit objects, in lists at most {MAX_NESTING} deep; not {brief(given)}."
        )


def _from_json(text: str) -> Any:
    if not text.strip():
        return None
    try:
        return json.loads(text, parse_int=_whole_number)
    except (ValueError, RecursionError) as error:
        raise UnitError("args", text, f"must hold units as JSON, but a text does not parse: {error}.") from error


def _whole_number(digits: str) -> float:
    return int(digits) if len(digits) <= MAX_DIGITS else float(digits)

"""The panel's strength slider: weight, start and end at each of its marks, by purpose and base model.

The values are those of Krita AI Diffusion (Acly, presets/control.json), whose slider has three marks: light, normal and
full. "Strong" is halfway between its last two. Krita has none for style and composition together; these start with the
first step, which settles the composition.
"""

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from ..base.errors import IPAdapterError, UnitError, brief
from ..base.json_objects import refuse_unknown
from .presets import INTENTS
from .unit import FIELDS

MARKS = ("light", "normal", "strong", "full")
"""Marks of the slider after "off", which is weight 0."""

MOVED = ("weight", "start", "end")
"""Fields that the slider moves."""

ANY_BASE = "all"
"""Stands for every base model without values of its own."""

PULID = "PuLID"
"""Stands for PuLID's adapters, in place of a base model."""

ROWS: Mapping[str, str] = {"pulid": PULID, "pulid-v1.1": PULID, "pulid-flux": PULID}
"""Families of adapters with values of their own, and what stands for them."""

MAX_BYTES = 1 << 18
"""Maximum bytes of the user's file."""

Strengths = Mapping[str, Mapping[str, Mapping[str, Mapping[str, float]]]]
"""Purpose -> base model, `PULID` or `ANY_BASE` -> mark -> values of `MOVED`."""


def _marks(*values: tuple[float, float, float], row: str = ANY_BASE) -> dict[str, Mapping[str, Mapping[str, float]]]:
    """Return the values of each mark, for every base model or another row of the table."""
    return {row: {mark: dict(zip(MOVED, each, strict=True)) for mark, each in zip(MARKS, values, strict=True)}}


SHIPPED: Strengths = {
    "Subject": _marks((0.4, 0.2, 0.8), (0.8, 0.2, 0.8), (0.9, 0.1, 0.9), (1.0, 0.0, 1.0)),
    "Face": _marks((0.5, 0.4, 0.9), (0.8, 0.2, 1.0), (1.0, 0.2, 1.0), (1.2, 0.2, 1.0))
    | _marks((0.5, 0.0, 1.0), (0.8, 0.0, 1.0), (1.0, 0.0, 1.0), (1.2, 0.0, 1.0), row=PULID),
    "Style": _marks((0.4, 0.2, 0.8), (0.8, 0.2, 1.0), (1.0, 0.1, 1.0), (1.2, 0.0, 1.0)),
    "Composition": _marks((0.5, 0.0, 0.5), (0.8, 0.0, 0.8), (0.9, 0.0, 0.8), (1.0, 0.0, 0.8)),
    "Style and composition": _marks((0.4, 0.0, 0.8), (0.8, 0.0, 1.0), (1.0, 0.0, 1.0), (1.2, 0.0, 1.0)),
}


def strengths(path: Path | None, bases: Collection[str]) -> Strengths:
    """Return the shipped values, replaced by those in the user's file, if there is one.

    The file may have any part of the table. `bases` are the names of base models that it may use. Raises
    `IPAdapterError` if it is damaged.
    """
    if path is None or not path.exists():
        return SHIPPED
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ValueError(f"it has more than {MAX_BYTES} bytes")
        return _with(json.loads(path.read_text(encoding="utf-8")), bases)
    except IPAdapterError as error:
        raise _unusable(path, error.sentence) from error
    except (OSError, ValueError, RecursionError) as error:
        raise _unusable(path, f"{error}.") from error


def _unusable(path: Path, why: str) -> IPAdapterError:
    return IPAdapterError(f"The strengths in {path} cannot be used: {why} Repair the file, or move it away.")


def _with(given: Any, bases: Collection[str]) -> Strengths:
    """Return the shipped table with the given values over it."""
    table = {
        purpose: {base: {mark: dict(values) for mark, values in marks.items()} for base, marks in of.items()}
        for purpose, of in SHIPPED.items()
    }
    for purpose, of_bases in _entries("", given, INTENTS):
        for base, of_marks in _entries(purpose, of_bases, (ANY_BASE, PULID, *bases)):
            marks = table[purpose].setdefault(base, {m: dict(v) for m, v in table[purpose][ANY_BASE].items()})
            for mark, values in _entries(f"{purpose}.{base}", of_marks, MARKS):
                marks[mark] = _read(f"{purpose}.{base}.{mark}", values, marks[mark])
    return table


def _entries(name: str, given: Any, known: Collection[str]) -> Collection[tuple[str, Any]]:
    """Return the entries of an object with known keys only; raises `UnitError` for anything else."""
    if not isinstance(given, dict):
        raise UnitError(name or "the file", given, f"must be an object, not {brief(given)}.")
    refuse_unknown(name, given, tuple(known))
    return given.items()


def _read(name: str, given: Any, before: Mapping[str, float]) -> dict[str, float]:
    """Return a mark's values, those not given as before."""
    read = {field: FIELDS[field].kind.read(f"{name}.{field}", value) for field, value in _entries(name, given, MOVED)}
    values = {**before, **read}
    if values["start"] >= values["end"]:
        raise UnitError(f"{name}.start", values["start"], f"must be before the end, {values['end']:g}.")
    return values

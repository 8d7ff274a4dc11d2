"""What a picture's parameters say of the units that steered it, and the way back from there to a unit.

One line a unit: `Label: value, Label: value`, a value in quotes where it holds what would end it.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from .errors import UnitError
from .fields import Mask, Picture, Pictures
from .units import FIELDS, Unit

DIGEST_LENGTH = 12
"""Hexadecimal digits of a picture's SHA-256 that are written: enough to find it again among millions."""

MODEL = FIELDS["model"].metadata["label"]
NAMES = {field.metadata["label"]: name for name, field in FIELDS.items()}
UNIT_KEY = re.compile(r"IP-Adapter \d+")
ENTRY = re.compile(r'\s*([^:,"]+): ("(?:\\.|[^\\"])*"|[^,]*)(?:,|$)')


def unit_key(number: int) -> str:
    """Return the name of a unit's entry in the parameters."""
    return f"IP-Adapter {number}"


def without_units(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters without the units that an earlier generation with the same record left in them."""
    return {key: value for key, value in parameters.items() if not UNIT_KEY.fullmatch(key)}


def describe(unit: Unit, file_name: str, digests: Mapping[str, str]) -> str:
    """Return a unit in one line: its adapter, its weight, what else differs from the defaults, its pictures' hashes."""
    settings = {MODEL: file_name}
    pictures: dict[str, str] = {}
    for name, field in FIELDS.items():
        value, kind, label = getattr(unit, field.name), field.metadata["kind"], field.metadata["label"]
        if name in ("model", "enabled") or (value == field.default and name != "weight"):
            continue
        if isinstance(kind, (Pictures, Mask)):
            pictures[label] = _hashes(name, value, digests)
        else:
            settings[label] = f"{value:.12g}" if isinstance(value, float) else str(value)
    return ", ".join(f"{label}: {_quoted(value)}" for label, value in (settings | pictures).items())


def _hashes(name: str, value: Any, digests: Mapping[str, str]) -> str:
    if isinstance(value, str):
        return digests[name][:DIGEST_LENGTH]
    return " ".join(_hash(each, f"{name}[{i}]", digests) for i, each in enumerate(value) if each.weight)


def _hash(picture: Picture, field: str, digests: Mapping[str, str]) -> str:
    """Return a picture as its hash, its weight where that is not 1, and its region's hash where it has one."""
    weight = "" if picture.weight == 1.0 else f"×{picture.weight:.12g}"
    region = "" if picture.mask is None else f"@{digests[f'{field}.mask'][:DIGEST_LENGTH]}"
    return digests[field][:DIGEST_LENGTH] + weight + region


def _quoted(value: str) -> str:
    plain = value.strip() == value and not set(value) & set(',:"\n')
    return value if plain else json.dumps(value, ensure_ascii=False)


def _unquoted(value: str) -> str:
    """Return what `_quoted` was given; broken quotes stay as they are."""
    try:
        return str(json.loads(value)) if value.startswith('"') else value
    except ValueError:
        return value


def restored(text: str) -> dict[str, Any]:
    """Return the unit that a line describes, as JSON values, with a `note` on what could not be restored.

    Pictures are known by their hashes alone, so they are never restored.
    """
    unit: dict[str, Any] = {}
    notes: list[str] = []
    for label, value in ENTRY.findall(text):
        name = NAMES.get(label.strip())
        value = _unquoted(value.strip())
        kind = FIELDS[name].metadata["kind"] if name else None
        if name is None or kind is None or isinstance(kind, (Pictures, Mask)):
            notes.append(f"{label.strip()} {value}")
            continue
        try:
            unit[name] = kind.read(name, kind.parse(value))
        except (UnitError, ValueError):
            notes.append(f"{label.strip()} {value}")
    return unit | ({"note": f"Not restored, choose again: {'; '.join(notes)}."} if notes else {})

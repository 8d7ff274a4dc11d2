"""What a picture's parameters say of the units that steered it."""

from collections.abc import Mapping

from .preparation import Prepared
from .units import FIELDS, Unit

DIGEST_LENGTH = 12
"""Hexadecimal digits of a reference's SHA-256 that are written: enough to find it again among millions."""


def parameters(prepared: Mapping[int, Prepared]) -> dict[str, str]:
    """Return the entries for a picture's parameters, one a unit: `IP-Adapter 1` and so on."""
    return {f"IP-Adapter {number}": describe(each) for number, each in prepared.items()}


def describe(prepared: Prepared) -> str:
    """Return a unit in one line: its adapter, what differs from the defaults, and the hashes of its references."""
    words = [f"Model: {prepared.adapter.path.name}"]
    words += [f"{label}: {value}" for label, value in _changed(prepared.unit).items()]
    words.append("References: " + " ".join(digest[:DIGEST_LENGTH] for digest in prepared.digests))
    return ", ".join(words)


def _changed(unit: Unit) -> dict[str, str]:
    changed: dict[str, str] = {}
    for name, field in FIELDS.items():
        value = getattr(unit, field.name)
        if name not in ("model", "images", "enabled") and (value != field.default or name == "weight"):
            changed[field.metadata["label"]] = f"{value:g}" if isinstance(value, float) else str(value)
    return changed

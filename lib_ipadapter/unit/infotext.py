"""Writes units to infotext: one line for each, with everything that its result depends on."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .field_kinds import ADAPTER_DIGITS
from .infotext_entries import written
from .unit import FIELDS, Unit

ADAPTER = FIELDS["model"].label
ENCODER_USED, UNCONDITIONAL, VERSION = "Encoder used", "Unconditional", "Version"
"""Labels of entries that are not fields."""
USUAL_UNCONDITIONAL = "mean"

OWN_KEY = re.compile(r"IP-Adapter [0-9]+( likeness)?")


@dataclass(frozen=True)
class Circumstances:
    """What a unit's result depends on apart from its fields; empty values are unknown and not written."""

    adapter_digest: str = ""
    """SHA-256 of the adapter's file, in hexadecimal."""
    encoder: str = ""
    """Name of the image encoder's file that was used."""
    unconditional: str = ""
    """The unconditional picture without a negative reference: "mean" or "black"."""
    version: str = ""
    """The extension's version."""


def unit_key(number: int) -> str:
    """Return the key of a unit's infotext entry."""
    return f"IP-Adapter {number}"


def likeness_key(number: int) -> str:
    """Return the key of the infotext entry for the likeness of faces to a unit's references."""
    return f"{unit_key(number)} likeness"


def without_units(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters without entries of units that an earlier generation left in the same processing object."""
    return {key: value for key, value in parameters.items() if not OWN_KEY.fullmatch(key)}


def describe(unit: Unit, file_name: str, digests: Mapping[str, str], circumstances: Circumstances | None = None) -> str:
    """Return a unit's infotext line: adapter, weight, fields that differ from their defaults, and picture hashes.

    `digests` are the SHA-256 of the unit's pictures and named files, by field, such as `images[0].mask`. The
    circumstances come last.
    """
    circumstances = circumstances or Circumstances()
    settings = {ADAPTER: _named(file_name, circumstances.adapter_digest)}
    pictures: dict[str, str] = {}
    for name, field in FIELDS.items():
        value = getattr(unit, field.attribute)
        if field.infotext and (field.always or value != field.default):
            kept = pictures if field.kind.of_pictures else settings
            kept[field.label] = field.kind.describe(name, value, digests)
    return written((settings | pictures | _written_of(circumstances)).items())


def _named(file_name: str, digest: str) -> str:
    return f"{file_name} [{digest[:ADAPTER_DIGITS]}]" if digest else file_name


def _written_of(circumstances: Circumstances) -> dict[str, str]:
    unconditional = circumstances.unconditional
    found = {
        ENCODER_USED: circumstances.encoder,
        UNCONDITIONAL: "" if unconditional == USUAL_UNCONDITIONAL else unconditional,
        VERSION: circumstances.version,
    }
    return {label: value for label, value in found.items() if value}

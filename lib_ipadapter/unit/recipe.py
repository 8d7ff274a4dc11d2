"""Recipes: a unit's settings as one file that can be given to others, with the adapter's name and hash."""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from ..base.errors import IPAdapterError, UnitError, printable
from ..base.version import VERSION
from .unit import FIELDS, PICTURE_FIELDS

FORMAT = 1
"""Version of the file's layout, `recipe` in the file."""

ENDING = ".ipadapter.json"

OWN = (*PICTURE_FIELDS, "mask", "subject", "embeds")
"""Fields with pictures, or with the names of pictures kept here; a recipe has them only if the user wants that."""

MAX_TEXT = 256 << 20
"""Maximum characters of a recipe; it may hold pictures."""
MAX_NAMED = 5
"""Unknown fields that are named."""


class Adapter(NamedTuple):
    """How a recipe names its adapter."""

    file: str = ""
    sha256: str = ""
    title: str = ""
    """What kind of adapter it is, for people."""


class Recipe(NamedTuple):
    """What was read from a recipe."""

    unit: Mapping[str, Any]
    """Values of fields, all of them valid, without the adapter."""
    adapter: Adapter
    notes: tuple[str, ...]
    """What does not fit, in sentences."""


def write_recipe(name: str, unit: Mapping[str, Any], adapter: Adapter, with_own: bool) -> str:
    """Return the text of a recipe, with every setting of a unit that differs from its default."""
    left_out = {"enabled", "model", *(() if with_own else OWN)}
    kept = {
        field: unit[field]
        for field in FIELDS
        if field in unit and field not in left_out and unit[field] != FIELDS[field].json_default
    }
    whole = {"recipe": FORMAT, "extension": VERSION, "name": name, "adapter": adapter._asdict(), "unit": kept}
    return json.dumps(whole, indent=1, ensure_ascii=False) + "\n"


def read_recipe(text: Any) -> Recipe:
    """Return a recipe; raises `IPAdapterError` for anything else.

    Unknown fields and invalid values are left out and said in the notes, so that the rest can be used.
    """
    given = _object_in(text)
    notes = list(_version_notes(given))
    values, faults = _read_fields(given["unit"])
    return Recipe(values, _read_adapter(given.get("adapter")), (*notes, *faults))


def _object_in(text: Any) -> dict[str, Any]:
    try:
        given = json.loads(text) if isinstance(text, str) and len(text) <= MAX_TEXT else None
    except (ValueError, RecursionError):
        given = None
    if not isinstance(given, dict) or "recipe" not in given or not isinstance(given.get("unit"), dict):
        raise IPAdapterError(
            f"This is not a recipe. Recipes are files named NAME{ENDING}, as Save as recipe writes them."
        )
    return given


def _version_notes(given: Mapping[str, Any]) -> list[str]:
    if given["recipe"] == FORMAT:
        return []
    return [f"A later version of IP-Adapter wrote it ({printable(str(given.get('extension', 'unknown')), 20)})."]


def _read_adapter(given: Any) -> Adapter:
    if not isinstance(given, dict):
        return Adapter()
    texts = {name: given.get(name, "") for name in Adapter._fields}
    return Adapter(**{name: printable(text) for name, text in texts.items() if isinstance(text, str)})


def _read_fields(given: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return the valid values, and a sentence on each of the others."""
    values, faults = dict[str, Any](), list[str]()
    unknown = [printable(str(name), 40) for name in given if name not in FIELDS]
    for name in FIELDS:
        if name in given and name not in ("enabled", "model"):
            try:
                FIELDS[name].kind.read(name, given[name])
            except UnitError as error:
                faults.append(error.sentence)
            else:
                values[name] = given[name]
    if unknown:
        more = f" and {len(unknown) - MAX_NAMED} more" if len(unknown) > MAX_NAMED else ""
        faults.append(f"This version does not know {', '.join(unknown[:MAX_NAMED])}{more}; the rest was taken.")
    return values, faults

"""Settings for a purpose, and those that a person keeps under a name in a plain JSON file."""

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..base.errors import IPAdapterError, UnitError, brief
from .fields import Mask, Pictures, Region, Saved, refuse_unknown
from .unit import FIELDS, read_unit

MAX_NAME = 60
MAX_PRESETS = 200
MAX_BYTES = 1 << 20
"""Of the file; what is longer was not written here."""

SETTINGS = tuple(
    name
    for name, each in FIELDS.items()
    if name not in ("enabled", "model") and not isinstance(each.metadata["kind"], (Pictures, Mask, Region, Saved))
)
"""Fields that a preset sets: all but pictures, what stands for pictures, and places. It may name an adapter besides."""


@dataclass(frozen=True)
class Intent:
    """What a person wants of references, and settings that do it."""

    help: str
    values: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """What differs from the defaults."""
    families: tuple[str, ...] = ()
    """Adapters that suit it, the best first."""
    uses: tuple[str, ...] = ("general",)
    """What adapters for it were trained for, the best first (`web/adapter_uses.py`); decides before `families`."""


FACES = ("faceid-plus", "faceid", "portrait", "full-face")

INTENTS: Mapping[str, Intent] = {
    "Subject": Intent(
        "The references' subject, in a scene that the prompt tells.",
        {"weight": 0.7},
        ("plus", "base", "full-face"),
        ("general", "face"),
    ),
    "Face": Intent(
        "A person's likeness; the prompt tells the rest.", {"weight": 0.8}, (*FACES, "plus"), ("likeness", "face")
    ),
    "Style": Intent(
        "Colours, light and brush of the references, and not what is on them.",
        {"weight_type": "style transfer", "crop": "pad"},
        ("plus", "base"),
        ("style", "general"),
    ),
    "Composition": Intent(
        "Where things are on the reference, and not how they look.",
        {"weight_type": "composition", "crop": "squash"},
        ("plus", "base"),
        ("composition", "general"),
    ),
    "Style and composition": Intent(
        "Both, while the prompt tells what is there.",
        {"weight_type": "style and composition", "crop": "squash"},
        ("plus", "base"),
    ),
}
"""The layers that carry style and composition are InstantStyle's (Wang et al. 2024, section 3.2). A weight below 1 lets
the prompt have its say (README of IP-Adapter, "Best Practice"); a whole layout needs the whole picture, so no crop."""


class Presets:
    """A person's own presets, in one file; `where` says which, or None where presets cannot be kept."""

    def __init__(self, where: Callable[[], Path | None]) -> None:
        self._where = where
        self._turn = threading.Lock()

    def all(self) -> dict[str, dict[str, Any]]:
        """Return every preset's settings by its name; raises `IPAdapterError` where the file is damaged."""
        path = self._where()
        if path is None or not path.exists():
            return {}
        return _read(path)

    def save(self, asked: Mapping[str, Any]) -> str:
        """Keep the settings of `unit` under `name`, which may be taken only where `overwrite` is true."""
        refuse_unknown("", dict(asked), ("name", "unit", "overwrite"))
        name, unit = _name(asked), asked.get("unit")
        if not isinstance(unit, dict):
            raise UnitError("unit", unit, f"must be a unit with the settings to keep, not {brief(unit)}.")
        with self._turn:
            kept = self.all()
            if name in kept and asked.get("overwrite") is not True:
                raise UnitError("name", name, f'"{name}" is taken. Choose another one, or set overwrite to true.')
            if len(kept) >= MAX_PRESETS and name not in kept:
                raise IPAdapterError(f"There are {MAX_PRESETS} presets. Delete one first.")
            self._write({**kept, name: settings_of(unit)})
        return name

    def delete(self, asked: Mapping[str, Any]) -> str:
        """Forget the preset called `name`."""
        name = _name(asked)
        with self._turn:
            kept = self.all()
            if name not in kept:
                raise UnitError("name", name, f'"{name}" is no preset that is kept.')
            self._write({other: values for other, values in kept.items() if other != name})
        return name

    def _write(self, kept: Mapping[str, Any]) -> None:
        path = self._where()
        if path is None:
            raise IPAdapterError("There is no folder for presets.")
        part = path.with_name(f"{path.name}.part")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            part.write_text(json.dumps(kept, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
            part.replace(path)
        except OSError as error:
            raise IPAdapterError(f"The presets could not be written to {path}: {error}.") from error


def settings_of(unit: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a preset keeps of a unit: its adapter, and every setting that differs from its default."""
    checked = read_unit({name: unit[name] for name in ("model", *SETTINGS) if name in unit} | {"enabled": False})
    values = {name: getattr(checked, FIELDS[name].name) for name in ("model", *SETTINGS)}
    return {name: value for name, value in values.items() if value != FIELDS[name].default}


def _name(asked: Mapping[str, Any]) -> str:
    name = asked.get("name")
    if not isinstance(name, str) or not name.strip() or len(name) > MAX_NAME or not name.isprintable():
        raise UnitError("name", name, f"must be a text of 1 to {MAX_NAME} characters, not {brief(name)}.")
    return name.strip()


def _read(path: Path) -> dict[str, dict[str, Any]]:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ValueError(f"has more than {MAX_BYTES} bytes")
        kept = json.loads(path.read_text(encoding="utf-8"))
        return {name: settings_of(kept[name]) for name in kept}
    except (OSError, ValueError, RecursionError, LookupError, AttributeError, TypeError, IPAdapterError) as error:
        raise IPAdapterError(f"The presets in {path} cannot be read: {error} Mend the file, or remove it.") from error

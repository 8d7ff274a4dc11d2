"""Settings for a purpose, and those that a person keeps under a name in a plain JSON file."""

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..base.errors import IPAdapterError, UnitError, brief
from ..base.file_names import read_title
from ..base.files import write_whole
from ..base.json_objects import refuse_unknown
from .read_args import read_unit
from .unit import FIELDS

MAX_PRESETS = 200
MAX_BYTES = 1 << 20
"""Of the file; a longer one was not written here."""

SETTINGS = tuple(name for name, each in FIELDS.items() if each.preset)
"""Fields that a preset sets. It may also name an adapter."""


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
        "The subject of the references, in a scene that the prompt describes.",
        {"weight": 0.7},
        ("plus", "base", "full-face"),
        ("general", "face"),
    ),
    "Face": Intent(
        "A person's likeness; the prompt describes the rest.", {"weight": 0.8}, (*FACES, "plus"), ("likeness", "face")
    ),
    "Style": Intent(
        "Colours, light and technique of the references, not what they show.",
        {"weight_type": "style transfer", "crop": "pad"},
        ("plus", "base"),
        ("style", "general"),
    ),
    "Composition": Intent(
        "Where things are in the reference, not how they look.",
        {"weight_type": "composition", "crop": "squash"},
        ("plus", "base"),
        ("composition", "general"),
    ),
    "Style and composition": Intent(
        "Both, while the prompt says what is there.",
        {"weight_type": "style and composition", "crop": "squash"},
        ("plus", "base"),
    ),
}
"""The layers that carry style and composition are InstantStyle's (Wang et al. 2024, section 3.2). A weight below 1
leaves the prompt some influence (README of IP-Adapter, "Best Practice"); a layout needs the whole picture, so no crop.
"""


class Presets:
    """A person's own presets, in one file; `where` says which, or None where presets cannot be kept.

    Entries that cannot be read, as those of a newer version may be, stay in the file as they are.
    """

    def __init__(self, where: Callable[[], Path | None]) -> None:
        self._where = where
        self._lock = threading.Lock()

    def all(self) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
        """Return the settings of all presets by name, and beside them the damaged ones by name with their fault.

        Raises `IPAdapterError` where the file as a whole cannot be read.
        """
        opened, damaged = dict[str, dict[str, Any]](), dict[str, str]()
        for name, entry in self._kept().items():
            try:
                opened[name] = settings_of(entry)
            except IPAdapterError as error:
                damaged[name] = error.sentence
        return opened, damaged

    def save(self, asked: Mapping[str, Any]) -> str:
        """Keep the settings of `unit` under `name`, which may be taken only where `overwrite` is true."""
        refuse_unknown("", dict(asked), ("name", "unit", "overwrite"))
        name, settings = read_title("name", asked.get("name")), settings_of(asked.get("unit"))
        with self._lock:
            kept = self._kept()
            if name in kept and asked.get("overwrite") is not True:
                raise UnitError("name", name, f'"{name}" is taken. Choose another one, or set overwrite to true.')
            if len(kept) >= MAX_PRESETS and name not in kept:
                raise IPAdapterError(f"There are {MAX_PRESETS} presets. Delete one first.")
            self._write({**kept, name: settings})
        return name

    def delete(self, asked: Mapping[str, Any]) -> str:
        """Forget the preset called `name`, damaged or not."""
        name = read_title("name", asked.get("name"))
        with self._lock:
            kept = self._kept()
            if name not in kept:
                raise UnitError("name", name, f'"{name}" is not the name of a preset.')
            self._write({other: entry for other, entry in kept.items() if other != name})
        return name

    def _kept(self) -> dict[str, Any]:
        """Return what the file holds, entry by entry and unread; raises `IPAdapterError` where it is damaged."""
        path = self._where()
        if path is None or not path.exists():
            return {}
        try:
            if path.stat().st_size > MAX_BYTES:
                raise ValueError(f"it has more than {MAX_BYTES} bytes")
            kept = json.loads(path.read_text(encoding="utf-8"))
            if not isinstance(kept, dict):
                raise ValueError("it must hold an object")
        except (OSError, ValueError, RecursionError) as error:
            raise IPAdapterError(
                f"The presets in {path} cannot be read: {error}. Repair the file, or move it away."
            ) from error
        return kept

    def _write(self, kept: Mapping[str, Any]) -> None:
        path = self._where()
        if path is None:
            raise IPAdapterError("There is no folder for presets.")
        content = (json.dumps(kept, indent=2, ensure_ascii=False) + "\n").encode()
        if len(content) > MAX_BYTES:
            raise IPAdapterError(f"The presets would take more than {MAX_BYTES} bytes. Delete one first.")
        try:
            write_whole(path, content)
        except OSError as error:
            raise IPAdapterError(f"The presets cannot be written to {path}: {error.strerror or error}.") from error


def settings_of(unit: Any) -> dict[str, Any]:
    """Return what a preset keeps of a unit: its adapter, and every setting that differs from its default.

    Fields that a preset does not keep are left out, those of newer versions too; raises `UnitError` for wrong values.
    """
    if not isinstance(unit, dict):
        raise UnitError("unit", unit, f"must be a unit with the settings to keep, not {brief(unit)}.")
    names = ("model", *SETTINGS)
    checked = read_unit({name: unit[name] for name in names if name in unit} | {"enabled": False})
    values = {name: getattr(checked, FIELDS[name].attribute) for name in names}
    return {name: value for name, value in values.items() if value != FIELDS[name].default}

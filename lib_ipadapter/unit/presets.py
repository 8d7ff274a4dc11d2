"""Built-in settings for a purpose, and the user's presets, which are saved by name in a JSON file."""

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..base.errors import IPAdapterError, UnitError, brief, printable
from ..base.file_names import read_title
from ..base.files import write_whole
from ..base.json_objects import refuse_unknown
from .read_args import read_unit
from .unit import FIELDS

MAX_PRESETS = 200
MAX_BYTES = 1 << 20
"""Maximum bytes of the file."""

SETTINGS = tuple(name for name, each in FIELDS.items() if each.preset)
"""Fields that a preset saves. It may also name an adapter."""


@dataclass(frozen=True)
class Intent:
    """A purpose of references, with settings for it."""

    help: str
    values: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Values of `PURPOSE_FIELDS` that differ from the defaults."""
    uses: tuple[str, ...] = ("general",)
    """What suitable adapters were trained for, the best first (`web/adapter_uses.py`)."""


INTENTS: Mapping[str, Intent] = {
    "Subject": Intent(
        "Puts the subject of the references into the scene that the prompt describes.",
        uses=("general", "face"),
    ),
    "Face": Intent(
        "Keeps a person's likeness; the prompt describes the rest.",
        uses=("likeness", "face"),
    ),
    "Style": Intent(
        "Takes colours, light and technique from the references, not their content.",
        {"weight_type": "style transfer", "crop": "pad"},
        ("style", "general"),
    ),
    "Composition": Intent(
        "Takes the layout of the reference, not its look.",
        {"weight_type": "composition", "crop": "squash"},
        ("composition", "general"),
    ),
    "Style and composition": Intent(
        "Takes both style and layout; the prompt describes the content.",
        {"weight_type": "style and composition", "crop": "squash"},
    ),
}
"""The layers for style and composition are InstantStyle's (Wang et al. 2024, section 3.2). Composition needs the whole
picture, without a crop. Weight, start and end follow from the strength (`strength.py`)."""

PURPOSE_FIELDS = ("weight_type", "composition_weight", "style_boost", "composition_boost", "layers", "crop")
"""Fields that a purpose sets, to their defaults where it names no value; it leaves the others alone."""


class Presets:
    """The user's presets, in one file; `where` returns its path, or None where presets cannot be saved.

    Entries that cannot be read, such as those of a newer version, stay in the file unchanged.
    """

    def __init__(self, where: Callable[[], Path | None]) -> None:
        self._where = where
        self._lock = threading.Lock()

    def all(self) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
        """Return the settings of all presets by name, and the error of each damaged one by name.

        Raises `IPAdapterError` if the file as a whole cannot be read.
        """
        opened, damaged = dict[str, dict[str, Any]](), dict[str, str]()
        for name, entry in self._kept().items():
            try:
                opened[name] = settings_of(entry)
            except IPAdapterError as error:
                damaged[name] = error.sentence
        return opened, damaged

    def partial(self) -> dict[str, list[str]]:
        """Return the names of settings that this version does not know, by preset that has some."""
        known = {"model", *SETTINGS}
        unknown = {
            name: [printable(key, 40) for key in entry if key not in known]
            for name, entry in self._kept().items()
            if isinstance(entry, dict)
        }
        return {name: keys for name, keys in unknown.items() if keys}

    def save(self, asked: Mapping[str, Any]) -> str:
        """Save the settings of `unit` as `name`; an existing preset is replaced only if `overwrite` is true."""
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
        """Delete the preset called `name`, damaged or not."""
        name = read_title("name", asked.get("name"))
        with self._lock:
            kept = self._kept()
            if name not in kept:
                raise UnitError("name", name, f'"{name}" is not the name of a preset.')
            self._write({other: entry for other, entry in kept.items() if other != name})
        return name

    def _kept(self) -> dict[str, Any]:
        """Return the file's entries without validating them; raises `IPAdapterError` if the file is damaged."""
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
    """Return what a preset saves of a unit: its adapter, and every setting that differs from its default.

    Other fields are left out, including those of newer versions. Raises `UnitError` for invalid values.
    """
    if not isinstance(unit, dict):
        raise UnitError("unit", unit, f"must be a unit with the settings to save, not {brief(unit)}.")
    names = ("model", *SETTINGS)
    checked = read_unit({name: unit[name] for name in names if name in unit} | {"enabled": False})
    values = {name: getattr(checked, FIELDS[name].attribute) for name in names}
    return {name: value for name, value in values.items() if value != FIELDS[name].default}

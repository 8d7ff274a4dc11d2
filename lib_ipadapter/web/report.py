"""A report of what runs here, for asking others for help: without pictures, paths, names and prompts."""

import platform
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch

from ..base.errors import IPAdapterError
from ..base.json_objects import read_object
from ..base.plain_words import plain
from ..base.version import VERSION
from ..engine.session import Session
from ..review.readiness import ready
from ..unit.field_kinds import Number, Text
from ..unit.picture_fields import Picture
from ..unit.read_args import given_units, read_unit
from ..unit.unit import FIELDS, Unit
from ..weights.adapter_file import AdapterFile
from .file_lists import loaded_base

PACKAGES = ("gradio", "insightface", "onnxruntime", "facexlib")
MOST_ADAPTERS = 30
MOST_ERROR = 2000
"""Characters of the last error that are looked at."""

SET = "set"
"""Stands for a value that a person wrote or drew."""


def report(session: Session, asked: Any) -> dict[str, Any]:
    """Return a text on versions, files and `units`, with the last `error` that the panel showed.

    `units`, `cfg_scale`, `steps` and `inner` are as in readiness. Raises `IPAdapterError` for anything else.
    """
    given = {**read_object("The request", asked, ("units", "cfg_scale", "steps", "inner", "error"))}
    error = Text().read("error", given.pop("error", ""))
    names = _names(session, given.get("units"))
    sections = {
        "IP-Adapter report": _versions(session),
        "Adapters": _adapters(session),
        "Units": _units(session, given, names),
        "Last error": [plain(error[:MOST_ERROR], names)] if error else [],
    }
    return {
        "report": "\n\n".join("\n".join([title, *lines]) for title, found in sections.items() if (lines := [*found]))
    }


def _versions(session: Session) -> Iterator[str]:
    host = session.host
    device = host.compute_device()
    card = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    yield f"extension {VERSION}, Python {platform.python_version()}, torch {torch.__version__}, {platform.system()}"
    yield ", ".join(f"{name} {_version(name)}" for name in PACKAGES)
    yield f"web UI: {host.about()}"
    yield f"device: {card}, {str(host.compute_dtype()).removeprefix('torch.')}"
    yield f"checkpoint: {loaded_base(session) or 'unknown'}"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _adapters(session: Session) -> Iterator[str]:
    opened, damaged = session.preparation.files.all_adapters()
    for adapter in list(opened.values())[:MOST_ADAPTERS]:
        yield f"- {_kind(session, adapter)}"
    if len(opened) > MOST_ADAPTERS:
        yield f"- {len(opened) - MOST_ADAPTERS} more"
    if damaged:
        yield f"- {len(damaged)} damaged"


def _kind(session: Session, adapter: AdapterFile) -> str:
    """Return family, variant, base model and hash of an adapter, and its name if it is a published file."""
    found, check = adapter.recognised, session.preparation.files.known.check(adapter.path)
    variant = f" {found.variant.name} (by {found.variant_by})" if found.variant else ""
    published = f", published as {check.published.name}" if check.published else ""
    return f"{found.family.name}{variant}, {found.base}, sha256 {(check.sha256 or 'not known yet')[:16]}{published}"


def _units(session: Session, given: dict[str, Any], names: tuple[str, ...]) -> Iterator[str]:
    states = {each["unit"]: each for each in ready(session, given)["units"]} if given.get("units") else {}
    for number, unit in given_units([given.get("units")]).items():
        yield f"unit {number}: {states[number]['state']}"
        yield from (f"- {line}" for line in _settings(session, unit, names))
        yield from (f"- {plain(each['sentence'], names)}" for each in states[number]["findings"])


def _settings(session: Session, given: dict[str, Any], names: tuple[str, ...]) -> Iterator[str]:
    """Yield what differs from the defaults: numbers and options as they are, of all else only that it is set."""
    try:
        unit = read_unit({**given, "enabled": False})
    except IPAdapterError as error:
        yield f"cannot be read: {plain(error.sentence, names)}"
        return
    yield f"adapter: {_adapter_of(session, unit)}"
    for name, field in FIELDS.items():
        value = getattr(unit, field.attribute)
        if name not in ("enabled", "model") and value != field.default:
            yield f"{name}: {_shown(field.kind, value)}"


def _adapter_of(session: Session, unit: Unit) -> str:
    try:
        return _kind(session, session.preparation.adapter_as_known(unit))
    except IPAdapterError:
        return "not usable" if unit.model else "none"


def _shown(kind: Any, value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join(_picture(each) for each in value)
    is_option = value in getattr(kind, "options", ())
    return str(value) if is_option or isinstance(value, (bool, int, float)) or isinstance(kind, Number) else SET


def _picture(picture: Picture) -> str:
    """Return how a picture is used, not what it shows."""
    parts = [f"weight {picture.weight:g}", picture.crop, picture.box and "box", picture.mask and "region"]
    return " ".join(part for part in (*parts, "" if picture.enabled else "off") if part)


def _names(session: Session, units: Any) -> tuple[str, ...]:
    """Return the names of files and of what the units use, which sentences repeat."""
    files = session.preparation.files
    opened, damaged = files.all_adapters()
    texts = [
        unit.get(name) for unit in given_units([units]).values() for name in ("model", "subject", "embeds", "encoder")
    ]
    known = [*opened, *damaged, *files.encoders.all()[0], session.host.checkpoint_name()]
    own = [str(text) for text in texts if text and text != "auto"]
    return tuple(name for name in (*known, *own, platform.node()) if len(name) > 2)

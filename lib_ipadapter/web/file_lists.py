"""Lists of adapters, encoders and saved references as JSON values, and saving references."""

from collections.abc import Mapping, Sequence
from typing import Any

from ..base.errors import IPAdapterError
from ..base.json_objects import read_object
from ..engine.compatibility import LoadedNetwork, mismatch
from ..engine.expected_network import expected_network
from ..engine.session import Session
from ..faces.insightface_models import PACKS, model_paths
from ..faces.portraits import portrait_paths
from ..files.known_files import FileCheck
from ..files.model_files import AnyEncoder
from ..files.saved_embeds import SavedReference
from ..unit.field_kinds import Flag, Text
from ..unit.read_args import read_own_unit
from ..weights.adapter_file import AdapterFile
from ..weights.bases import BASES
from .adapter_uses import uses_of

DAMAGED, NOT_YET = "damaged", "not supported yet"
"""Short reasons why an adapter cannot be used."""


def save_reference(session: Session, asked: Any) -> dict[str, Any]:
    """Save the references of `unit` as `name`; an existing one is replaced only if `overwrite` is true.

    Raises `IPAdapterError` where that fails.
    """
    given = read_object("The request", asked, ("name", "unit", "overwrite", "task"))
    name = Text().read("name", given.get("name"))
    overwrite = Flag().read("overwrite", given.get("overwrite", False))
    read = read_own_unit(given.get("unit"), " with the pictures to save", enabled=True)
    with session.host.exclusive(Text().read("task", asked.get("task", ""))):
        saved = session.preparation.save(name, read, overwrite)
    return _saved_entry(saved.path.name, saved)


def list_saved(session: Session) -> list[dict[str, Any]]:
    """Return all saved references; damaged ones with their error."""
    opened, damaged = session.preparation.files.saved.all()
    listed = [_saved_entry(name, reference) for name, reference in opened.items()]
    return listed + [{"name": name, "reason": fault} for name, fault in damaged.items()]


def _saved_entry(name: str, reference: SavedReference) -> dict[str, Any]:
    return {
        "name": name,
        "references": len(reference.pictures),
        "tiles": any(picture.places for picture in reference.pictures),
        "holds": list(reference.shapes),
        "encoder": reference.encoder,
        "sha256": reference.digest,
        "reason": "",
    }


def list_adapters(session: Session) -> list[dict[str, Any]]:
    """Return all adapter files, those that fit the loaded checkpoint first; damaged ones with their error."""
    loaded = expected_network(session.host)
    files = session.preparation.files
    opened, damaged = files.all_adapters()
    encoders = list(files.encoders.all()[0].values())
    listed = [_adapter_entry(session, name, adapter, loaded, encoders) for name, adapter in opened.items()]
    files.known.want(adapter.path for adapter in opened.values())
    listed += [{"name": name, "reason": fault, "short": DAMAGED} for name, fault in damaged.items()]
    return sorted(listed, key=lambda entry: (bool(entry["reason"]), entry["name"].lower()))


def loaded_base(session: Session) -> str:
    """Return the loaded checkpoint's base model, or "" where it is unknown."""
    loaded = expected_network(session.host)
    if loaded is None:
        return ""
    return BASES.get((loaded.context_dim, len(loaded.widths)), loaded.base)


def _adapter_entry(
    session: Session, name: str, adapter: AdapterFile, loaded: LoadedNetwork | None, encoders: Sequence[AnyEncoder]
) -> dict[str, Any]:
    found = adapter.recognised
    reason = mismatch(adapter, loaded) if loaded else ""
    check = session.preparation.files.known.check(adapter.path)
    return {
        "name": name,
        **_published(check),
        **found.facts,
        "variant": found.variant.name if found.variant else "",
        "variant_by": found.variant_by,
        "controlnet": found.controlnet,
        "fields": list(found.family.fields),
        "uses": uses_of(found.family.name, name, check.published),
        "title": found.title.split(" (")[0].removeprefix("an ").removeprefix("a ").removesuffix(" adapter"),
        "reason": reason,
        "short": f"for {found.base}" if found.runs else NOT_YET,
        **({"note": "", "missing": False} if reason else _encoder_note(session, adapter, check, encoders)),
    }


def _published(check: FileCheck) -> dict[str, Any]:
    """Return which published file a file is, and its hash, each None while it is not known."""
    return {"sha256": check.sha256 or None, "published": check.published.name if check.published else None}


def _encoder_note(
    session: Session, adapter: AdapterFile, check: FileCheck, encoders: Sequence[AnyEncoder]
) -> dict[str, Any]:
    """Return a note on an adapter's kind, how a variant was determined, and its encoders, or on what is missing."""
    library, found = session.preparation.files, adapter.recognised
    try:
        encoder = library.encoder_among(encoders, adapter) if found.width else None
        if found.family.face_embedding:
            library.known.want(model_paths(PACKS[found.pack], session.host.folders().faces))
        if found.family.portrait:
            library.known.want(portrait_paths(session.host.folders().facexlib))
    except IPAdapterError as error:
        return {"note": error.sentence, "missing": True}
    sees = [f"face models {found.pack}"] if found.family.face_embedding else []
    sees += [f"image encoder {encoder.path.name}"] if encoder else []
    found_by = {"name": " by its name", "hash": " by its hash", "default": " by default"}.get(found.variant_by, "")
    note = f"{found.title.split(' (')[0].removeprefix('an ').removeprefix('a ')}{found_by}, {', '.join(sees)}"
    return {"note": f"{note}. {check.sentence}" if check.sentence else note, "missing": False}


def usable(entries: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the names of the usable files in a list."""
    return [entry["name"] for entry in entries if not entry["reason"]]


def list_encoders(session: Session) -> list[dict[str, Any]]:
    """Return all image encoder files."""
    files = session.preparation.files
    opened, damaged = files.encoders.all()
    listed: list[dict[str, Any]] = [
        {
            "name": name,
            "architecture": encoder.name,
            "image_size": encoder.image_size,
            "width": encoder.width,
            "projection": encoder.projection,
            **_published(files.known.check(encoder.path)),
            "reason": "",
        }
        for name, encoder in opened.items()
    ]
    files.known.want(encoder.path for encoder in opened.values())
    return listed + [{"name": name, "reason": fault} for name, fault in damaged.items()]

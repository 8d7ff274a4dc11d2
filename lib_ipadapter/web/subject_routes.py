"""What the panel and programs can ask of subjects. Each function takes and returns what is JSON outside.

All raise `IPAdapterError` for what cannot be done.
"""

import base64
import binascii
from collections.abc import Mapping
from functools import partial
from typing import Any

from ..base.errors import UnitError, brief
from ..engine.session import Session
from ..files.subject_zips import MAX_ZIP, from_zip, to_zip
from ..files.subjects import Subject, described, make_subject
from ..pictures.image_file import ImageFile, data_url, read_image_file
from ..unit.fields import MAX_PICTURES, Flag, Text, read_object, read_picture_text, refuse_unknown

CHECKING = "looking at the pictures"
"""What the progress bar says of a subject that is saved."""


def list_subjects(session: Session, asked: Any = None) -> dict[str, Any]:
    """Return every subject with thumbnails of its pictures, and damaged ones with their fault."""
    read_object("What is asked", asked or {}, ())
    opened, damaged = session.preparation.files.subjects.all()
    listed = [_entry(subject) for subject in opened.values()]
    listed += [_entry(Subject(name, ())) | {"sha256": "", "reason": fault} for name, fault in damaged.items()]
    return {"subjects": listed}


def read_subject(session: Session, asked: Any) -> dict[str, Any]:
    """Return the subject called `name` with its whole pictures, each as a unit takes it but for its note."""
    subject, files = _found(session, read_object("What is asked", asked, ("name",)))
    return _entry(subject) | {"pictures": described(subject, [data_url(file.content) for file in files])}


def save_subject(session: Session, asked: Any) -> dict[str, Any]:
    """Save `pictures` under `name`, with `notes`; one of that name is replaced only where `overwrite` is true.

    Each picture is a text, or an object with `image`, `weight`, `crop` and `note`.
    """
    asked = read_object("What is asked", asked, ("name", "pictures", "notes", "overwrite", "task"))
    given = asked.get("pictures")
    if not isinstance(given, list) or not 1 <= len(given) <= MAX_PICTURES:
        raise UnitError("pictures", given, f"must be a list of 1 to {MAX_PICTURES} pictures, not {brief(given)}.")
    pictures = [_picture(f"pictures[{i}]", entry) for i, entry in enumerate(given)]
    name = Text().read("name", asked.get("name"))
    return _saved(session, asked, name, asked.get("notes", ""), pictures)


def delete_subject(session: Session, asked: Any) -> dict[str, Any]:
    """Remove the subject called `name`, with its folder."""
    name = session.preparation.files.subjects.delete(
        Text().read("name", read_object("What is asked", asked, ("name",)).get("name"))
    )
    return {"name": name}


def export_subject(session: Session, asked: Any) -> dict[str, Any]:
    """Return the subject called `name` as a zip in base64."""
    subject, files = _found(session, read_object("What is asked", asked, ("name",)))
    return {"name": subject.name, "zip": base64.b64encode(to_zip(subject, files)).decode()}


def import_subject(session: Session, asked: Any) -> dict[str, Any]:
    """Save the subject in `zip`, base64, under its own name or `name`; with `overwrite` as in `save_subject`."""
    asked = read_object("What is asked", asked, ("zip", "name", "overwrite", "task"))
    subject, files = from_zip(_zip(asked.get("zip")))
    name = Text().read("name", asked.get("name", subject.name))
    pictures = [
        ({"weight": each.weight, "crop": each.crop, "note": each.note}, file)
        for each, file in zip(subject.pictures, files, strict=True)
    ]
    return _saved(session, asked, name, subject.notes, pictures)


def _found(session: Session, asked: Mapping[str, Any]) -> tuple[Subject, list[ImageFile]]:
    subjects = session.preparation.files.subjects
    subject = subjects.find("name", Text().read("name", asked.get("name")))
    return subject, subjects.files(subject)


def _picture(field: str, given: Any) -> tuple[dict[str, Any], ImageFile]:
    given = dict(given) if isinstance(given, dict) else {"image": given}
    if given.get("mask") is not None:
        why = "cannot be saved: a region belongs to a unit. Leave it out, and give the unit a mask."
        raise UnitError(f"{field}.mask", "a picture", why)
    refuse_unknown(field, given, ("image", "weight", "mask", "crop", "note"))
    return given, read_image_file(field, read_picture_text(field, given.get("image")))


def _zip(given: Any) -> bytes:
    """Return the file that base64 text holds, with or without a `data:` header."""
    if not isinstance(given, str) or not given.isascii() or len(given) > MAX_ZIP * 4 // 3 + 100:
        raise UnitError("zip", brief(given), f"must be a zip of a subject as base64 text, not {brief(given)}.")
    text = given.split(",", 1)[1] if given.startswith("data:") and "," in given else given
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise UnitError("zip", brief(given), f"must be a zip as base64 text, which this is not ({error}).") from error


def _saved(session: Session, asked: Mapping[str, Any], name: str, notes: Any, pictures: Any) -> dict[str, Any]:
    overwrite = Flag().read("overwrite", asked.get("overwrite", False))
    with session.host.exclusive(Text().read("task", asked.get("task", ""))):
        subject = make_subject(name, notes, pictures, partial(session.host.report_progress, CHECKING))
        session.preparation.files.subjects.save(subject, [file for _, file in pictures], overwrite)
    return _entry(subject)


def _entry(subject: Subject) -> dict[str, Any]:
    return {
        "name": subject.name,
        "pictures": described(subject, [picture.thumbnail for picture in subject.pictures]),
        "notes": subject.notes,
        "sha256": subject.digest,
        "reason": "",
    }

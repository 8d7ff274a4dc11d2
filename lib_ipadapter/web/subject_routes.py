"""Requests about subjects, from the panel and API clients. Each function takes and returns JSON values.

All raise `IPAdapterError` for requests that fail.
"""

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from ..base.errors import UnitError, brief
from ..base.json_objects import read_object, refuse_unknown
from ..engine.session import Session
from ..files.subject_record import GivenPicture, Subject, make_subject, pictures_as_json
from ..files.subject_zips import MAX_ZIP, from_zip, to_zip
from ..pictures.image_file import ImageFile, data_url, read_image_file
from ..unit.field_kinds import Flag, Text
from ..unit.picture_fields import MAX_PICTURES, read_picture_text

SETTINGS = ("weight", "crop", "box", "note")
"""What a subject keeps of each picture besides the file."""
CHECKING = "checking the pictures"
"""Text of the progress bar while a subject is saved."""


def list_subjects(session: Session) -> dict[str, Any]:
    """Return all subjects with thumbnails of their pictures; damaged ones with their error; and folders to adopt."""
    subjects = session.preparation.files.subjects
    opened, damaged = subjects.all()
    listed = [_entry(subject) for subject in opened.values()]
    listed += [_entry(Subject(name, ())) | {"sha256": "", "reason": fault} for name, fault in damaged.items()]
    folders = [{"name": name, "pictures": pictures} for name, pictures in subjects.folders_to_adopt().items()]
    return {"subjects": listed, "adoptable": folders}


def read_subject(session: Session, asked: Any) -> dict[str, Any]:
    """Return the subject called `name` with its full pictures, in the form of a unit's pictures, each with its note."""
    subject, files = _found(session, read_object("The request", asked, ("name",)))
    return _entry(subject) | {"pictures": pictures_as_json(subject, [data_url(file.content) for file in files])}


def save_subject(session: Session, asked: Any) -> dict[str, Any]:
    """Save `pictures` as `name`, with `notes`; an existing subject is replaced only with `overwrite`.

    Each picture is a text, or an object with `image` and optional `SETTINGS`. With `adopt`, the picture files in
    an existing folder of that name are added after them; without it, such a folder is an error.
    """
    asked = read_object("The request", asked, ("name", "pictures", "notes", "overwrite", "adopt", "task"))
    adopt = Flag().read("adopt", asked.get("adopt", False))
    given = asked.get("pictures", [] if adopt else None)
    if not isinstance(given, list) or not (0 if adopt else 1) <= len(given) <= MAX_PICTURES:
        raise UnitError("pictures", given, f"must be a list of 1 to {MAX_PICTURES} pictures, not {brief(given)}.")
    pictures = [_picture(f"pictures[{i}]", entry) for i, entry in enumerate(given)]
    name = Text().read("name", asked.get("name"))
    return _saved(session, asked, name, asked.get("notes", ""), pictures)


def delete_subject(session: Session, asked: Any) -> dict[str, Any]:
    """Delete the subject called `name`; other files in its folder are kept and listed in `kept`."""
    wanted = Text().read("name", read_object("The request", asked, ("name",)).get("name"))
    name, kept = session.preparation.files.subjects.delete(wanted)
    return {"name": name} | ({"kept": kept} if kept else {})


def export_subject(session: Session, asked: Any) -> dict[str, Any]:
    """Return the subject called `name` as a zip in base64."""
    subject, files = _found(session, read_object("The request", asked, ("name",)))
    return {"name": subject.name, "zip": base64.b64encode(to_zip(subject, files)).decode()}


def import_subject(session: Session, asked: Any) -> dict[str, Any]:
    """Save the subject in `zip`, base64, under its own name or `name`; `overwrite` and `adopt` as in `save_subject`."""
    asked = read_object("The request", asked, ("zip", "name", "overwrite", "adopt", "task"))
    subject, files = from_zip(_zip(asked.get("zip")))
    name = Text().read("name", asked.get("name", subject.name))
    pictures = [
        GivenPicture(f"pictures[{i}]", file, {name: getattr(each, name) for name in SETTINGS})
        for i, (each, file) in enumerate(zip(subject.pictures, files, strict=True))
    ]
    return _saved(session, asked, name, subject.notes, pictures, subject.more)


def _found(session: Session, asked: Mapping[str, Any]) -> tuple[Subject, list[ImageFile]]:
    subjects = session.preparation.files.subjects
    subject = subjects.find("name", Text().read("name", asked.get("name")))
    return subject, subjects.files(subject)


def _picture(field: str, given: Any) -> GivenPicture:
    given = dict(given) if isinstance(given, dict) else {"image": given}
    if given.get("mask") is not None:
        why = "cannot be saved: regions belong to units. Leave it out, and give the unit a mask."
        raise UnitError(f"{field}.mask", "a picture", why)
    refuse_unknown(field, given, ("image", "mask", *SETTINGS))
    return GivenPicture(field, read_image_file(field, read_picture_text(field, given.get("image"))), given)


def _zip(given: Any) -> bytes:
    """Return the file in base64 text, with or without a `data:` header."""
    if not isinstance(given, str) or not given.isascii() or len(given) > MAX_ZIP * 4 // 3 + 100:
        raise UnitError("zip", brief(given), f"must be a zip of a subject as base64 text, not {brief(given)}.")
    text = given.split(",", 1)[1] if given.startswith("data:") and "," in given else given
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise UnitError("zip", brief(given), f"must be a zip as base64 text, which this is not ({error}).") from error


def _saved(
    session: Session,
    asked: Mapping[str, Any],
    name: str,
    notes: Any,
    pictures: Sequence[GivenPicture],
    more: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    overwrite, adopt = (Flag().read(field, asked.get(field, False)) for field in ("overwrite", "adopt"))
    subjects = session.preparation.files.subjects
    with session.host.exclusive(Text().read("task", asked.get("task", ""))):
        all_of_it = [*pictures, *(_adopted(subjects.adoptable(name), pictures) if adopt else [])]
        subject = make_subject(name, notes, all_of_it, partial(session.host.report_progress, CHECKING))
        subject = replace(subject, more=more or {})
        return _entry(subjects.save(subject, [each.file for each in all_of_it], overwrite, adopt))


def _adopted(in_folder: Mapping[str, ImageFile], given: Sequence[GivenPicture]) -> list[GivenPicture]:
    """Return the pictures of a folder, without those that were also sent."""
    digests = {each.file.digest for each in given}
    return [GivenPicture(name, file, {}) for name, file in in_folder.items() if file.digest not in digests]


def _entry(subject: Subject) -> dict[str, Any]:
    return {
        "name": subject.name,
        "pictures": pictures_as_json(subject, [picture.thumbnail for picture in subject.pictures]),
        "notes": subject.notes,
        "sha256": subject.digest,
        "reason": "",
    }

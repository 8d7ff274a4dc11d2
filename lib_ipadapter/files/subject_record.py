"""A subject, which is a named set of reference pictures, and its JSON record with each picture's settings."""

import hashlib
import io
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..base.boxes import Box
from ..base.errors import IPAdapterError, LaterVersionError, UnitError, printable, saved_later
from ..base.file_names import refuse_name
from ..pictures.image_file import ImageFile, data_url, decode, file_format
from ..unit.field_kinds import Text
from ..unit.picture_fields import MAX_PICTURE_TEXT, MAX_PICTURES, PICTURE_WEIGHT, read_box, read_crop

RECORD = "subject.json"
VERSION = 1
"""Version of the record's format."""

ENTRIES = ("version", "notes", "pictures")
PICTURE_ENTRIES = ("file", "sha256", "weight", "crop", "box", "note", "thumbnail", "adopted")
"""What this version knows in a record, and in its entry of a picture."""

MAX_FILE = MAX_PICTURE_TEXT * 3 // 4
"""Maximum bytes of a picture file: the same limit as for a picture in a unit."""
MAX_RECORD = 256 << 10
"""Maximum bytes of a record: enough for sixteen pictures with notes and thumbnails."""

THUMBNAIL = 96
"""Longer side of a thumbnail in pixels."""
THUMBNAIL_URL = re.compile(r"data:image/jpeg;base64,[A-Za-z0-9+/=]{0,12000}")

BROKEN = (IPAdapterError, ValueError, TypeError, LookupError, AttributeError, RecursionError)
"""Exceptions that reading a damaged record raises."""

Progress = Callable[[int, int], None]
"""Called with (pictures done, pictures in total); may raise `IPAdapterError` to stop the work."""


@dataclass(frozen=True)
class SubjectPicture:
    """One picture of a subject, by its file."""

    file: str
    """Name of the file in the subject's folder."""
    digest: str
    """SHA-256 of the file, in hexadecimal."""
    weight: float = 1.0
    crop: str | None = None
    """A name in `pictures.crops.CROPS`, or None to use the unit's crop."""
    note: str = ""
    thumbnail: str = ""
    """A small picture as a data URL."""
    box: Box | None = None
    """The part that is used; None for the whole picture."""
    adopted: bool = False
    """Whether the file was in the folder before the subject was saved; such a file is never deleted."""


@dataclass(frozen=True)
class Subject:
    """A named set of references."""

    name: str
    pictures: tuple[SubjectPicture, ...]
    notes: str = ""
    more: Mapping[str, Any] = field(default_factory=dict[str, Any], compare=False)
    """Entries in the record that this version does not know, which are kept."""

    @property
    def digest(self) -> str:
        """SHA-256 of everything that affects a generation: the pictures in order, with their settings."""
        used = [
            [picture.digest, picture.weight, picture.crop, *([picture.box] if picture.box else [])]
            for picture in self.pictures
        ]
        return hashlib.sha256(json.dumps(used).encode()).hexdigest()


@dataclass(frozen=True)
class GivenPicture:
    """A picture sent for a subject that is to be saved."""

    field: str
    """Its field name, for errors."""
    file: ImageFile
    settings: Mapping[str, Any]
    """Weight, crop, box and note as JSON values, not validated yet."""


def make_subject(name: str, notes: Any, given: Sequence[GivenPicture], progress: Progress) -> Subject:
    """Return a subject of these pictures; raises `UnitError` with the field for invalid values."""
    refuse_name(name)
    if not 1 <= len(given) <= MAX_PICTURES:
        raise UnitError("pictures", f"{len(given)} pictures", f"must be 1 to {MAX_PICTURES}, not {len(given)}.")
    pictures: list[SubjectPicture] = []
    for i, each in enumerate(given):
        progress(i, len(given))
        thumbnail = _thumbnail(each.field, each.file)
        wanted = f"{i + 1}.{file_format(each.file.content)[0]}"
        settings = _settings(each.field, each.settings)
        pictures.append(SubjectPicture(wanted, each.file.digest, thumbnail=thumbnail, **settings))
    progress(len(given), len(given))
    if not any(picture.weight for picture in pictures):
        raise UnitError("pictures", f"{len(pictures)} pictures", "all have weight 0; give one of them a weight.")
    return Subject(name, tuple(pictures), Text().read("notes", notes))


def _settings(field: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return weight, crop, box and note, by name; raises `UnitError` for invalid values."""
    return {
        "weight": PICTURE_WEIGHT.read(f"{field}.weight", given.get("weight", 1.0)),
        "crop": read_crop(f"{field}.crop", given.get("crop")),
        "box": read_box(f"{field}.box", given.get("box")),
        "note": Text().read(f"{field}.note", given.get("note", "")),
    }


def _thumbnail(field: str, file: ImageFile) -> str:
    """Return a small picture as a data URL; raises `UnitError` for a file that is not a picture."""
    if len(file.content) > MAX_FILE:
        raise UnitError(field, f"{len(file.content)} bytes", f"must have at most {MAX_FILE} bytes.")
    picture = decode(field, file.content)
    picture.thumbnail((THUMBNAIL, THUMBNAIL))
    kept = io.BytesIO()
    picture.save(kept, "JPEG", quality=80)
    return data_url(kept.getvalue())


def record_of(subject: Subject) -> bytes:
    """Return the content of a subject's JSON file."""
    pictures = [_entry(picture) for picture in subject.pictures]
    record = {"version": VERSION, "notes": subject.notes, "pictures": pictures, **subject.more}
    return json.dumps(record, indent=1, ensure_ascii=False).encode()


def _entry(picture: SubjectPicture) -> dict[str, Any]:
    """Return a picture's entry in the record; what has its default is left out where older versions do not know it."""
    return {
        "file": picture.file,
        "sha256": picture.digest,
        "weight": picture.weight,
        "crop": picture.crop,
        "note": picture.note,
        "thumbnail": picture.thumbnail,
        **({"box": picture.box} if picture.box else {}),
        **({"adopted": True} if picture.adopted else {}),
    }


def read_record(name: str, content: bytes) -> Subject:
    """Return the subject that a JSON file describes; raises `IPAdapterError` for any other text.

    What a later version has added to pictures could change what is generated, so it raises `LaterVersionError`.
    """
    try:
        record = json.loads(content)
        _check_version(name, record)
        pictures = tuple(_picture(f"pictures[{i}]", entry) for i, entry in enumerate(record["pictures"]))
        if not 1 <= len(pictures) <= MAX_PICTURES:
            raise ValueError(f"{len(pictures)} pictures instead of 1 to {MAX_PICTURES}")
        more = {key: value for key, value in record.items() if key not in ENTRIES}
        return Subject(name, pictures, Text().read("notes", record["notes"]), more)
    except LaterVersionError:
        raise
    except BROKEN as error:
        why = printable(str(error)) or type(error).__name__
        raise IPAdapterError(
            f'The record of the subject "{name}" is damaged ({why}). Save the subject again.'
        ) from error


def _check_version(name: str, record: Mapping[str, Any]) -> None:
    version = record["version"]
    if isinstance(version, int) and version > VERSION:
        raise saved_later(f'The subject "{name}"', f"format {version}")
    if version != VERSION:
        raise ValueError(f"version {version}, not {VERSION}")
    unknown = [key for entry in record["pictures"] for key in entry.keys() - set(PICTURE_ENTRIES)]
    if unknown:
        raise saved_later(f'The subject "{name}"', f'pictures with "{printable(min(unknown), 40)}"')


def _picture(field: str, entry: Mapping[str, Any]) -> SubjectPicture:
    """Return a picture from a record's entry; raises one of `BROKEN` for anything else."""
    file, digest, thumbnail = entry["file"], entry["sha256"], entry["thumbnail"]
    if not isinstance(file, str) or not re.fullmatch(r"[0-9a-f]{64}", digest):
        raise ValueError(f"{field} without a file or its hash")
    if not THUMBNAIL_URL.fullmatch(thumbnail):
        raise ValueError(f"{field} with an invalid thumbnail")
    adopted = entry.get("adopted", False) is True
    return SubjectPicture(file, digest, thumbnail=thumbnail, adopted=adopted, **_settings(field, entry))


def pictures_as_json(subject: Subject, images: Sequence[str]) -> list[dict[str, Any]]:
    """Return a subject's pictures as JSON values, each with its image or thumbnail from `images`."""
    return [
        {"image": image, "weight": picture.weight, "note": picture.note}
        | ({"crop": picture.crop} if picture.crop else {})
        | ({"box": list(picture.box)} if picture.box else {})
        for image, picture in zip(images, subject.pictures, strict=True)
    ]

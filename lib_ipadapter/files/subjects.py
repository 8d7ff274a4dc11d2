"""Subjects: named sets of references, each a folder of plain files: its pictures, and a JSON that says how they count.

A folder is written whole or not at all. Names come from people and programs, so they are compared with the folders that
are there, and never lead anywhere.
"""

import contextlib
import hashlib
import io
import json
import re
import secrets
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..base.cache import Cache
from ..base.errors import IPAdapterError, UnitError, printable
from ..base.file_names import alike, close_names, refuse_changed, refuse_name, refuse_taken, without_hash
from ..pictures.image_file import ImageFile, data_url, decode, file_format, image_file_of
from ..unit.fields import MAX_PICTURE_TEXT, MAX_PICTURES, PICTURE_WEIGHT, Text, read_crop, refuse_unknown

RECORD = "subject.json"
VERSION = 1
"""Of the record's layout."""

MAX_FILE = MAX_PICTURE_TEXT * 3 // 4
"""Bytes of a picture's file, as of one that a unit is sent."""
MAX_RECORD = 256 << 10
"""Bytes of a record: sixteen pictures with notes and thumbnails."""
FILES_LIMIT = 64 << 20
"""Bytes of picture files kept, so that they are read from the disk once."""

THUMBNAIL = 96
"""Pixels of a thumbnail's longer side."""
THUMBNAIL_URL = re.compile(r"data:image/jpeg;base64,[A-Za-z0-9+/=]{0,12000}")

BROKEN = (IPAdapterError, ValueError, TypeError, LookupError, RecursionError)
"""What reading a record raises that is not what it should be."""

Tell = Callable[[int, int], None]
"""Is told how many of how many pictures are done; may raise `IPAdapterError` to end the work."""


@dataclass(frozen=True)
class SubjectPicture:
    """One picture of a subject, by its file."""

    file: str
    """Name of the file beside the record."""
    digest: str
    """SHA-256 of the file, in hexadecimal."""
    weight: float = 1.0
    crop: str | None = None
    """One of `fields.CROPS`, or None where the unit's counts."""
    note: str = ""
    thumbnail: str = ""
    """A small picture as a data URL."""


@dataclass(frozen=True)
class Subject:
    """A named set of references."""

    name: str
    pictures: tuple[SubjectPicture, ...]
    notes: str = ""

    @property
    def digest(self) -> str:
        """SHA-256 of all that a generation sees of it: its pictures in order, with their weights and crops."""
        seen = [[picture.digest, picture.weight, picture.crop] for picture in self.pictures]
        return hashlib.sha256(json.dumps(seen).encode()).hexdigest()


Described = tuple[Mapping[str, Any], ImageFile]
"""A picture with its weight, crop and note, as JSON has them and unchecked."""


def make_subject(name: str, notes: Any, described: Sequence[Described], tell: Tell) -> Subject:
    """Return the subject that these pictures make; raises `UnitError` for what cannot be used, by field."""
    refuse_name(name)
    if not 1 <= len(described) <= MAX_PICTURES:
        raise UnitError("pictures", f"{len(described)} pictures", f"must be 1 to {MAX_PICTURES} pictures.")
    pictures: list[SubjectPicture] = []
    for i, (more, reference) in enumerate(described):
        tell(i, len(described))
        field = f"pictures[{i}]"
        thumbnail = _thumbnail(field, reference)
        file = f"{i + 1}.{file_format(reference.content)[0]}"
        pictures.append(SubjectPicture(file, reference.digest, *_read_more(field, more), thumbnail))
    tell(len(described), len(described))
    if not any(picture.weight for picture in pictures):
        raise UnitError("pictures", f"{len(pictures)} pictures", "have no weight at all; give one of them a weight.")
    return Subject(name, tuple(pictures), Text().read("notes", notes))


def _read_more(field: str, more: Mapping[str, Any]) -> tuple[float, str | None, str]:
    return (
        PICTURE_WEIGHT.read(f"{field}.weight", more.get("weight", 1.0)),
        read_crop(f"{field}.crop", more.get("crop")),
        Text().read(f"{field}.note", more.get("note", "")),
    )


def _thumbnail(field: str, reference: ImageFile) -> str:
    """Return a small picture as a data URL; raises `UnitError` for a file that is no picture."""
    if len(reference.content) > MAX_FILE:
        raise UnitError(field, f"{len(reference.content)} bytes", f"must have at most {MAX_FILE} bytes.")
    picture = decode(field, reference.content)
    picture.thumbnail((THUMBNAIL, THUMBNAIL))
    kept = io.BytesIO()
    picture.save(kept, "JPEG", quality=80)
    return data_url(kept.getvalue())


def record_of(subject: Subject) -> bytes:
    """Return what stands in a subject's JSON file."""
    pictures = [
        {
            "file": picture.file,
            "sha256": picture.digest,
            "weight": picture.weight,
            "crop": picture.crop,
            "note": picture.note,
            "thumbnail": picture.thumbnail,
        }
        for picture in subject.pictures
    ]
    record = {"version": VERSION, "notes": subject.notes, "pictures": pictures}
    return json.dumps(record, indent=1, ensure_ascii=False).encode()


def read_record(name: str, content: bytes) -> Subject:
    """Return the subject that a JSON file tells of; raises `IPAdapterError` for any other text."""
    try:
        record = json.loads(content)
        if record["version"] != VERSION:
            raise ValueError(f"version {record['version']}, not {VERSION}")
        pictures = tuple(_recorded(f"pictures[{i}]", entry) for i, entry in enumerate(record["pictures"]))
        if not 1 <= len(pictures) <= MAX_PICTURES:
            raise ValueError(f"{len(pictures)} pictures, where 1 to {MAX_PICTURES} can be")
        return Subject(name, pictures, Text().read("notes", record["notes"]))
    except BROKEN as error:
        why = printable(str(error)) or type(error).__name__
        raise IPAdapterError(
            f'The record of the subject "{name}" is damaged ({why}). Save the subject anew.'
        ) from error


def _recorded(field: str, entry: Mapping[str, Any]) -> SubjectPicture:
    """Return a picture as a record has it; raises `ValueError` and the like, and `UnitError`, for anything else."""
    refuse_unknown(field, dict(entry), ("file", "sha256", "weight", "crop", "note", "thumbnail"))
    file, digest, thumbnail = entry["file"], entry["sha256"], entry["thumbnail"]
    if not isinstance(file, str) or not re.fullmatch(r"[0-9a-f]{64}", digest):
        raise ValueError(f"{field} without a file or its hash")
    if not THUMBNAIL_URL.fullmatch(thumbnail):
        raise ValueError(f"{field} with a thumbnail that is none")
    return SubjectPicture(file, digest, *_read_more(field, entry), thumbnail)


class Subjects:
    """The subjects below some folders; new ones are written into the first."""

    def __init__(self, folders: Callable[[], Sequence[Path]]) -> None:
        self._folders = folders
        self._lock = threading.Lock()
        self._files: Cache[ImageFile] = Cache(FILES_LIMIT, lambda kept: len(kept.content))

    def all(self) -> tuple[dict[str, Subject], dict[str, str]]:
        """Return all subjects by name, and beside them the damaged ones by name with their fault."""
        opened, damaged = dict[str, Subject](), dict[str, str]()
        for name, folder in sorted(self._there().items()):
            try:
                opened[name] = _open(folder)
            except IPAdapterError as error:
                damaged[name] = error.sentence
        return opened, damaged

    def find(self, field: str, wanted: str) -> Subject:
        """Return the subject called `wanted`; the first digits of its hash may follow in brackets.

        Raises `UnitError` where there is none, or another one than the digits tell, and `IPAdapterError` for a damaged
        one.
        """
        subject = _open(self._folder(field, wanted))
        refuse_changed(field, wanted, subject.name, subject.digest)
        return subject

    def files(self, subject: Subject) -> list[ImageFile]:
        """Return a subject's picture files; raises `IPAdapterError` for one that is missing or was changed."""
        folder = self._folder("subject", subject.name)
        return [self._file(folder, subject, picture) for picture in subject.pictures]

    def save(self, subject: Subject, files: Sequence[ImageFile], overwrite: bool) -> None:
        """Write a subject, all of it or nothing; one of its name is replaced only where that is wanted."""
        folders = self._folders()
        if not folders:
            raise IPAdapterError("There is no folder for subjects.")
        with self._lock:
            there = self._there()
            like = [name for name in there if alike(name) == alike(subject.name)]
            refuse_taken(subject.name, [(name, name == subject.name) for name in like], overwrite)
            folder = there.get(subject.name, folders[0] / subject.name)
            _write(folder, {RECORD: record_of(subject)} | dict(_named(subject, files)))

    def delete(self, wanted: str) -> str:
        """Remove a subject, damaged or not, and return its name; raises `IPAdapterError` where that cannot be done."""
        with self._lock:
            folder = self._folder("name", wanted)
            try:
                _remove(folder)
            except OSError as error:
                why = f'The subject "{folder.name}" cannot be removed: {error.strerror or error}.'
                raise IPAdapterError(why) from error
            return folder.name

    def _there(self) -> dict[str, Path]:
        """Return the folders of subjects by name; of two with one name that of the first folder counts."""
        found: dict[str, Path] = {}
        for folder in self._folders():
            with contextlib.suppress(OSError):  # most of all where there is no such folder yet
                for path in folder.iterdir():
                    if not path.name.startswith(".") and (path / RECORD).is_file():
                        found.setdefault(path.name, path)
        return found

    def _folder(self, field: str, wanted: str) -> Path:
        there, name = self._there(), without_hash(wanted)
        folder = there.get(name) or next((there[each] for each in there if alike(each) == alike(name)), None)
        if folder is None:
            advice = close_names(name, there) or " Save it first."
            raise UnitError(field, wanted, f'"{wanted}" is no subject that was found.{advice}')
        return folder

    def _file(self, folder: Path, subject: Subject, picture: SubjectPicture) -> ImageFile:
        key = (folder, picture.file, picture.digest)
        if (kept := self._files.find(key)) is not None:
            return kept
        there = {path.name: path for path in folder.iterdir() if path.is_file()}
        path = there.get(picture.file)
        reference = image_file_of(read_at_most(path, MAX_FILE)) if path else None
        if reference is None or reference.digest != picture.digest:
            what = "is missing" if reference is None else "was changed since the subject was saved"
            raise IPAdapterError(
                f'{printable(picture.file)} of the subject "{subject.name}" {what}. Put the picture back, or save the '
                "subject anew."
            )
        return self._files.keep(key, reference)


def _open(folder: Path) -> Subject:
    return read_record(folder.name, read_at_most(folder / RECORD, MAX_RECORD))


def read_at_most(path: Path, limit: int) -> bytes:
    """Return a file's content; raises `IPAdapterError` where it has more bytes than `limit` or cannot be read."""
    try:
        with path.open("rb") as file:
            content = file.read(limit + 1)
    except OSError as error:
        raise IPAdapterError(f"{printable(path.name)} cannot be read: {error.strerror or error}.") from error
    if len(content) > limit:
        raise IPAdapterError(f"{printable(path.name)} has more than {limit} bytes, the most that are read.")
    return content


def _named(subject: Subject, files: Sequence[ImageFile]) -> Iterator[tuple[str, bytes]]:
    for picture, file in zip(subject.pictures, files, strict=True):
        yield picture.file, file.content


def _write(folder: Path, contents: Mapping[str, bytes]) -> None:
    """Write a folder's files beside it, and move it to its place when it is whole; raises `IPAdapterError`."""
    part = folder.with_name(f".{secrets.token_hex(8)}.part")
    try:
        part.mkdir(parents=True)
        for name, content in contents.items():
            (part / name).write_bytes(content)
        _replace(folder, part)
    except OSError as error:
        why = f'The subject "{folder.name}" cannot be written into {folder.parent}: {error.strerror or error}.'
        raise IPAdapterError(why) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _replace(folder: Path, part: Path) -> None:
    """Put `part` in the place of `folder`, which comes back where that fails."""
    if not folder.exists():
        part.rename(folder)
        return
    old = folder.with_name(f".{secrets.token_hex(8)}.old")
    folder.rename(old)
    try:
        part.rename(folder)
    except OSError:
        old.rename(folder)
        raise
    with contextlib.suppress(OSError):  # the new one is in its place
        _remove(old)


def _remove(folder: Path) -> None:
    """Remove a folder with all that is in it, or the link that it is."""
    if folder.is_symlink():
        folder.unlink()
    else:
        shutil.rmtree(folder)


def described(subject: Subject, images: Sequence[str]) -> list[dict[str, Any]]:
    """Return a subject's pictures as JSON has them, with an image for each, whole or small."""
    return [
        {"image": image, "weight": picture.weight, "note": picture.note}
        | ({"crop": picture.crop} if picture.crop else {})
        for image, picture in zip(images, subject.pictures, strict=True)
    ]

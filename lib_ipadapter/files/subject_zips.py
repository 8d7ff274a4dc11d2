"""Exports and imports a subject as a zip. Zips are not trusted: files are read into memory up to a limit, and are later
written under new names."""

import io
import stat
import struct
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import replace

from ..base.errors import IPAdapterError, printable
from ..pictures.image_file import ImageFile, file_format, image_file_of
from ..unit.picture_fields import MAX_PICTURES
from .subject_record import MAX_FILE, MAX_RECORD, RECORD, Subject, read_record, record_of

MAX_ZIP = 256 << 20
"""Maximum bytes of a zip, and of its uncompressed contents."""

ENTRY = b"PK\x01\x02"
"""Signature of each entry in a zip's central directory (APPNOTE.TXT, 4.3.12)."""
MAX_ENTRIES = 100
"""Maximum number of signatures. A subject has at most 18 entries, but a picture may contain the signature by chance."""

ENCRYPTED = 1
"""Flag bit of an encrypted entry (APPNOTE.TXT, 4.4.4)."""
UNZIPPED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)

BROKEN = (zipfile.BadZipFile, zlib.error, struct.error, OSError, ValueError, LookupError, RuntimeError, EOFError)
"""Exceptions that reading a damaged or malicious zip raises."""


def to_zip(subject: Subject, files: Sequence[ImageFile]) -> bytes:
    """Return a subject as a zip with its folder."""
    pictures = tuple(
        replace(picture, file=f"{i}.{file_format(file.content)[0]}", adopted=False)
        for i, (picture, file) in enumerate(zip(subject.pictures, files, strict=True), 1)
    )
    kept = io.BytesIO()
    with zipfile.ZipFile(kept, "w") as archive:  # stored, because pictures do not compress further
        archive.writestr(f"{subject.name}/{RECORD}", record_of(replace(subject, pictures=pictures)))
        for picture, file in zip(pictures, files, strict=True):
            archive.writestr(f"{subject.name}/{picture.file}", file.content)
    return kept.getvalue()


def from_zip(content: bytes) -> tuple[Subject, list[ImageFile]]:
    """Return the subject in a zip with its picture files, without decoding them.

    Raises `IPAdapterError` for anything but one folder with a record and the pictures that it lists.
    """
    if len(content) > MAX_ZIP:
        raise IPAdapterError(f"The zip has {len(content)} bytes; the maximum is {MAX_ZIP}.")
    if content.count(ENTRY) > MAX_ENTRIES:  # checked before zipfile creates an object for each
        raise _refusal(f"it has more than {MAX_ENTRIES} entries")
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return _read(archive)
    except BROKEN as error:
        raise _refusal(printable(str(error)) or type(error).__name__) from error


def _read(archive: zipfile.ZipFile) -> tuple[Subject, list[ImageFile]]:
    name, entries = _entries(archive.infolist())
    if RECORD not in entries:
        raise _refusal(f"it has no {RECORD}")
    subject = read_record(name, _content(archive, entries.pop(RECORD), MAX_RECORD))
    named = [picture.file for picture in subject.pictures]
    if sorted(named) != sorted(entries):
        odd = next(iter(set(named) ^ set(entries)), "one picture")
        raise _refusal(f"the record and the files do not agree on {printable(odd)}")
    left, files = MAX_ZIP, list[ImageFile]()
    for file in named:
        files.append(image_file_of(_content(archive, entries[file], min(MAX_FILE, left))))
        left -= len(files[-1].content)
    return subject, files


def _entries(infos: Sequence[zipfile.ZipInfo]) -> tuple[str, dict[str, zipfile.ZipInfo]]:
    """Return the name of the zip's folder and its files; raises `IPAdapterError` for any other structure."""
    name = infos[0].filename.split("/")[0] if infos else ""
    entries: dict[str, zipfile.ZipInfo] = {}
    for info in infos:
        folder, slash, file = info.filename.partition("/")
        if folder != name or not slash or "/" in file or "\\" in file or file == "..":
            raise _refusal(f"{printable(info.filename)} is not in its one folder")
        if stat.S_ISLNK(info.external_attr >> 16):
            raise _refusal(f"{printable(info.filename)} is a link")
        if info.compress_type not in UNZIPPED or info.flag_bits & ENCRYPTED:
            raise _refusal(f"{printable(info.filename)} has an unsupported compression, or a password")
        if file in entries:
            raise _refusal(f"{printable(info.filename)} is in it twice")
        if file:
            entries[file] = info
    if len(entries) > MAX_PICTURES + 1:
        raise _refusal(f"it has {len(entries)} files, but only a record and {MAX_PICTURES} pictures are allowed")
    return name, entries


def _content(archive: zipfile.ZipFile, info: zipfile.ZipInfo, limit: int) -> bytes:
    """Return an entry's content; raises `IPAdapterError` if it really has more bytes than `limit`."""
    with archive.open(info) as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        raise _refusal(f"{printable(info.filename)} is too large")
    return content


def _refusal(why: str) -> IPAdapterError:
    return IPAdapterError(f"This is not a zip of a subject: {why}. Export the subject again and send that.")

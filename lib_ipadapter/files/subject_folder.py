"""A subject's folder: its pictures, its record, and possibly files of the user's own.

The record is written last and makes the folder a subject. Only files that this extension wrote are replaced or deleted:
those that the record lists, that are not adopted, and that are unchanged.
"""

import contextlib
import itertools
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..base.errors import IPAdapterError, LaterVersionError, UnitError, printable
from ..base.file_names import alike
from ..base.files import delete, write_whole
from ..pictures.image_file import ImageFile, image_file_of
from .subject_record import MAX_FILE, MAX_RECORD, RECORD, Subject, SubjectPicture, read_record, record_of


def open_subject(folder: Path) -> Subject:
    return read_record(folder.name, read_at_most(folder / RECORD, MAX_RECORD))


def recorded(folder: Path) -> dict[str, SubjectPicture]:
    """Return the pictures in a folder's record, by file name; empty where it has no readable record."""
    try:
        return {picture.file: picture for picture in open_subject(folder).pictures}
    except IPAdapterError:
        return {}


def later_entries(folder: Path) -> Mapping[str, Any]:
    """Return what a later version has written into a folder's record, if it has one that can be replaced.

    Raises `LaterVersionError` for one that cannot.
    """
    try:
        return open_subject(folder).more
    except LaterVersionError:
        raise
    except IPAdapterError:
        return {}


def names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()] if folder.is_dir() else []


def files_in(folder: Path) -> dict[str, Path]:
    """Return the visible files of a folder by name, without the record."""
    paths = folder.iterdir() if folder.is_dir() else ()
    return {path.name: path for path in paths if path.name[0] != "." and path.name != RECORD and path.is_file()}


def unchanged_pictures(folder: Path) -> list[SubjectPicture]:
    """Return the pictures in a folder's record whose files have not changed."""
    there = files_in(folder)
    return [
        picture
        for picture in recorded(folder).values()
        if picture.file in there and _has_digest(there[picture.file], picture.digest)
    ]


def _has_digest(path: Path, digest: str) -> bool:
    try:
        return image_file_of(read_at_most(path, MAX_FILE)).digest == digest
    except IPAdapterError:
        return False


def read_at_most(path: Path, limit: int) -> bytes:
    """Return a file's content; raises `IPAdapterError` if it is larger than `limit` bytes or cannot be read."""
    try:
        with path.open("rb") as file:
            content = file.read(limit + 1)
    except OSError as error:
        raise IPAdapterError(f"{printable(path.name)} cannot be read: {error.strerror or error}.") from error
    if len(content) > limit:
        raise IPAdapterError(f"{printable(path.name)} has more than {limit} bytes, the maximum.")
    return content


def refuse_occupied(folder: Path, adopt: bool) -> None:
    """Raise `UnitError` if a folder is not a subject but has files, unless they may be adopted."""
    name = folder.name
    if os.path.lexists(folder) and not folder.is_dir():
        raise UnitError("name", name, f'"{name}" is a file in {folder.parent}. Choose another name.')
    visible = [each for each in names_in(folder) if each[0] != "."]
    if visible and not adopt:
        raise UnitError(
            "name",
            name,
            f'"{name}" is a folder in {folder.parent} that is not a subject, with {len(visible)} '
            f"{'file' if len(visible) == 1 else 'files'}. Choose another name, or set adopt to true to make its "
            "pictures part of the subject.",
        )


def write_subject(
    folder: Path, subject: Subject, files: Sequence[ImageFile], there: Sequence[SubjectPicture]
) -> Subject:
    """Write a subject into a folder completely or not at all, and return it with the names of its files.

    Pictures that are `there` already, with the same content, are not written again. Raises `IPAdapterError`.
    """
    placed = _placed(folder, subject, {picture.digest: picture for picture in there})
    _write(folder, placed, files, {picture.file for picture in there})
    used = {picture.file for picture in placed.pictures}
    for picture in there:
        if not picture.adopted and picture.file not in used:
            with contextlib.suppress(OSError):  # the new record no longer lists it
                (folder / picture.file).unlink()
    return placed


def _placed(folder: Path, subject: Subject, there: Mapping[str, SubjectPicture]) -> Subject:
    """Return a subject with a file name for each picture: that of the same content `there`, or a free name."""
    taken = {alike(name) for name in names_in(folder)}
    pictures: list[SubjectPicture] = []
    for picture in subject.pictures:
        if old := there.get(picture.digest):
            pictures.append(replace(picture, file=old.file, adopted=old.adopted))
            continue
        name = next(name for name in _names_like(picture.file) if alike(name) not in taken)
        taken.add(alike(name))
        pictures.append(replace(picture, file=name))
    return replace(subject, pictures=tuple(pictures))


def _names_like(name: str) -> Iterator[str]:
    """Yield `1.png`, `1-2.png`, `1-3.png` and so on."""
    yield name
    stem, dot, suffix = name.partition(".")
    yield from (f"{stem}-{n}{dot}{suffix}" for n in itertools.count(2))


def _write(folder: Path, subject: Subject, files: Sequence[ImageFile], there: set[str]) -> None:
    """Write missing pictures, then the record; on failure, removes what it wrote and raises `IPAdapterError`."""
    new_folder, written = not folder.exists(), list[Path]()
    try:
        for picture, file in zip(subject.pictures, files, strict=True):
            if picture.file not in there:
                written.append(folder / picture.file)
                write_whole(written[-1], file.content)
        write_whole(folder / RECORD, record_of(subject))
    except OSError as error:
        for path in written:
            with contextlib.suppress(OSError):
                path.unlink()
        if new_folder:
            with contextlib.suppress(OSError):
                folder.rmdir()
        why = f'The subject "{folder.name}" cannot be written into {folder.parent}: {error.strerror or error}.'
        raise IPAdapterError(why) from error


def _is_link(path: Path) -> bool:
    """Return whether a path is a link, including junctions on Windows."""
    try:
        path.readlink()
    except OSError:
        return False
    return True


def remove_subject(folder: Path) -> list[str]:
    """Remove a subject's own files, and its folder if nothing else is in it; return the names of the files kept.

    If the folder is a link, only the link is removed.
    """
    if _is_link(folder):
        folder.unlink()
        return []
    for picture in unchanged_pictures(folder):
        if not picture.adopted:
            delete(folder / picture.file)
    delete(folder / RECORD)
    with contextlib.suppress(OSError):  # the folder has other files
        folder.rmdir()
    return sorted(names_in(folder))

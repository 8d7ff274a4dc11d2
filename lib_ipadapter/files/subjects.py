"""The user's subjects, by name.

Names are untrusted, so they are compared with existing folders and never used as paths.
"""

import contextlib
import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from ..base.cache import Cache
from ..base.errors import IPAdapterError, UnitError, printable
from ..base.file_names import alike, close_names, refuse_changed, refuse_name, refuse_taken, without_hash
from ..pictures.image_file import ImageFile, image_file_of
from .subject_folder import (
    files_in,
    later_entries,
    names_in,
    open_subject,
    read_at_most,
    recorded,
    refuse_occupied,
    remove_subject,
    unchanged_pictures,
    write_subject,
)
from .subject_record import MAX_FILE, RECORD, Subject, SubjectPicture

FILES_LIMIT = 64 << 20
"""Bytes of picture files in the memory cache."""

PICTURE_SUFFIXES = {
    ".png",
    ".jpg",
    ".jpeg",
    ".webp",
    ".gif",
    ".bmp",
    ".tif",
    ".tiff",
    ".avif",
    ".heif",
    ".heic",
    ".jxl",
}
"""Extensions of the files that a subject can adopt."""


class Subjects:
    """The subjects below some folders; new ones are written into the first folder."""

    def __init__(self, folders: Callable[[], Sequence[Path]]) -> None:
        self._folders = folders
        self._lock = threading.Lock()
        self._files: Cache[ImageFile] = Cache(FILES_LIMIT, lambda kept: len(kept.content))

    def all(self) -> tuple[dict[str, Subject], dict[str, str]]:
        """Return all subjects by name, and the error of each damaged one by name."""
        opened, damaged = dict[str, Subject](), dict[str, str]()
        for name, folder in sorted(self._there().items()):
            try:
                opened[name] = open_subject(folder)
            except IPAdapterError as error:
                damaged[name] = error.sentence
        return opened, damaged

    def find(self, field: str, wanted: str) -> Subject:
        """Return the subject called `wanted`; the first digits of its hash may follow in brackets.

        Raises `UnitError` if there is none or its hash differs, and `IPAdapterError` for a damaged one.
        """
        subject = open_subject(self._folder(field, wanted))
        refuse_changed(field, wanted, subject.name, subject.digest)
        return subject

    def files(self, subject: Subject) -> list[ImageFile]:
        """Return a subject's picture files; raises `IPAdapterError` for a file that is missing or changed."""
        folder = self._folder("subject", subject.name)
        return [self._file(folder, subject, picture) for picture in subject.pictures]

    def adoptable(self, name: str) -> dict[str, ImageFile]:
        """Return the picture files in the folder called `name` that do not belong to a subject yet, by file name."""
        refuse_name(name)
        folder = self._folder_named(name)
        if not folder.is_dir():
            return {}
        known = recorded(folder)
        found = _picture_files(folder).items()
        return {file: image_file_of(read_at_most(path, MAX_FILE)) for file, path in found if file not in known}

    def folders_to_adopt(self) -> dict[str, int]:
        """Return the folders of pictures that are no subject yet: by name, the number of picture files."""
        taken, found = {alike(name) for name in self._there()}, dict[str, int]()
        for folder in self._folders():
            with contextlib.suppress(OSError):  # such as a folder that does not exist yet
                for path in sorted(folder.iterdir()):
                    if alike(path.name) not in taken and _has_usable_name(path) and (files := _picture_files(path)):
                        found.setdefault(path.name, len(files))
        return dict(sorted(found.items()))

    def save(self, subject: Subject, files: Sequence[ImageFile], overwrite: bool, adopt: bool) -> Subject:
        """Write a subject completely or not at all, and return it with the names of its files.

        An existing subject is replaced only with `overwrite`. A folder with other files becomes a subject only with
        `adopt`; pictures that are already in it are listed in the record and not written again.
        """
        with self._lock:
            folder = self._folder_to_save(subject.name, overwrite, adopt)
            subject = replace(subject, more={**later_entries(folder), **subject.more})
            there = unchanged_pictures(folder)
            if adopt:
                adopted = self.adoptable(subject.name).items()
                there += [SubjectPicture(name, file.digest, adopted=True) for name, file in adopted]
            return write_subject(folder, subject, files, there)

    def delete(self, wanted: str) -> tuple[str, list[str]]:
        """Remove a subject, damaged or not; return its name and the other files in its folder, which are kept.

        Raises `IPAdapterError` if it cannot be removed. If the folder is a link, only the link is removed.
        """
        with self._lock:
            folder = self._folder("name", wanted)
            try:
                return folder.name, remove_subject(folder)
            except OSError as error:
                why = f'The subject "{folder.name}" cannot be removed: {error.strerror or error}.'
                raise IPAdapterError(why) from error

    def _there(self) -> dict[str, Path]:
        """Return the subjects' folders by name; if several folders have the same name, the first one wins."""
        found: dict[str, Path] = {}
        for folder in self._folders():
            with contextlib.suppress(OSError):  # such as a folder that does not exist yet
                for path in folder.iterdir():
                    if not path.name.startswith(".") and (path / RECORD).is_file():
                        found.setdefault(path.name, path)
        return found

    def _folder(self, field: str, wanted: str) -> Path:
        there, name = self._there(), without_hash(wanted)
        folder = there.get(name) or next((there[each] for each in there if alike(each) == alike(name)), None)
        if folder is None:
            advice = close_names(name, there) or " Save it first."
            raise UnitError(field, wanted, f'"{wanted}" was not found.{advice}')
        return folder

    def _folder_named(self, name: str) -> Path:
        """Return the subject's folder, else an existing folder of that name, else the path to create."""
        folders = self._folders()
        if not folders:
            raise IPAdapterError("There is no folder for subjects.")
        existing = (folder / name for folder in folders if os.path.lexists(folder / name))
        return self._there().get(name) or next(existing, folders[0] / name)

    def _folder_to_save(self, name: str, overwrite: bool, adopt: bool) -> Path:
        """Return the folder to write a subject to; raises `UnitError` if that would replace something else."""
        folder, subjects = self._folder_named(name), self._there()
        names = {*subjects, *names_in(folder.parent)}
        like = [(each, each == name) for each in sorted(names) if alike(each) == alike(name)]
        refuse_taken(name, [each for each in like if each[0] in subjects or not each[1]], overwrite)
        if name not in subjects:
            refuse_occupied(folder, adopt)
        return folder

    def _file(self, folder: Path, subject: Subject, picture: SubjectPicture) -> ImageFile:
        key = (folder, picture.file, picture.digest)
        if (kept := self._files.find(key)) is not None:
            return kept
        path = files_in(folder).get(picture.file)
        file = image_file_of(read_at_most(path, MAX_FILE)) if path else None
        if file is None or file.digest != picture.digest:
            what = "is missing" if file is None else "has changed since the subject was saved"
            raise IPAdapterError(
                f'{printable(picture.file)} of the subject "{subject.name}" {what}. Put the picture back, or save the '
                "subject again."
            )
        return self._files.keep(key, file)


def _picture_files(folder: Path) -> dict[str, Path]:
    """Return the files of a folder that look like pictures, sorted by name."""
    files = sorted(files_in(folder).items())
    return {name: path for name, path in files if path.suffix.lower() in PICTURE_SUFFIXES and name.isprintable()}


def _has_usable_name(path: Path) -> bool:
    """Return whether a subject can have a folder's name."""
    try:
        refuse_name(path.name)
    except UnitError:
        return False
    return True

"""Checks which published files are installed, under any name, and whether they are intact."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from ..base.errors import IPAdapterError
from ..faces.insightface_models import PACKS, model_paths
from .catalogue import PublishedFile
from .known_files import DIFFERENT, PUBLISHED, UNCHECKED, FileCheck, KnownFiles, other_content
from .model_files import EXTENSIONS, FACE_EXTENSIONS, FileIndex, ModelFiles

MISSING, ELSEWHERE, THERE = "missing", "elsewhere", "there"
"""States of a published file, besides `UNCHECKED` and `DIFFERENT`. "Elsewhere" is a folder where it cannot be used."""


@dataclass(frozen=True)
class Installed:
    """Whether a published file is installed."""

    state: str
    path: Path | None = None
    """Where it is; for an archive, the folder with its members."""
    sentence: str = ""
    """How the file at that path differs from the published one; empty if it does not."""


def installed(files: ModelFiles) -> dict[str, Installed]:
    """Return the state of each published file by name, as far as is known now.

    Files that match a published one in size are hashed in the background, so that this becomes certain.
    """
    found = {
        folder: {path: files.known.check(path) for path in index.paths()} for folder, index in _indexes(files).items()
    }
    everywhere = {path: files.known.check(path) for path in files.everything.paths()}
    checks = chain(everywhere.items(), *(each.items() for each in found.values()))
    files.digests.want(path for path, check in checks if check.state == UNCHECKED)
    return {
        file.name: _archive(files, file) if file.extract else _file(files, file, found[file.folder], everywhere)
        for file in files.known.catalogue.files
    }


def elsewhere(files: ModelFiles, file: PublishedFile) -> Path | None:
    """Return where a published file is among all models, as far as is known now, or None."""
    return _published_in({path: files.known.check(path) for path in files.everything.paths()}, file)


def verify(files: ModelFiles, names: Collection[str] = ()) -> None:
    """Hash the installed ones of these published files again in the background; no names means all of them."""
    asked = [file for file in files.known.catalogue.files if not names or file.name in names]
    for folder, index in _indexes(files).items():
        own = [file for file in asked if file.folder == folder]
        paths = [path for path in index.paths() if any(files.known.may_be(path, file) for file in own)]
        files.digests.forget(paths)
        files.digests.want(paths)


def checks_of(folders: Sequence[Path], known: KnownFiles) -> Iterator[tuple[Path, FileCheck]]:
    """Yield each model file below some folders with what it is, hashing it if necessary.

    A file that cannot be read counts as different; its sentence is the reason.
    """
    for path in FileIndex(lambda: folders, lambda path: path, (*EXTENSIONS, *FACE_EXTENSIONS)).paths():
        try:
            yield path, known.checked(path)
        except IPAdapterError as error:
            yield path, FileCheck(DIFFERENT, sentence=error.sentence)


def _indexes(files: ModelFiles) -> dict[str, FileIndex[Any]]:
    """Return the files below each kind of folder, by field name of `port.Folders`."""
    return {
        "adapters": files.adapters,
        "encoders": files.encoders,
        "loras": files.loras,
        "controlnets": files.controlnets,
        "faces": files.faces,
        "facexlib": files.facexlib,
    }


def _file(
    files: ModelFiles, file: PublishedFile, checks: Mapping[Path, FileCheck], everywhere: Mapping[Path, FileCheck]
) -> Installed:
    if path := _published_in(checks, file):
        return Installed(THERE, path)
    for path, check in checks.items():
        if check.state == UNCHECKED and files.known.may_be(path, file):
            return Installed(UNCHECKED, path)
    if file.encoder and (path := _other_encoder(files, file)):
        return Installed(THERE, path)
    for path, check in checks.items():
        if path.name.lower() == file.name.lower():
            return Installed(DIFFERENT, path, check.sentence or other_content(path))
    path = _published_in(everywhere, file)
    return Installed(ELSEWHERE, path) if path else Installed(MISSING)


def _published_in(checks: Mapping[Path, FileCheck], file: PublishedFile) -> Path | None:
    return next((path for path, check in checks.items() if check.published is file), None)


def _other_encoder(files: ModelFiles, file: PublishedFile) -> Path | None:
    """Return another file with the same image encoder, or None: an unpublished one, such as one that also has the text
    encoder, or a published one that can replace this one."""
    opened, _ = files.encoders.all()
    same = [each.path for each in opened.values() if each.name == file.encoder]
    published = {path: files.known.check(path).published for path in same}
    return next((path for path, other in published.items() if not other or other.instead_of == file.name), None)


def _archive(files: ModelFiles, file: PublishedFile) -> Installed:
    try:
        paths = model_paths(PACKS[file.subfolder], files.folders().faces)
    except IPAdapterError:
        return Installed(MISSING)
    checks = [files.known.check_member(path, member) for path, member in zip(paths, file.extract, strict=True)]
    worst = next(each for state in (DIFFERENT, UNCHECKED, PUBLISHED) for each in checks if each.state == state)
    return Installed(THERE if worst.state == PUBLISHED else worst.state, paths[0].parent, worst.sentence)

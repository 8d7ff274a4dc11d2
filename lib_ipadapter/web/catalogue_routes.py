"""Requests about published files: listing, downloading and verifying them.

Each function takes and returns JSON values, and raises `IPAdapterError` for requests that fail.
"""

import shutil
from pathlib import Path
from typing import Any

from ..base.errors import ForbiddenError, IPAdapterError, UnitError, brief
from ..base.json_objects import read_object
from ..engine.session import Session
from ..files.catalogue import PublishedFile
from ..files.download_queue import Order, Progress
from ..files.downloads import part_of
from ..files.verify import Installed, elsewhere, installed, verify
from ..port import Folders
from ..unit.field_kinds import Text

COPIED = (
    *("name", "title", "help", "page", "bytes", "licence", "commercial"),
    *("family", "variant", "base", "use", "encoder", "instead_of"),
)
"""Fields of a published file that are copied to its entry in the response."""


def list_catalogue(session: Session, asked: Any) -> dict[str, Any]:
    """Return all published files, or only those that work with `base`, and whether each is installed."""
    base = Text().read("base", read_object("The request", asked, ("base",)).get("base", ""))
    catalogue, states = session.preparation.files.known.catalogue, installed(session.preparation.files)
    files = [file for file in catalogue.files if not base or file.base in ("", base)]
    reason = session.host.downloads_refused()
    folders = session.host.folders()
    places = {file.name: folder / file.subfolder for file in files if (folder := first_folder(folders, file))}
    return {
        "downloads": {"allowed": not reason, "reason": reason},
        "bundles": [
            {"name": each.name, "base": each.base, "help": each.help, "files": list(each.files)}
            for each in catalogue.bundles
            if not base or each.base == base
        ],
        "files": [_entry(file, states[file.name], places.get(file.name)) for file in files],
        "free": {shown(place): _free(place) for place in set(places.values())},
    }


def list_downloads(session: Session) -> dict[str, Any]:
    """Return the progress of each download, in the order in which they were requested."""
    return {"files": [_progress(each) for each in session.downloads.progress()]}


def start_downloads(session: Session, asked: Any) -> dict[str, Any]:
    """Download the published `files`, given by name, to the first folder for their kind.

    A file that is already known to be elsewhere among the user's models is linked to that folder instead.
    """
    if reason := session.host.downloads_refused():
        raise ForbiddenError(reason)
    files = _files(session, asked)
    if not files:
        raise UnitError("files", None, "must be a list of names of published files.")
    folders = session.host.folders()
    session.downloads.add([_order(session, file, first_folder(folders, file)) for file in files])
    return list_downloads(session)


def stop_downloads(session: Session, asked: Any) -> dict[str, Any]:
    """Stop the downloads of `files`, or all of them; the bytes downloaded so far are kept."""
    files = _files(session, asked)
    session.downloads.stop(None if files is None else [file.name for file in files])
    return list_downloads(session)


def verify_files(session: Session, asked: Any) -> dict[str, Any]:
    """Start hashing the installed ones of `files`, or of all; return the catalogue, which will show the results."""
    files = _files(session, asked)
    if files is None or files:
        verify(session.preparation.files, [file.name for file in files or ()])
    return list_catalogue(session, {})


def _files(session: Session, asked: Any) -> list[PublishedFile] | None:
    """Return the published files that a request names, in its order, or None if it has no `files`."""
    names, known = read_object("The request", asked, ("files",)).get("files"), session.preparation.files.known.catalogue
    if names is None:
        return None
    if not isinstance(names, list):
        raise UnitError("files", names, f"must be a list of names of published files, not {brief(names)}.")
    try:
        return known.named(names)
    except IPAdapterError as error:
        raise UnitError("files", names, f"has a wrong entry: {error.sentence}") from error


def _order(session: Session, file: PublishedFile, folder: Path | None) -> Order:
    library = session.preparation.files
    if folder is None:
        raise IPAdapterError(f"{file.name} cannot be downloaded: this web UI has no folder for it.")

    def arrived() -> None:
        for each in file.installed:
            library.digests.record(folder / file.subfolder / each.name, each.sha256)
        library.rescan()

    return Order(file, folder, arrived, elsewhere(library, file))


def first_folder(folders: Folders, file: PublishedFile) -> Path | None:
    """Return the folder for a file, without the file's own subfolder, or None if the host has no such folder."""
    return next(iter(getattr(folders, file.folder)), None)


def _entry(file: PublishedFile, found: Installed, place: Path | None) -> dict[str, Any]:
    return {
        **{name: getattr(file, name) for name in COPIED},
        "needs": list(file.needs),
        "folder": shown(place) if place else "",
        "state": found.state,
        "there_as": shown(found.path) if found.path else "",
        "sentence": found.sentence,
        "part": _size(part_of(file, place)) if place else 0,
    }


def _size(path: Path) -> int:
    """Return a file's size in bytes, or 0 if there is no such file."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _progress(progress: Progress) -> dict[str, Any]:
    return {
        "name": progress.file.name,
        "title": progress.file.title,
        "state": progress.state,
        "done": progress.done,
        "bytes": progress.bytes,
        "speed": round(progress.speed),
        "seconds_left": progress.seconds_left,
        "error": progress.error,
    }


def shown(path: Path) -> str:
    """Return a path as the user knows it: relative to the web UI's folder if it is in there."""
    below = path.is_relative_to(Path.cwd())
    return (path.relative_to(Path.cwd()) if below else path).as_posix()


def _free(folder: Path) -> int:
    """Return the number of free bytes on the disk with a folder, which need not exist yet."""
    there = next((each for each in (folder, *folder.parents) if each.exists()), Path.cwd())
    return shutil.disk_usage(there).free

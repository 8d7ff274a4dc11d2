"""Requests about published files: which there are, which are installed, and getting them.

Each function takes and returns JSON values, and raises `IPAdapterError` for requests that fail.
"""

import shutil
from pathlib import Path
from typing import Any

from ..base.errors import ForbiddenError, IPAdapterError, UnitError, brief
from ..base.file_names import close_names
from ..base.json_objects import read_object
from ..engine.session import Session
from ..files.catalogue import PublishedFile
from ..files.download_queue import Order, Progress
from ..files.verify import Installed, elsewhere, installed, verify
from ..port import Folders
from ..unit.field_kinds import Text

COPIED = (
    *("name", "title", "help", "page", "bytes", "licence", "commercial"),
    *("family", "variant", "base", "use", "encoder", "instead_of"),
)
"""Facts of a published file that its entry in the answer has as they are."""


def list_catalogue(session: Session, asked: Any) -> dict[str, Any]:
    """Return the published files, or those for `base` and for any base, each with whether it is installed."""
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
    """Return how far each download is, in the order in which they were asked for."""
    return {"files": [_progress(each) for each in session.downloads.progress()]}


def start_downloads(session: Session, asked: Any) -> dict[str, Any]:
    """Download the published `files`, given by their names, into the first folder of their kind.

    A file that is known to be among the user's models already is linked there instead.
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
    """Stop the downloads of `files`, or all; what is there of them is kept."""
    files = _files(session, asked)
    session.downloads.stop(None if files is None else [file.name for file in files])
    return list_downloads(session)


def verify_files(session: Session, asked: Any) -> dict[str, Any]:
    """Begin to hash the installed ones of `files`, or of all; return the catalogue, which has the results later."""
    files = _files(session, asked)
    if files is None or files:
        verify(session.preparation.files, [file.name for file in files or ()])
    return list_catalogue(session, {})


def _files(session: Session, asked: Any) -> list[PublishedFile] | None:
    """Return the published files that a request names, in its order, or None where it names none."""
    names, known = read_object("The request", asked, ("files",)).get("files"), session.preparation.files.known.catalogue
    if names is None:
        return None
    if not isinstance(names, list):
        raise UnitError("files", names, f"must be a list of names of published files, not {brief(names)}.")
    for name in names:
        if not isinstance(name, str) or name not in known.by_name:
            close = close_names(name, known.by_name) if isinstance(name, str) else ""
            raise UnitError("files", name, f"has {brief(name)}, which is no published file.{close}")
    return [known.by_name[name] for name in dict.fromkeys(names)]


def _order(session: Session, file: PublishedFile, folder: Path | None) -> Order:
    library = session.preparation.files
    if folder is None:
        raise IPAdapterError(f"There is no folder for {file.name} here.")

    def arrived() -> None:
        for each in file.installed:
            library.digests.record(folder / file.subfolder / each.name, each.sha256)
        library.rescan()

    return Order(file, folder, arrived, elsewhere(library, file))


def first_folder(folders: Folders, file: PublishedFile) -> Path | None:
    """Return the folder that a file goes into, above its own subfolder, or None where the host has none of its kind."""
    return next(iter(getattr(folders, file.folder)), None)


def _entry(file: PublishedFile, found: Installed, place: Path | None) -> dict[str, Any]:
    return {
        **{name: getattr(file, name) for name in COPIED},
        "needs": list(file.needs),
        "folder": shown(place) if place else "",
        "state": found.state,
        "there_as": shown(found.path) if found.path else "",
        "sentence": found.sentence,
    }


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
    """Return a path as the user knows it: relative to the web UI's folder where it is below that."""
    below = path.is_relative_to(Path.cwd())
    return (path.relative_to(Path.cwd()) if below else path).as_posix()


def _free(folder: Path) -> int:
    """Return the bytes that are free on the disk of a folder, which need not exist yet."""
    there = next((each for each in (folder, *folder.parents) if each.exists()), Path.cwd())
    return shutil.disk_usage(there).free

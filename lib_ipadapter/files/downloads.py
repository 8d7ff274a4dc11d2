"""Downloads one published file: resumes an earlier attempt, and keeps the file only if its digest is right.

An unfinished download is a file NAME.part in the same folder, which survives a restart or a crash.
"""

import errno
import hashlib
import os
import shutil
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path
from typing import Protocol

from ..base.errors import IPAdapterError, readable_size
from ..base.file_lock import opened_alone
from ..base.file_names import refuse_name
from ..base.files import delete, publish, sha256
from .archive_members import take_out
from .catalogue import Member, PublishedFile
from .hub import Stream, TryAgainError, opened

MAX_FAILURES = 6
"""Attempts in a row that may receive nothing before the download fails: with the waits between them, about a minute."""
MAX_WAIT = 120
"""Longest wait in seconds that a server may ask for; if it asks for more, the download fails."""

WAITING, RUNNING, CHECKING = "waiting", "running", "checking"
"""States of a download that is not over."""


class StoppedError(Exception):
    """The user has stopped a download."""


class Watcher(Protocol):
    """Follows a download, and can stop it."""

    def report(self, state: str, done: int, total: int) -> None:
        """Receive the state, and the bytes done and in total; raises `StoppedError` to stop the download."""
        ...

    def wait(self, seconds: float) -> None:
        """Wait for some seconds; raises `StoppedError` to stop the download."""
        ...


def part_of(file: PublishedFile, place: Path) -> Path:
    """Return the path of an unfinished download."""
    return place / f"{file.name}.part"


def download(file: PublishedFile, folder: Path, watcher: Watcher) -> None:
    """Download a published file to its place below `folder`, or do nothing if it is there already.

    From an archive, only the members that are needed are extracted. Existing files are never overwritten. Raises
    `IPAdapterError`, which says what to do, and `StoppedError`. Either way, valid bytes downloaded so far are kept.
    """
    for name in (file.name, *filter(None, [file.subfolder]), *(each.name for each in file.installed)):
        refuse_name(name)
    place = folder / file.subfolder
    part = part_of(file, place)
    with _disk_errors(place):
        place.mkdir(parents=True, exist_ok=True)
        while missing := missing_files(file, place, watcher):
            with opened_alone(part) as opened_part:
                if opened_part:
                    _complete(file, Part(opened_part), place, watcher)
                    if file.extract:
                        take_out(part, missing, place)
            if opened_part is None:  # another web UI is downloading it to the same folder
                watcher.report(WAITING, 0, file.bytes)
                watcher.wait(1)
            elif file.extract:
                break
            elif publish(part, place / file.name):
                return
        with suppress(PermissionError):  # on Windows, while another web UI still reads it
            delete(part)


def link(file: PublishedFile, there: Path, folder: Path, watcher: Watcher) -> None:
    """Link a published file that is elsewhere into its place below `folder`, or do nothing if it is there already.

    Existing files are never overwritten. Raises `IPAdapterError` if no link can be made.
    """
    refuse_name(file.name)
    place = folder / file.subfolder
    with _disk_errors(place):
        place.mkdir(parents=True, exist_ok=True)
        if missing_files(file, place, watcher) and not _linked(there, place / file.name):
            raise IPAdapterError(
                f"{file.name} is already on this computer as {there}, but cannot be linked into {place}. "
                "Copy or move it there."
            )


def _linked(there: Path, target: Path) -> bool:
    for make in (os.link, os.symlink):  # a symbolic link also works across disks
        with suppress(OSError):
            make(there.absolute(), target)
            return True
    return False


def missing_files(file: PublishedFile, place: Path, watcher: Watcher) -> list[Member]:
    """Return the files of an entry that are not in their folder; raises `IPAdapterError` if others have their names."""
    there = [each for each in file.installed if os.path.lexists(place / each.name)]
    for each in there:
        watcher.report(CHECKING, 0, file.bytes)
        if sha256(place / each.name) != each.sha256:
            raise IPAdapterError(
                f"{place} already has a file called {each.name} that is not the published one. Nothing was changed. "
                "Rename or move that file, and try again."
            )
    return [each for each in file.installed if each not in there]


class Part:
    """The bytes of a file that have been downloaded so far, and their digest."""

    def __init__(self, file: FileIO) -> None:
        self._file = file
        self._digest = hashlib.sha256()
        self.size = 0

    @property
    def digest(self) -> str:
        return self._digest.hexdigest()

    def read(self, report: Callable[[int], None]) -> None:
        """Hash what an earlier attempt has left."""
        self._file.seek(0)
        while piece := self._file.read(1 << 20):
            self._add(piece)
            report(self.size)

    def write(self, piece: bytes) -> None:
        rest = memoryview(piece)
        while rest:  # an unbuffered file may accept fewer bytes
            rest = rest[self._file.write(rest) :]
        self._add(piece)

    def restart(self) -> None:
        """Discard all bytes."""
        self._file.truncate(0)
        self._digest, self.size = hashlib.sha256(), 0

    def sync(self) -> None:
        """Flush to disk, so that a file with its final name is complete even after a power cut."""
        os.fsync(self._file.fileno())

    def _add(self, piece: bytes) -> None:
        self._digest.update(piece)
        self.size += len(piece)


def _complete(file: PublishedFile, part: Part, place: Path, watcher: Watcher) -> None:
    """Download the rest of a part, or all of it again if the bytes of an earlier attempt turn out to be wrong."""
    part.read(lambda done: watcher.report(CHECKING, done, file.bytes))
    resumed = part.size > 0
    if part.digest != file.sha256:
        _fetch(file, part, place, watcher)
    if part.digest != file.sha256 and resumed:
        part.restart()
        _fetch(file, part, place, watcher)
    if part.digest != file.sha256:
        found = part.digest
        part.restart()
        raise IPAdapterError(
            f"The file received for {file.name} is not the published one: its SHA-256 is {found[:12]}…, not "
            f"{file.sha256[:12]}…. It was deleted. Try again; if that does not help, a mirror or a proxy is sending "
            "something else."
        )
    part.sync()


def _fetch(file: PublishedFile, part: Part, place: Path, watcher: Watcher) -> None:
    """Download the rest of a part, trying again if the connection breaks."""
    failures, etag = 0, ""
    if file.exact and part.size >= file.bytes:
        part.restart()
    while True:
        before = part.size
        try:
            with opened(file, part.size, etag) as stream:
                etag = stream.etag
                _receive(file, part, stream, place, watcher)
            return
        except TryAgainError as error:
            failures = 1 if part.size > before else failures + 1
            if failures > MAX_FAILURES or error.wait > MAX_WAIT:
                raise IPAdapterError(
                    f"{file.name} could not be downloaded: {error}. What has been downloaded is kept. Try again later "
                    "to resume from there."
                ) from error
            watcher.wait(max(error.wait, 2**failures / 2))


def _receive(file: PublishedFile, part: Part, stream: Stream, place: Path, watcher: Watcher) -> None:
    """Append a stream to a part; raises `TryAgainError` if the stream ends early."""
    total = _size(file, stream)
    if stream.start != part.size:
        part.restart()
    if stream.start != part.size:
        raise TryAgainError("the server sent the wrong part of the file")
    unpacked = sum(each.bytes for each in file.extract)
    refuse_full(file, place, total - part.size + unpacked)
    for piece in stream.pieces:
        part.write(piece)
        watcher.report(RUNNING, part.size, total)
        if part.size > total:
            break  # it is wrong, as its digest will show
    if part.size < total:
        raise TryAgainError("the connection ended early")


def _size(file: PublishedFile, stream: Stream) -> int:
    """Return the size of the whole file; raises `IPAdapterError` if the server has a file of a different size."""
    if file.exact and stream.total not in (None, file.bytes):
        raise IPAdapterError(
            f"The file offered for {file.name} is not the published one: it has {stream.total} bytes, not "
            f"{file.bytes}. It was not downloaded. Try again; if that does not help, a mirror or a proxy is sending "
            "something else."
        )
    return file.bytes if file.exact or stream.total is None else stream.total


def refuse_full(file: PublishedFile, place: Path, needed: int) -> None:
    """Raise `IPAdapterError` if a disk has fewer free bytes than are needed."""
    free = shutil.disk_usage(place).free
    if needed > free:
        raise IPAdapterError(
            f"{file.name} needs {readable_size(needed)} more in {place}, but only {readable_size(free)} are free. Free "
            "up some space there, and try again."
        )


@contextmanager
def _disk_errors(place: Path) -> Generator[None, None, None]:
    """Turn file system errors into `IPAdapterError`."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise IPAdapterError(
                f"The disk with {place} is full. What has been downloaded is kept. Free up some space, and try again."
            ) from error
        raise IPAdapterError(
            f"{place} cannot be written to: {error.strerror}. Check the folder, and try again."
        ) from error

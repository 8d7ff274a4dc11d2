"""Fetches one published file: goes on where an earlier attempt ended, and only the right bytes become a file.

What is there of a file waits beside its place as NAME.part, also over a restart or a crash.
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
from ..base.files import publish, sha256
from .archive_members import take_out
from .catalogue import Member, PublishedFile
from .hub import Stream, TryAgainError, opened

MAX_FAILURES = 6
"""Attempts in a row that fetch nothing, until it fails: with the waiting between them, about a minute."""
MAX_WAIT = 120
"""Seconds that a server may ask to wait; if it asks for more, it fails."""

WAITING, RUNNING, CHECKING = "waiting", "running", "checking"
"""States of a download that is not over."""


class StoppedError(Exception):
    """The user has stopped a download."""


class Watcher(Protocol):
    """Follows a download, and may stop it."""

    def report(self, state: str, done: int, total: int) -> None:
        """Take note of the bytes that are done; raises `StoppedError` to stop."""
        ...

    def wait(self, seconds: float) -> None:
        """Wait; raises `StoppedError` to stop."""
        ...


def download(file: PublishedFile, folder: Path, watcher: Watcher) -> None:
    """Fetch a published file into its place below `folder`, or do nothing if it is there.

    Of an archive, the members that are needed are taken out. No existing file is overwritten. Raises `IPAdapterError`
    with what to do, and `StoppedError`; both keep what is right of what was fetched.
    """
    for name in (file.name, *filter(None, [file.subfolder]), *(each.name for each in file.installed)):
        refuse_name(name)
    place = folder / file.subfolder
    part = place / f"{file.name}.part"
    with _disk_errors(place):
        place.mkdir(parents=True, exist_ok=True)
        while missing := missing_files(file, place, watcher):
            with opened_alone(part) as opened_part:
                if opened_part:
                    _complete(file, Part(opened_part), place, watcher)
                    if file.extract:
                        take_out(part, missing, place)
            if opened_part is None:  # another web UI fetches it into the same folder
                watcher.report(WAITING, 0, file.bytes)
                watcher.wait(1)
            elif file.extract:
                part.unlink(missing_ok=True)
                return
            elif publish(part, place / file.name):
                return


def link(file: PublishedFile, there: Path, folder: Path, watcher: Watcher) -> None:
    """Give a published file that is elsewhere its place below `folder` too, without a copy, or do nothing if it has it.

    No existing file is overwritten. Raises `IPAdapterError` where no link can be made.
    """
    refuse_name(file.name)
    place = folder / file.subfolder
    with _disk_errors(place):
        place.mkdir(parents=True, exist_ok=True)
        if missing_files(file, place, watcher) and not _linked(there, place / file.name):
            raise IPAdapterError(
                f"{file.name} is already here as {there}, but no link to it can be made in {place}. "
                "Copy or move it there."
            )


def _linked(there: Path, target: Path) -> bool:
    for make in (os.link, os.symlink):  # the second one reaches another disk
        with suppress(OSError):
            make(there.absolute(), target)
            return True
    return False


def missing_files(file: PublishedFile, place: Path, watcher: Watcher) -> list[Member]:
    """Return which files of an entry are not in their folder; raises `IPAdapterError` if others have their names."""
    there = [each for each in file.installed if os.path.lexists(place / each.name)]
    for each in there:
        watcher.report(CHECKING, 0, file.bytes)
        if sha256(place / each.name) != each.sha256:
            raise IPAdapterError(
                f"{place} has another file called {each.name}, which is not the published one. Nothing was changed. "
                "Rename that file or move it away, and start again."
            )
    return [each for each in file.installed if each not in there]


class Part:
    """What is there of a file, with its digest."""

    def __init__(self, file: FileIO) -> None:
        self._file = file
        self._digest = hashlib.sha256()
        self.size = 0

    @property
    def digest(self) -> str:
        return self._digest.hexdigest()

    def read(self, report: Callable[[int], None]) -> None:
        """Take in what an earlier attempt has left."""
        self._file.seek(0)
        while piece := self._file.read(1 << 20):
            self._add(piece)
            report(self.size)

    def write(self, piece: bytes) -> None:
        rest = memoryview(piece)
        while rest:  # an unbuffered file may take less
            rest = rest[self._file.write(rest) :]
        self._add(piece)

    def restart(self) -> None:
        """Forget everything."""
        self._file.truncate(0)
        self._digest, self.size = hashlib.sha256(), 0

    def sync(self) -> None:
        """Let the disk have it, so that a file that has its name is whole after a power cut too."""
        os.fsync(self._file.fileno())

    def _add(self, piece: bytes) -> None:
        self._digest.update(piece)
        self.size += len(piece)


def _complete(file: PublishedFile, part: Part, place: Path, watcher: Watcher) -> None:
    """Fetch what is missing of a part; all of it, if what was there turns out to be wrong."""
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
            f"What was sent as {file.name} is not the published file: SHA-256 {found[:12]}…, not {file.sha256[:12]}…. "
            "It was deleted. Start again; if that does not help, a mirror or a proxy sends something else."
        )
    part.sync()


def _fetch(file: PublishedFile, part: Part, place: Path, watcher: Watcher) -> None:
    """Fetch the rest of a part, in several attempts if the connection breaks."""
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
                    f"{file.name} could not be fetched: {error}. What is there of it is kept; start again later, and "
                    "it goes on from there."
                ) from error
            watcher.wait(max(error.wait, 2**failures / 2))


def _receive(file: PublishedFile, part: Part, stream: Stream, place: Path, watcher: Watcher) -> None:
    """Append a stream to a part; raises `TryAgainError` if it ends early."""
    total = _size(file, stream)
    if stream.start != part.size:
        part.restart()
    if stream.start != part.size:
        raise TryAgainError("the server sent another part of the file")
    unpacked = sum(each.bytes for each in file.extract)
    refuse_full(file, place, total - part.size + unpacked)
    for piece in stream.pieces:
        part.write(piece)
        watcher.report(RUNNING, part.size, total)
        if part.size > total:
            break  # wrong, as its digest will show
    if part.size < total:
        raise TryAgainError("the connection ended early")


def _size(file: PublishedFile, stream: Stream) -> int:
    """Return the size of the whole; raises `IPAdapterError` if the server has a file of another size."""
    if file.exact and stream.total not in (None, file.bytes):
        raise IPAdapterError(
            f"What is sent as {file.name} is not the published file: it has {stream.total} bytes, not {file.bytes}. "
            "Nothing of it was fetched. Start again; if that does not help, a mirror or a proxy sends something else."
        )
    return file.bytes if file.exact or stream.total is None else stream.total


def refuse_full(file: PublishedFile, place: Path, needed: int) -> None:
    """Raise `IPAdapterError` if a disk has not room for so many bytes."""
    free = shutil.disk_usage(place).free
    if needed > free:
        raise IPAdapterError(
            f"{file.name} needs {readable_size(needed)} more in {place}, where {readable_size(free)} are free. Make "
            "room there, and start again."
        )


@contextmanager
def _disk_errors(place: Path) -> Generator[None, None, None]:
    """Turn errors of the file system into sentences."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise IPAdapterError(
                f"The disk of {place} is full. What is there is kept. Make room and start again."
            ) from error
        raise IPAdapterError(f"{place} cannot be written to: {error.strerror}.") from error

"""Downloads published files in the background, one at a time, in the order in which they were requested."""

import threading
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from ..base.errors import IPAdapterError
from .catalogue import PublishedFile
from .downloads import CHECKING, RUNNING, WAITING, StoppedError, download, link

DONE, STOPPED, FAILED = "done", "stopped", "failed"
"""States of a download that is over."""
UNDER_WAY = (WAITING, RUNNING, CHECKING)

WINDOW, INTERVAL = 10.0, 0.5
"""Seconds over which the speed is measured, and between two measurements."""

UNEXPECTED = "The download failed unexpectedly. See the console for details."


class Order(NamedTuple):
    """A request to download a file."""

    file: PublishedFile
    folder: Path
    """Folder for this kind of file, without the file's own subfolder."""
    then: Callable[[], None]
    """Called when the file is in its folder."""
    there: Path | None = None
    """Where the file already is, so that a link is enough; None if it must be downloaded."""


class Mark(NamedTuple):
    """The progress of a download at one moment."""

    seconds: float
    done: int


@dataclass(frozen=True)
class Progress:
    """The state of a download, and how many bytes of it are done."""

    file: PublishedFile
    state: str
    done: int
    bytes: int
    speed: float
    """Bytes per second; 0 while nothing is being downloaded."""
    error: str
    """Why it failed; empty if it did not."""

    @property
    def seconds_left(self) -> int | None:
        """The seconds left at this speed, or None while nothing is being downloaded."""
        return round((self.bytes - self.done) / self.speed) if self.speed else None


class Entry:
    """One download. Its methods `report` and `wait` are a `downloads.Watcher`."""

    def __init__(self, order: Order) -> None:
        self.order = order
        self.state, self.error = WAITING, ""
        self._done, self._bytes = 0, order.file.bytes
        self._marks: tuple[Mark, ...] = ()
        self._stopping = threading.Event()

    @property
    def under_way(self) -> bool:
        return self.state in UNDER_WAY

    def run(self) -> None:
        """Download the file; errors are kept in the entry."""
        try:
            if not self._stopping.is_set():
                self._get(self.order)
                self.order.then()
                self.state, self._done = DONE, self._bytes
        except StoppedError:
            self.state = STOPPED
        except IPAdapterError as error:
            self.state, self.error = FAILED, error.sentence
        finally:
            if self.under_way:
                self.state, self.error = FAILED, UNEXPECTED

    def _get(self, order: Order) -> None:
        if order.there:
            link(order.file, order.there, order.folder, self)
        else:
            download(order.file, order.folder, self)

    def stop(self) -> None:
        self._stopping.set()
        if self.under_way:
            self.state = STOPPED

    def report(self, state: str, done: int, total: int) -> None:
        if self._stopping.is_set():
            raise StoppedError
        self.state, self._done, self._bytes = state, done, total
        now = time.monotonic()
        if state != RUNNING:
            self._marks = ()
        elif not self._marks or now - self._marks[-1].seconds >= INTERVAL:
            recent = (mark for mark in self._marks if now - mark.seconds < WINDOW)
            self._marks = (*recent, Mark(now, done))

    def wait(self, seconds: float) -> None:
        if self._stopping.wait(seconds):
            raise StoppedError

    @property
    def progress(self) -> Progress:
        return Progress(self.order.file, self.state, self._done, self._bytes, self._speed(), self.error)

    def _speed(self) -> float:
        """Return the speed since the oldest recent mark; it falls while no bytes arrive."""
        marks = self._marks
        if self.state != RUNNING or not marks:
            return 0.0
        seconds = time.monotonic() - marks[0].seconds
        return max(0, self._done - marks[0].done) / seconds if seconds else 0.0


class DownloadQueue:
    """Downloads by file name. Those that are over stay in the list until they are requested again."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}
        self._busy = False
        self._lock = threading.Lock()

    def add(self, orders: Sequence[Order]) -> None:
        """Append downloads; one that is already under way keeps its place."""
        with self._lock:
            for order in orders:
                name = order.file.name
                if name not in self._entries or not self._entries[name].under_way:
                    self._entries.pop(name, None)
                    self._entries[name] = Entry(order)
            self._begin()

    def stop(self, names: Collection[str] | None = None) -> None:
        """Stop these downloads, or all of them; the bytes downloaded so far are kept."""
        with self._lock:
            for name, entry in self._entries.items():
                if names is None or name in names:
                    entry.stop()

    def progress(self) -> list[Progress]:
        """Return the progress of each download, in the order in which they were requested."""
        with self._lock:
            return [entry.progress for entry in self._entries.values()]

    def _begin(self) -> None:
        """Start the first waiting download, unless one is running; the caller holds the lock."""
        following = next((entry for entry in self._entries.values() if entry.state == WAITING), None)
        if following and not self._busy:
            self._busy = True
            threading.Thread(target=self._run, args=(following,), name="IP-Adapter download", daemon=True).start()

    def _run(self, entry: Entry) -> None:
        try:
            entry.run()
        finally:
            with self._lock:
                self._busy = False
                self._begin()


@lru_cache(maxsize=1)
def process_queue() -> DownloadQueue:
    """Return the one queue of this process: Reload UI creates a new session, and downloads continue."""
    return DownloadQueue()

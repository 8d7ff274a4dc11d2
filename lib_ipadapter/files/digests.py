"""SHA-256 of the user's files: each is computed once, in the background, and stored for the next start.

A digest is stored with its file's path, modification time and size. Hashing a large file takes seconds, so lists only
use digests that are already known, and request missing ones with `want`.
"""

import json
import logging
import re
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

from ..base.errors import IPAdapterError
from ..base.files import file_identity, sha256, write_whole

log = logging.getLogger(__name__)

LIMIT = 5000
"""Maximum number of stored digests; the oldest are dropped."""

HEXADECIMAL = re.compile(r"[0-9a-f]{64}")


class Kept(NamedTuple):
    """A stored digest, with the state of the file that it belongs to."""

    modified: int
    """Nanoseconds."""
    size: int
    sha256: str


class Digests:
    """The digests of files; `where` returns the file to store them in, or None to keep them in memory only."""

    def __init__(self, where: Callable[[], Path | None]) -> None:
        self._where = where
        self._kept: dict[str, Kept] | None = None
        self._wanted: dict[Path, None] = {}
        self._thread: threading.Thread | None = None
        self._lock = threading.RLock()

    def known(self, path: Path) -> str:
        """Return the digest of a file's current content, or "" if it is not known yet."""
        try:
            _, modified, size = file_identity(path)
        except IPAdapterError:
            return ""
        kept = self._entries().get(_key(path))
        return kept.sha256 if kept and (kept.modified, kept.size) == (modified, size) else ""

    def of(self, path: Path) -> str:
        """Return the digest of a file, computing it if necessary; raises `IPAdapterError` if it cannot be read."""
        return self.known(path) or self._compute(path)

    def want(self, paths: Iterable[Path]) -> None:
        """Compute the digests of these files in the background, one file at a time."""
        missing = [path for path in paths if not self.known(path)]
        with self._lock:
            self._wanted |= dict.fromkeys(missing)
            if self._wanted and self._thread is None:
                self._thread = threading.Thread(target=self._work, name="IP-Adapter digests", daemon=True)
                self._thread.start()

    def forget(self, paths: Iterable[Path]) -> None:
        """Forget the digests of these files, so that they are computed again; this also reveals damage on the disk."""
        gone = {_key(path) for path in paths}
        with self._lock:
            self._save({key: kept for key, kept in self._merged().items() if key not in gone})

    def is_wanted(self, path: Path) -> bool:
        """Return whether a file's digest is being computed or is queued."""
        return path in self._wanted

    def record(self, path: Path, digest: str) -> None:
        """Store the digest of a file's current content, which the caller computed while writing it."""
        self._keep(path, file_identity(path), digest)

    def _work(self) -> None:
        while path := self._next():
            try:
                self.of(path)
            except IPAdapterError as error:
                log.info(error.sentence)
            with self._lock:
                self._wanted.pop(path, None)

    def _next(self) -> Path | None:
        """Return the next wanted file; None ends the thread, under the lock of `want`, so that no file is left over."""
        with self._lock:
            path = next(iter(self._wanted), None)
            if path is None:
                self._thread = None
            return path

    def _compute(self, path: Path) -> str:
        identity = file_identity(path)
        try:
            digest = sha256(path)
        except OSError as error:
            raise IPAdapterError(f"{path.name} cannot be read: {error.strerror}.") from error
        if file_identity(path) == identity:  # otherwise it has changed meanwhile
            self._keep(path, identity, digest)
        return digest

    def _keep(self, path: Path, identity: tuple[Path, int, int], digest: str) -> None:
        with self._lock:
            entries = self._merged()
            entries.pop(_key(path), None)  # so that it moves to the end, as the newest
            self._save({**entries, _key(path): Kept(identity[1], identity[2], digest)})

    def _merged(self) -> dict[str, Kept]:
        """Return the known digests together with those that other processes have stored meanwhile."""
        where = self._where()
        return (_read(where) if where else {}) | self._entries()

    def _save(self, entries: dict[str, Kept]) -> None:
        self._kept = dict(list(entries.items())[-LIMIT:])
        where = self._where()
        if where:
            _write(where, self._kept)

    def _entries(self) -> dict[str, Kept]:
        with self._lock:
            if self._kept is None:
                where = self._where()
                self._kept = _read(where) if where else {}
            return self._kept


def _key(path: Path) -> str:
    return str(path.absolute())


def _read(where: Path) -> dict[str, Kept]:
    """Return the stored digests without unreadable entries, which can be computed again."""
    try:
        raw: Any = json.loads(where.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        log.warning("%s cannot be read and will be rewritten: %s.", where, error)
        return {}
    entries = raw.items() if isinstance(raw, dict) else ()
    return {path: Kept(*entry) for path, entry in entries if _is_valid(entry)}


def _is_valid(entry: Any) -> bool:
    return (
        isinstance(entry, list)
        and [type(each) for each in entry] == [int, int, str]
        and bool(HEXADECIMAL.fullmatch(entry[2]))
    )


def _write(where: Path, entries: dict[str, Kept]) -> None:
    try:
        write_whole(where, json.dumps(entries, indent=0).encode())
    except OSError as error:
        log.warning("%s cannot be written: %s. File hashes will be computed again after a restart.", where, error)

"""A file that one process at a time writes; the operating system frees it when that process ends, however it ends."""

import errno
import os
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path

BUSY = (errno.EAGAIN, errno.EACCES, errno.EDEADLK)
"""Errors of a lock that somebody else holds; any other means that the file system has no locks."""

BEYOND = 1 << 40
"""The byte that is locked on Windows: beyond the content, which others may read."""


@contextmanager
def opened_alone(path: Path) -> Generator[FileIO | None, None, None]:
    """Yield the file, opened to read and append; None if somebody else has it open so.

    It is created if it is missing, and deleted if it is empty in the end. Unbuffered, so that a killed process has
    written what it wrote. Raises `OSError`.
    """
    with FileIO(path, "a+") as file:
        if not (_lock(file) and _is_still_at(path, file)):
            yield None
            return
        try:
            yield file
        finally:
            if not os.fstat(file.fileno()).st_size:
                with suppress(OSError):  # Windows keeps a file that is open
                    path.unlink()


def _lock(file: FileIO) -> bool:
    try:
        _lock_or_raise(file)
    except OSError as error:
        return error.errno not in BUSY
    return True


def _lock_or_raise(file: FileIO) -> None:
    if sys.platform == "win32":
        import msvcrt

        file.seek(BEYOND)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _is_still_at(path: Path, file: FileIO) -> bool:
    """Return whether the file has not been renamed or deleted since it was opened, by who had it then."""
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False

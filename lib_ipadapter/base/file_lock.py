"""A file that one process writes at a time; the operating system unlocks it when that process ends, even in a crash."""

import errno
import os
import sys
from collections.abc import Generator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path

BUSY = (errno.EAGAIN, errno.EACCES, errno.EDEADLK)
"""Errors if the file is already locked; any other error means that the file system does not support locks."""

BEYOND = (1 << 40) + 0xFFFF_FFFE
"""The byte that is locked on Windows: beyond the content, so that others can still read that. So are its lower 32 bits,
in case a C library has no more."""


@contextmanager
def opened_alone(path: Path) -> Generator[FileIO | None, None, None]:
    """Yield the file, opened for reading and appending, or None if it is already open this way.

    It is created if it is missing, and deleted if it is empty at the end. It is unbuffered, so that what a process has
    written survives if the process is killed. Raises `OSError`.
    """
    is_left = False
    try:
        with FileIO(path, "a+") as file:
            if not (_lock(file) and _is_still_at(path, file)):
                yield None
                return
            try:
                yield file
            finally:
                is_left = not os.fstat(file.fileno()).st_size and not _deleted(path)
    finally:
        if is_left:
            _deleted(path)


def _deleted(path: Path) -> bool:
    """Delete a file while it is locked; return whether that worked, because Windows does not delete an open file."""
    try:
        path.unlink()
    except OSError:
        return False
    return True


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
    """Return whether the file is still at its path; whoever had it locked may have renamed or deleted it."""
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False

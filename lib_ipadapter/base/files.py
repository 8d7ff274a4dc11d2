"""Files on disk: their identity, their digest, and atomic writes, also where others hold a file open."""

import hashlib
import os
import secrets
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from .errors import IPAdapterError

WAITS = (0.02, 0.05, 0.1, 0.2, 0.4) if os.name == "nt" else ()
"""Seconds to wait before trying again: Windows neither replaces nor deletes a file that is open, and virus scanners and
indexers open new files for a moment."""


def file_identity(path: Path) -> tuple[Path, int, int]:
    """Return a key for a file and its current content: path, modification time and size."""
    try:
        state = path.stat()
    except OSError as error:
        raise IPAdapterError(f"{path.name} cannot be read: {error.strerror}.") from error
    return path, state.st_mtime_ns, state.st_size


def sha256(path: Path) -> str:
    """Return the file's SHA-256 in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def write_whole(path: Path, content: bytes) -> None:
    """Write a file completely or leave the existing one unchanged; raises `OSError`."""
    with written_whole(path) as part:
        part.write_bytes(content)


@contextmanager
def written_whole(path: Path) -> Generator[Path, None, None]:
    """Yield a temporary path that replaces `path` when the block ends, and is deleted if the block raises.

    Creates missing folders. If `path` is a link, the file that it points to is replaced. Raises `OSError`.
    """
    target = path.resolve()
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{secrets.token_hex(8)}.part")
    try:
        yield part
        patiently(lambda: part.replace(target))
    finally:
        delete(part)


def delete(path: Path) -> None:
    """Delete a file, if it is there; raises `OSError`."""
    patiently(lambda: path.unlink(missing_ok=True))


def patiently(act: Callable[[], object]) -> None:
    """Replace or delete a file by `act`, again after a while if it is open in another program."""
    for seconds in WAITS:
        try:
            act()
        except PermissionError:
            time.sleep(seconds)
        else:
            return
    act()


def publish(part: Path, target: Path) -> bool:
    """Rename a finished file, but never over an existing one; return whether it was renamed. Raises `OSError`.

    Where another program holds it open, it may stay under its old name too.
    """
    try:
        os.link(part, target)  # fails if the target exists, unlike a rename on most systems
    except (FileExistsError, FileNotFoundError):
        return False
    except OSError:  # a file system without hard links
        if os.path.lexists(target):
            return False
        patiently(lambda: part.rename(target))
    else:
        with suppress(PermissionError):
            delete(part)
    return True

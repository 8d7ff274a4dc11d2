"""Files on disk, whatever they hold: their state, their digest, and writing one whole or not at all."""

import hashlib
import secrets
from collections.abc import Generator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

from .errors import IPAdapterError


def file_identity(path: Path) -> tuple[object, ...]:
    """Return what distinguishes this state of a file from any other: path, time of change and size."""
    try:
        state = path.stat()
    except OSError as error:
        raise IPAdapterError(f"{path.name} cannot be read: {error.strerror}.") from error
    return path, state.st_mtime_ns, state.st_size


def sha256(path: Path) -> str:
    """Return the file's SHA-256 in hexadecimal, read in pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


@lru_cache(maxsize=64)
def sha256_once(path: Path, identity: tuple[object, ...]) -> str:
    """Return a file's SHA-256, read once for each state that `file_identity` finds; a large one takes seconds."""
    return sha256(path)


def write_whole(path: Path, content: bytes) -> None:
    """Write a file completely or leave what was there; raises `OSError`."""
    with written_whole(path) as part:
        part.write_bytes(content)


@contextmanager
def written_whole(path: Path) -> Generator[Path, None, None]:
    """Yield a path to write to, which replaces `path` when the block ends without an error and is gone otherwise.

    Missing folders are made. A link stays a link: the file that it points to is replaced. Raises `OSError`.
    """
    target = path.resolve()
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{secrets.token_hex(8)}.part")
    try:
        yield part
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)

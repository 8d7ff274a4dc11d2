"""Files on the disk, whatever is in them: their state and their digest."""

import hashlib
from pathlib import Path

from .errors import IPAdapterError


def file_identity(path: Path) -> tuple[object, ...]:
    """Return what tells this state of a file from any other: path, time of change and size."""
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

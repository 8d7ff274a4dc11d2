"""Stores the references of earlier generations by hash, so that infotext can restore them."""

import hashlib
import logging
import os
import re
from collections.abc import Callable
from pathlib import Path

from ..base.files import write_whole
from ..pictures.image_file import ImageFile, data_url, file_format
from ..port import ReferenceStoreConfig

log = logging.getLogger(__name__)

NAME = re.compile(r"[0-9a-f]{64}\.[a-z]+")
"""Names of the store's files: SHA-256 and extension. Other files in the folder are never opened or deleted."""


class ReferenceStore:
    """Picture files in one folder with a size limit; the least recently used are deleted first."""

    def __init__(self, config: Callable[[], ReferenceStoreConfig | None]) -> None:
        self._config = config

    def keep(self, reference: ImageFile) -> None:
        """Store a reference, or mark it as just used; with a limit of 0, store nothing and delete all stored ones.

        If the folder cannot be written to, this is only logged, because the generation does not need it.
        """
        config = self._config()
        if config is None:
            return
        path = config.folder / f"{reference.digest}.{file_format(reference.content)[0]}"
        try:
            if len(reference.content) <= config.limit:
                _write(path, reference.content)
            _trim(config)
        except OSError as error:
            log.warning("IP-Adapter could not store a reference in %s: %s", config.folder, error)

    def find(self, digits: str) -> str | None:
        """Return the picture whose SHA-256 begins with these 12 or more hexadecimal digits, as a data URL, or None."""
        config = self._config()
        if config is None or not re.fullmatch(r"[0-9a-f]{12,64}", digits):
            return None
        for path in _files(config.folder):
            if path.name.startswith(digits):
                try:
                    content = path.read_bytes()
                except OSError:  # it is deleted at this moment, or open in another program
                    return None
                if hashlib.sha256(content).hexdigest() == path.stem:  # otherwise the file is damaged
                    return data_url(content)
        return None


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if NAME.fullmatch(path.name)] if folder.is_dir() else []


def _write(path: Path, content: bytes) -> None:
    """Write a file, or mark an existing one as just used."""
    if path.exists():
        os.utime(path)
        return
    write_whole(path, content)


def _trim(config: ReferenceStoreConfig) -> None:
    """Delete the least recently used files until the total is within the limit."""
    facts = sorted(((path.stat().st_mtime_ns, path) for path in _files(config.folder)), reverse=True)
    total = 0
    for _, path in facts:
        total += path.stat().st_size
        if total > config.limit:
            path.unlink(missing_ok=True)

"""The command line's `get`: lists the catalogue, or downloads files in it to one folder."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TextIO

from ..base.errors import IPAdapterError, readable_size
from .catalogue import Catalogue, PublishedFile
from .downloads import CHECKING, download

Say = Callable[[str], None]
"""Prints a line."""

INTERVAL = 0.5
"""Seconds between two updates of the progress line."""


def list_files(catalogue: Catalogue, say: Say) -> None:
    """Print a line for each published file."""
    for file in catalogue.files:
        say(f"{file.name:50} {readable_size(file.bytes):>8}  {file.title} ({_licence(file)})")


def get(files: Sequence[PublishedFile], folder: Path, say: Say, terminal: TextIO) -> bool:
    """Download files to a folder, and packs to subfolders of it; return whether all of them are there at the end."""
    failed = 0
    for file in files:
        say(f"{file.name}, {readable_size(file.bytes)}, {_licence(file)}: {file.page}")
        try:
            download(file, folder, ProgressLine(terminal))
            say(f"Saved in {folder / file.subfolder}.")
        except IPAdapterError as error:
            failed += 1
            say(error.sentence)
    missing = {need for file in files for need in file.needs} - {file.name for file in files}
    if missing:
        say(f"Also needed: {', '.join(sorted(missing))}. With --needs, this is downloaded too.")
    return not failed


class ProgressLine:
    """Shows the progress of a download in a terminal's last line; writes nothing elsewhere. A `downloads.Watcher`."""

    def __init__(self, terminal: TextIO) -> None:
        self._terminal = terminal
        self._next = 0.0

    def report(self, state: str, done: int, total: int) -> None:
        now = time.monotonic()
        if self._terminal.isatty() and (now >= self._next or done == total):
            self._next = now + INTERVAL
            what = "checked" if state == CHECKING else "downloaded"
            line = f"{done / total:4.0%}, {readable_size(done)} of {readable_size(total)} {what}"
            self._terminal.write(f"\r{line:60}\r")
            self._terminal.flush()

    def wait(self, seconds: float) -> None:
        time.sleep(seconds)


def _licence(file: PublishedFile) -> str:
    clear = file.commercial or "non-commercial" in file.licence
    return file.licence if clear else f"{file.licence}, commercial use not clearly allowed"

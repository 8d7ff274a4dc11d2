"""What is new after an update: the entries of CHANGELOG.md since the version that was last noted in this web UI."""

import json
import logging
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from ..base.files import write_whole
from ..base.version import VERSION

log = logging.getLogger(__name__)

CHANGELOG = Path(__file__).resolve().parents[2] / "CHANGELOG.md"

FIRST = "0.1.0"
"""The version that did not note itself."""

RELEASE = re.compile(r"## \[(\d+(?:\.\d+)*)\]")
LINK = re.compile(r"\[([^]]+)\]\([^)]*\)")


class Changes(NamedTuple):
    """One kind of changes in a version, such as what was added."""

    title: str
    items: tuple[str, ...]


class News:
    """Whether the web UI's users have seen what this version changed.

    `noted` returns the file with the last version whose changes they have seen, or None if nothing can be noted.
    `traces` are files and folders that only earlier use leaves behind: without them and the file, this is the first
    start of a new installation, which has no news.
    """

    def __init__(self, noted: Callable[[], Path | None], traces: Iterable[Path]) -> None:
        self._noted = noted
        file = noted()
        self.since = VERSION if file is None else _version_in(file) or (FIRST if any(map(_has, traces)) else "")
        """The version whose changes were seen last."""
        if not self.since:
            self._note()

    @property
    def unread(self) -> bool:
        """Whether this version is newer than the one whose changes were seen last."""
        return _numbers(self.since) < _numbers(VERSION)

    def read(self) -> list[Changes]:
        """Return the changes since the version that was seen last, or this version's, and note that they were seen."""
        changes = changes_since(self.since)
        if self.unread:
            self._note()
        return changes

    def _note(self) -> None:
        """Note this version; if it cannot be written, that is only logged, and its news are shown after a restart."""
        self.since, file = VERSION, self._noted()
        if file is not None:
            try:
                write_whole(file, (json.dumps({"seen": VERSION}) + "\n").encode())
            except OSError as error:
                log.warning("IP-Adapter cannot write %s: %s.", file, error.strerror or error)


def changes_since(version: str) -> list[Changes]:
    """Return the changes of all versions after this one; at least those of the newest version."""
    try:
        releases = list(releases_in(CHANGELOG.read_text(encoding="utf-8")))
    except OSError as error:
        log.warning("%s cannot be read: %s.", CHANGELOG, error.strerror or error)
        return []
    newer = [changes for number, changes in releases if _numbers(number) > _numbers(version)]
    return [each for changes in newer or [changes for _, changes in releases[:1]] for each in changes]


def releases_in(changelog: str) -> Iterator[tuple[str, list[Changes]]]:
    """Yield each version of a changelog with its changes, as plain texts."""
    for part in re.split(r"^(?=## )", changelog, flags=re.MULTILINE):
        if found := RELEASE.match(part):
            kinds = re.split(r"^### ", part, flags=re.MULTILINE)[1:]
            yield found[1], [_changes_of(kind) for kind in kinds]


def _changes_of(text: str) -> Changes:
    title, *items = re.split(r"\n+- ", LINK.sub(r"\1", text).strip())
    return Changes(title.strip(), tuple(re.sub(r"[*`]|\s+", _plain, item) for item in items))


def _plain(found: re.Match[str]) -> str:
    return " " if found[0].isspace() else ""


def _version_in(file: Path) -> str:
    """Return the version that a file notes, or "" for none; a file that cannot be read notes this one."""
    try:
        seen = json.loads(file.read_text(encoding="utf-8"))["seen"]
    except FileNotFoundError:
        return ""
    except (OSError, ValueError, LookupError, TypeError):
        return VERSION
    return seen if isinstance(seen, str) and re.fullmatch(r"\d+(\.\d+)*", seen) else VERSION


def _has(path: Path) -> bool:
    """Return whether a file exists, or a folder with something in it."""
    try:
        return any(path.iterdir()) if path.is_dir() else path.is_file()
    except OSError:
        return False


def _numbers(version: str) -> list[int]:
    return [int(each) for each in version.split(".") if each]

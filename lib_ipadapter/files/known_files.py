"""What a model file is: a published file under any name, a different file under a published name, or unknown."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from .catalogue import Catalogue, Lookalike, Member, PublishedFile
from .digests import Digests

PUBLISHED, DIFFERENT, UNKNOWN, UNCHECKED = "published", "different", "unknown", "unchecked"
"""States of a file: a published one, a different one with a published name, neither, and not hashed yet."""

ROUNDING = 0.001
"""Largest relative error of an inexact size in the catalogue."""


class _Size(NamedTuple):
    bytes: int
    exact: bool = True


@dataclass(frozen=True)
class FileCheck:
    """What is known about a file."""

    state: str
    sha256: str = ""
    """Empty while unknown."""
    published: PublishedFile | None = None
    """The published file that it is; for a member of an archive, the archive."""
    sentence: str = ""
    """How it differs from the published file; empty if it does not."""
    lookalike: Lookalike | None = None
    """The other model that it is, if that model is published under the same name."""


class KnownFiles:
    """Compares files with the catalogue; only the methods that say so hash files."""

    def __init__(self, catalogue: Callable[[], Catalogue], digests: Digests) -> None:
        self._read = catalogue
        self.digests = digests

    @cached_property
    def catalogue(self) -> Catalogue:
        return self._read()

    def check(self, path: Path) -> FileCheck:
        """Return what a file is, as far as is known now."""
        return self._check(path, self.digests.known(path))

    def checked(self, path: Path) -> FileCheck:
        """Return what a file is, hashing it if necessary; raises `IPAdapterError` if it cannot be read."""
        found = self.check(path)
        return self._check(path, self.digests.of(path)) if found.state == UNCHECKED else found

    def _check(self, path: Path, digest: str) -> FileCheck:
        if published := self.catalogue.by_sha256.get(digest):
            return FileCheck(PUBLISHED, digest, published)
        if not digest and _fits(path, self._sizes):
            return FileCheck(UNCHECKED)
        return self._unpublished(path, digest)

    def check_member(self, path: Path, member: Member) -> FileCheck:
        """Return whether a file is this member of a published archive, as far as is known now."""
        digest = self.digests.known(path)
        if digest == member.sha256:
            return FileCheck(PUBLISHED, digest, self.catalogue.by_sha256[digest])
        if not digest and _fits(path, [_Size(member.bytes)]):
            return FileCheck(UNCHECKED)
        found = self._unpublished(path, digest)
        return found if found.sentence else FileCheck(DIFFERENT, digest, sentence=other_content(path))

    def may_be(self, path: Path, file: PublishedFile) -> bool:
        """Return whether a file has the size of a published file, or of a member of a published archive."""
        return _fits(path, _sizes_of(file))

    def want(self, paths: Iterable[Path]) -> None:
        """Hash files in the background if only their hash can show whether they are published."""
        self.digests.want([path for path in paths if self.check(path).state == UNCHECKED])

    @cached_property
    def _sizes(self) -> frozenset[_Size]:
        """The sizes of everything in the catalogue that has a hash."""
        published = (_sizes_of(file) for file in self.catalogue.files)
        return frozenset(chain(*published, (_Size(each.bytes) for each in self.catalogue.lookalikes)))

    @cached_property
    def _names(self) -> frozenset[str]:
        return frozenset(part.name.lower() for file in self.catalogue.files for part in file.installed)

    def _unpublished(self, path: Path, digest: str) -> FileCheck:
        """Return what a file is, given that it is not a published one."""
        same = (each for each in self.catalogue.lookalikes if each.sha256 == digest)
        if lookalike := next(same, None):
            sentence = f"{path.name} is not the file that is needed here, but {lookalike.what}."
            return FileCheck(DIFFERENT, digest, sentence=sentence, lookalike=lookalike)
        if path.name.lower() in self._names:
            return FileCheck(DIFFERENT, digest, sentence=other_content(path))
        return FileCheck(UNKNOWN, digest)


def _sizes_of(file: PublishedFile) -> list[_Size]:
    """Return the sizes of the files on disk once a published file is installed; those of archive members are exact."""
    return [_Size(part.bytes, file.exact or bool(file.extract)) for part in file.installed]


def other_content(path: Path) -> str:
    """Return a sentence about a file that has a published name but other content."""
    return f"{path.name} is not the published file of this name: its content is different."


def _fits(path: Path, sizes: Iterable[_Size]) -> bool:
    """Return whether a file has one of these sizes."""
    try:
        own = path.stat().st_size
    except OSError:
        return False
    return any(own == each.bytes or (not each.exact and abs(own - each.bytes) <= ROUNDING * own) for each in sizes)

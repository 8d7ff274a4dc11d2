"""The published files that this extension can run: where they are, their hashes and licences, and what they need.

All facts are in catalogue.json, whose keys are the fields below; facts that all files of a repository share are under
`sources`. Hashes and sizes come from public lists of these files.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from ..base.errors import IPAdapterError, brief
from ..base.file_names import close_names

CATALOGUE = Path(__file__).with_name("catalogue.json")


class Member(NamedTuple):
    """A file in an archive, or a whole file."""

    path: str
    """Path in the archive, with forward slashes."""
    bytes: int
    sha256: str

    @property
    def name(self) -> str:
        return PurePosixPath(self.path).name


@dataclass(frozen=True)
class PublishedFile:
    """A file as its authors publish it."""

    name: str
    """Its file name here, which is unique; a descriptive one if the authors' name says little."""
    title: str
    """Its display name."""
    help: str
    """One sentence: what it is for."""
    repository: str
    """Repository on the Hugging Face hub; empty if `url` is set."""
    revision: str
    """Commit of the repository, or name of the release."""
    path: str
    """Path in the repository or release."""
    url: str
    """Direct address of a file that is not on the hub; otherwise empty."""
    page: str
    """Address of the page where its authors describe it."""
    bytes: int
    exact: bool
    """Whether `bytes` is exact; otherwise it is rounded."""
    sha256: str
    """In lower-case hexadecimal."""
    sources: int
    """Number of independent lists that contain this hash."""
    licence: str
    commercial: bool
    """Whether the licence clearly allows commercial use of the results."""
    family: str
    """Name of the adapter's family; empty for other files."""
    variant: str
    """Name of the family's variant; empty if the family has none."""
    base: str
    """Base model, as in `weights/bases.py`; empty for any."""
    use: str
    """What an adapter was trained for: general, face, composition, style or likeness; empty for other files."""
    encoder: str
    """Architecture of an image encoder, as in `weights/bases.py`; empty for other files."""
    needs: tuple[str, ...]
    """Names of the other files that it needs."""
    instead_of: str
    """Name of a file that it can replace, or empty."""
    folder: str
    """Kind of folder that it belongs in: a field of `port.Folders`."""
    subfolder: str
    """Subfolder of that folder, or empty."""
    extract: tuple[Member, ...]
    """The members of an archive that are needed; empty for other files."""

    @property
    def installed(self) -> tuple[Member, ...]:
        """The files on disk once it is installed, each by its `name` in `subfolder` of `folder`."""
        return self.extract or (Member(self.name, self.bytes, self.sha256),)


@dataclass(frozen=True)
class Bundle:
    """Files for one purpose on one base model: adapters, and everything that they need."""

    name: str
    base: str
    help: str
    files: tuple[str, ...]


@dataclass(frozen=True)
class Lookalike:
    """A different model that is published under the name of a file in the catalogue."""

    name: str
    bytes: int
    sha256: str
    what: str
    """What it is, as a noun phrase that can follow "this is"."""


@dataclass(frozen=True)
class NotOffered:
    """A file that this extension runs, but does not download."""

    name: str
    title: str
    family: str
    page: str
    """Address of the page from which users can get it themselves."""
    why: str
    """Why it is not downloaded, as a clause."""

    @property
    def sentence(self) -> str:
        return (
            f"{self.name} ({self.title}) is not offered: {self.why}. Get it from {self.page} and put it into "
            "models/ipadapter."
        )


@dataclass(frozen=True)
class Catalogue:
    """All published files. Among those with the same use and base, better choices come first."""

    files: tuple[PublishedFile, ...]
    bundles: tuple[Bundle, ...]
    """For each base, in the recommended order."""
    lookalikes: tuple[Lookalike, ...]
    not_offered: tuple[NotOffered, ...] = ()

    @cached_property
    def by_name(self) -> Mapping[str, PublishedFile]:
        return {file.name: file for file in self.files}

    @cached_property
    def by_sha256(self) -> Mapping[str, PublishedFile]:
        """Files by hash. A member's hash gives its archive; if several archives contain the member, the first one."""
        hashes = [(each.sha256, file) for file in reversed(self.files) for each in file.installed]
        return dict([*hashes, *((file.sha256, file) for file in self.files)])

    def named(self, names: Iterable[object], needs: bool = False) -> list[PublishedFile]:
        """Return the files with these names, each once, and if `needs`, each followed by those that it needs.

        Raises `IPAdapterError` for anything that is not the name of a published file.
        """
        asked = [self._named(name) for name in names]
        wanted = (name for file in asked for name in (file.name, *(file.needs if needs else ())))
        return [self.by_name[name] for name in dict.fromkeys(wanted)]

    def _named(self, name: object) -> PublishedFile:
        if isinstance(name, str) and name in self.by_name:
            return self.by_name[name]
        if other := next((each for each in self.not_offered if each.name == name), None):
            raise IPAdapterError(other.sentence)
        close = close_names(name, self.by_name) if isinstance(name, str) else ""
        raise IPAdapterError(f"{brief(name)} is not a published file.{close}")


@lru_cache(maxsize=4)
def read_catalogue(path: Path = CATALOGUE) -> Catalogue:
    """Return the catalogue in a file; raises `TypeError` or `KeyError` if a field is missing or unknown."""
    raw: Any = json.loads(path.read_text(encoding="utf-8"))
    return Catalogue(
        tuple(_file(entry, raw["sources"][entry["source"]]) for entry in raw["files"]),
        tuple(_bundle(**entry) for entry in raw["bundles"]),
        tuple(Lookalike(**entry) for entry in raw["lookalikes"]),
        tuple(NotOffered(**entry) for entry in raw["not_offered"]),
    )


def _file(entry: Mapping[str, Any], source: Mapping[str, Any]) -> PublishedFile:
    whole: dict[str, Any] = {**entry, **source}
    del whole["source"]
    downloads = whole.pop("downloads")
    whole["url"] = downloads + whole["path"] if downloads else ""
    whole["needs"] = tuple(whole["needs"])
    whole["extract"] = tuple(Member(**member) for member in whole["extract"])
    return PublishedFile(**whole)


def _bundle(name: str, base: str, help: str, files: Iterable[str]) -> Bundle:  # noqa: A002  # as in the file
    return Bundle(name, base, help, tuple(files))

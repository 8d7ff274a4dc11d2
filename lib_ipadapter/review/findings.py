"""What is wrong with a unit before it runs, and the repairs that mend it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from ..base.errors import IPAdapterError, UnitError
from ..files.catalogue import PublishedFile
from ..files.model_files import ModelFiles
from ..unit.unit import FIELDS

Repair = Mapping[str, Any]
"""What mends a finding: `do`, and what that needs."""

CHOOSE_ADAPTER: Repair = {"do": "choose adapter"}
INSTALL_FACES: Repair = {"do": "install faces"}
JOIN_INNER: Repair = {"do": "join inner"}


class Finding(NamedTuple):
    """One thing that is wrong with a unit."""

    sentence: str
    """What is wrong and what to do, as the refusal of a generation says it."""
    stops: bool = True
    """Whether the unit cannot run; otherwise only its result will be poor."""
    field: str = ""
    """The unit's field that it is about, if any."""
    repair: Repair | None = None
    """What mends it; None if only the user can."""

    def as_json(self) -> dict[str, Any]:
        """Return it without what is not known of it."""
        return {name: value for name, value in self._asdict().items() if value is not None}


def of_error(error: IPAdapterError, repair: Repair | None = None) -> Finding:
    return Finding(error.sentence, True, error.field if isinstance(error, UnitError) else "", repair)


def refused(
    look: Callable[[], object], repair: Callable[[IPAdapterError], Repair | None] = lambda _: None
) -> Finding | None:
    """Return what a check refuses as a finding, or None."""
    try:
        look()
    except IPAdapterError as error:
        return of_error(error, repair(error))
    return None


def to_default(error: IPAdapterError) -> Repair | None:
    """Return the repair that sets an error's field to its default."""
    field = error.field if isinstance(error, UnitError) else ""
    return {"do": "set", "field": field, "value": FIELDS[field].json_default} if field in FIELDS else None


def to_get(files: ModelFiles, encoder: str = "", pack: str = "", lora: str = "") -> Repair:
    """Return the repair that gets one of these, with the published `files` to get, if they are known."""
    asked = {"encoder": encoder, "pack": pack, "lora": lora}
    found = next(
        (
            file
            for file in files.known.catalogue.files
            if not file.instead_of
            and ((encoder and file.encoder == encoder) or (pack and file.subfolder == pack) or file.name == lora)
        ),
        None,
    )
    return {"do": "get", **{kind: name for kind, name in asked.items() if name}, **(_published(found) if found else {})}


def to_get_files(files: ModelFiles, names: Sequence[str]) -> Repair:
    """Return the repair that gets published files, of which only those in the catalogue are named."""
    known = [found for name in names if (found := files.known.catalogue.by_name.get(name))]
    if len(known) == 1:
        return {"do": "get", **_published(known[0])}
    return {"do": "get", "files": [file.name for file in known]}


def to_use(files: ModelFiles, name: str) -> Repair:
    """Return the repair that chooses a published adapter, or gets it if it is not installed."""
    for path, installed in files.adapters.paths().items():
        published = files.known.check(path).published
        if published and published.name == name:
            return {**CHOOSE_ADAPTER, "name": installed}
    return {"do": "get", **_published(files.known.catalogue.by_name[name])}


def _published(file: PublishedFile) -> dict[str, Any]:
    return {"files": [file.name], "title": file.title, "bytes": file.bytes}

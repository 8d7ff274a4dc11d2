"""Readiness: whether each unit would run on the loaded checkpoint, and if not, why and what repairs it.

Nothing is encoded and no face is looked for, so the answer costs no more than a look at the files' headers.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from ..base.errors import IPAdapterError, UnitError
from ..base.json_objects import read_object
from ..engine.compatibility import (
    mismatch,
    refuse_other_features,
    refuse_unseen_compositions,
    refuse_unused_fields,
)
from ..engine.expected_network import expected_network
from ..engine.prepare import Preparation
from ..engine.session import Session
from ..faces.insightface_models import PACKS, model_paths, refuse_missing_packages
from ..unit.field_kinds import OptionalNumber
from ..unit.read_args import given_units, read_unit
from ..unit.unit import FIELDS, PICTURE_FIELDS, Unit
from ..weights.adapter_file import AdapterFile
from ..weights.loras import partner
from .poor_results import Generation, weaknesses

READY, POOR, STOPS, OFF = "ready", "poor", "stops", "off"
"""States of a unit: runs; runs, but its result will be worse than it could be; stops the generation; is not used."""

CHOOSE_ADAPTER: Mapping[str, Any] = {"do": "choose adapter"}
CHOOSE_ENCODER: Mapping[str, Any] = {"do": "set", "field": "encoder", "value": "auto"}
INSTALL_FACES: Mapping[str, Any] = {"do": "install faces"}


CFG_SCALE = OptionalNumber(0, 100)


class Finding(NamedTuple):
    """One thing that is wrong with a unit."""

    sentence: str
    """What is wrong and what to do, as the refusal of a generation says it."""
    stops: bool = True
    """Whether the unit cannot run; otherwise only its result will be poor."""
    field: str = ""
    """The unit's field that it is about, where it is about one."""
    repair: Mapping[str, Any] | None = None
    """What mends it: `do`, and what that needs; None where only the person can."""


@dataclass(frozen=True)
class Looked:
    """A unit, and what its files are looked for with."""

    unit: Unit
    adapter: AdapterFile
    preparation: Preparation
    generation: Generation


def ready(session: Session, asked: Any) -> dict[str, Any]:
    """Return for each of `units`, given as in a script's args, its state and what is wrong with it.

    Pictures are not decoded, so any text can stand in for one. `cfg_scale` is the generation's, or null. Raises
    `IPAdapterError` for anything but a list of units.
    """
    request = read_object("The request", asked, ("units", "cfg_scale"))
    cfg_scale = CFG_SCALE.read("cfg_scale", request.get("cfg_scale"))
    generation = Generation(session.host.checkpoint_name(), cfg_scale)
    given = given_units([request.get("units")])
    return {"units": [_entry(session, generation, number, each) for number, each in given.items()]}


def _entry(session: Session, generation: Generation, number: int, given: dict[str, Any]) -> dict[str, Any]:
    try:
        unit = read_unit(given)
    except UnitError as error:
        state = OFF if given.get("enabled") is False else STOPS
        return {"unit": number, "state": state, "findings": [_as_json(_of_error(error))], "pictures": 0}
    findings = list(findings_of(session, unit, generation)) if unit.enabled else []
    return {
        "unit": number,
        "state": state_of(unit, findings),
        "findings": [_as_json(each) for each in findings],
        "pictures": sum(len(getattr(unit, name)) for name in PICTURE_FIELDS),
    }


def state_of(unit: Unit, findings: list[Finding]) -> str:
    """Return the state of a unit with these findings."""
    if not unit.enabled:
        return OFF
    if any(each.stops for each in findings):
        return STOPS
    return POOR if findings else READY


def findings_of(session: Session, unit: Unit, generation: Generation) -> Iterator[Finding]:
    """Yield all that is wrong with an enabled unit; where its adapter cannot be read, nothing else is known."""
    try:
        adapter = session.preparation.adapter_as_known(unit)
    except IPAdapterError as error:
        yield _of_error(error, CHOOSE_ADAPTER)
        return
    network = expected_network(session.host)
    if network is not None and (reason := mismatch(adapter, network)):
        yield Finding(reason, field="model", repair=CHOOSE_ADAPTER)
        return
    looked = Looked(unit, adapter, session.preparation, generation)
    for check in CHECKS:
        if finding := check(looked):
            yield finding
    for weakness in weaknesses(unit, adapter, session.preparation.files.known, generation):
        repair = _better(looked, weakness.adapter) if weakness.adapter else None
        yield Finding(weakness.sentence, stops=False, field=weakness.field, repair=repair)


def _unused_fields(looked: Looked) -> Finding | None:
    return _refused(lambda: refuse_unused_fields(looked.unit, looked.adapter), _default)


def _unseen_compositions(looked: Looked) -> Finding | None:
    return _refused(lambda: refuse_unseen_compositions(looked.unit, looked.adapter.layout))


def _encoder(looked: Looked) -> Finding | None:
    def repair(error: IPAdapterError) -> Mapping[str, Any]:
        named = isinstance(error, UnitError)  # otherwise none that fits was found
        return CHOOSE_ENCODER if named else _get(looked, encoder=looked.adapter.recognised.image_encoder)

    return _refused(lambda: looked.preparation.files.encoder_for(looked.adapter, looked.unit.encoder), repair)


def _saved_reference(looked: Looked) -> Finding | None:
    unit, files = looked.unit, looked.preparation.files

    def look() -> None:
        saved, encoder = files.saved_reference(unit.embeds), files.encoder_for(looked.adapter, unit.encoder)
        refuse_other_features(unit, saved, looked.adapter, encoder)

    return _refused(look) if unit.embeds and not _encoder(looked) else None


def _subject(looked: Looked) -> Finding | None:
    unit = looked.unit
    return _refused(lambda: looked.preparation.pictures_of_subject(unit)) if unit.subject else None


def _face_packages(looked: Looked) -> Finding | None:
    return _refused(refuse_missing_packages, lambda _: INSTALL_FACES) if _sees_faces(looked) else None


def _face_models(looked: Looked) -> Finding | None:
    if not _sees_faces(looked):
        return None
    pack, known = looked.adapter.recognised.pack, looked.preparation.files.known
    get = _get(looked, pack=pack)
    try:
        paths = model_paths(PACKS[pack], looked.preparation.host.folders().faces)
    except IPAdapterError as error:
        return _of_error(error, get)
    other = next((check for path in paths if (check := known.check(path)).lookalike), None)
    return Finding(f"{other.sentence} The likeness will be wrong.", stops=False, repair=get) if other else None


def _lora(looked: Looked) -> Finding | None:
    get = _get(looked, lora=f"{partner(looked.adapter.path)}.safetensors")
    try:
        missing = looked.preparation.missing_lora(looked.unit, looked.adapter)
    except UnitError as error:
        return _of_error(error, get)
    return Finding(missing, stops=False, field="lora_weight", repair=get) if missing else None


CHECKS: tuple[Callable[[Looked], Finding | None], ...] = (
    _unused_fields,
    _unseen_compositions,
    _encoder,
    _saved_reference,
    _subject,
    _face_packages,
    _face_models,
    _lora,
)
"""What a unit whose adapter fits the checkpoint is checked for, in the order in which it is reported."""


def _get(looked: Looked, encoder: str = "", pack: str = "", lora: str = "") -> Mapping[str, Any]:
    """Return the repair that gets one of these, with the published `files` to get, if they are known."""
    asked = {"encoder": encoder, "pack": pack, "lora": lora}
    found = next(
        (
            file
            for file in looked.preparation.files.known.catalogue.files
            if not file.instead_of
            and ((encoder and file.encoder == encoder) or (pack and file.subfolder == pack) or file.name == lora)
        ),
        None,
    )
    published = {"files": [found.name], "title": found.title, "bytes": found.bytes} if found else {}
    return {"do": "get", **{kind: name for kind, name in asked.items() if name}, **published}


def _better(looked: Looked, name: str) -> Mapping[str, Any]:
    """Return the repair that chooses a published adapter, or gets it if it is not installed."""
    files = looked.preparation.files
    for path, installed in files.adapters.paths().items():
        published = files.known.check(path).published
        if published and published.name == name:
            return {**CHOOSE_ADAPTER, "name": installed}
    file = files.known.catalogue.by_name[name]
    return {"do": "get", "files": [name], "title": file.title, "bytes": file.bytes}


def _sees_faces(looked: Looked) -> bool:
    return bool(looked.adapter.recognised.family.face_embedding)


def _default(error: IPAdapterError) -> Mapping[str, Any] | None:
    """Return the repair that sets an error's field to its default."""
    field = error.field if isinstance(error, UnitError) else ""
    return {"do": "set", "field": field, "value": FIELDS[field].json_default} if field in FIELDS else None


def _refused(
    look: Callable[[], object], repair: Callable[[IPAdapterError], Mapping[str, Any] | None] = lambda _: None
) -> Finding | None:
    """Return what a check refuses as a finding, or None."""
    try:
        look()
    except IPAdapterError as error:
        return _of_error(error, repair(error))
    return None


def _of_error(error: IPAdapterError, repair: Mapping[str, Any] | None = None) -> Finding:
    return Finding(error.sentence, True, error.field if isinstance(error, UnitError) else "", repair)


def _as_json(finding: Finding) -> dict[str, Any]:
    """Return a finding without what is not known of it."""
    return {name: value for name, value in finding._asdict().items() if value is not None}

"""Readiness: whether each unit would run on the loaded checkpoint, and if not, why and what repairs it.

Nothing is encoded and no face is looked for, so the answer costs little more than a look at the files' headers.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..base.errors import IPAdapterError, UnitError, brief
from ..base.json_objects import read_object
from ..engine.compatibility import (
    mismatch,
    refuse_other_features,
    refuse_unseen_compositions,
    refuse_unused_fields,
)
from ..engine.encoding_cost import pictures_to_encode, read_pictures, slowness
from ..engine.expected_network import expected_network
from ..engine.prepare import Preparation
from ..engine.session import Session
from ..faces.insightface_models import PACKS, model_paths, refuse_missing_packages
from ..faces.portraits import missing_models, portrait_paths, refuse_missing_package
from ..unit.field_kinds import Flag, OptionalNumber, Whole
from ..unit.picture_fields import Mask
from ..unit.read_args import given_units, read_unit
from ..unit.unit import PICTURE_FIELDS, Unit
from ..weights.adapter_file import AdapterFile
from ..weights.loras import partner
from .checkpoint_kinds import Checkpoint
from .findings import (
    CHOOSE_ADAPTER,
    INSTALL_FACES,
    Finding,
    Repair,
    of_error,
    refused,
    to_default,
    to_get,
    to_get_files,
)
from .poor_results import Generation, expects_photos, weaknesses

READY, POOR, STOPS, OFF = "ready", "poor", "stops", "off"
"""States of a unit: runs; runs, but its result will be worse than it could be; stops the generation; is not used."""

NO_COST: Mapping[str, Any] = {"encodes": 0, "slow": "", "unseen": []}
"""The cost of a unit that does not run."""

CFG_SCALE = OptionalNumber(0, 100)
STEPS = Whole(1, 10_000)


@dataclass(frozen=True)
class Looked:
    """A unit, and what its files are looked for with."""

    unit: Unit
    adapter: AdapterFile
    preparation: Preparation
    generation: Generation


def ready(session: Session, asked: Any) -> dict[str, Any]:
    """Return for each of `units`, given as in a script's args, its state, what is wrong with it, and what it costs.

    Any text can stand in for a picture. Those that the server has read before are recognised by their stand-in (see
    `image_cache.stand_in`); the others count as not encoded, and are `unseen` if there is something to say about them.
    `cfg_scale` is the generation's, or null; `steps` are those of each pass, each or all null; `inner` is whether
    ADetailer is switched on. Raises `IPAdapterError` for anything but a list of units.
    """
    request = read_object("The request", asked, ("units", "cfg_scale", "steps", "inner"))
    cfg_scale = CFG_SCALE.read("cfg_scale", request.get("cfg_scale"))
    inner = Flag().read("inner", request.get("inner", False))
    checkpoint = Checkpoint(session.host.checkpoint_name(), session.host.checkpoint_metadata())
    generation = Generation(checkpoint, cfg_scale, _steps(request.get("steps")), inner)
    given = given_units([request.get("units")])
    return {"units": [_entry(session, generation, number, each) for number, each in given.items()]}


def _steps(given: Any) -> tuple[int | None, ...]:
    """Return the steps of each pass, as far as they are known."""
    if given is not None and not isinstance(given, list):
        raise UnitError("steps", given, f"must be a list with the steps of each pass; not {brief(given)}.")
    return tuple(None if each is None else STEPS.read(f"steps[{i}]", each) for i, each in enumerate(given or []))


def _entry(session: Session, generation: Generation, number: int, given: dict[str, Any]) -> dict[str, Any]:
    try:
        unit = read_unit(given)
    except UnitError as error:
        state = OFF if given.get("enabled") is False else STOPS
        return {"unit": number, "state": state, "findings": [of_error(error).as_json()], "pictures": 0, **NO_COST}
    findings = list(findings_of(session, unit, generation)) if unit.enabled else []
    state = state_of(unit, findings)
    return {
        "unit": number,
        "state": state,
        "findings": [each.as_json() for each in findings],
        "pictures": sum(len(unit.pictures_on(name)) for name in PICTURE_FIELDS),
        **(cost_of(session.preparation, unit) if state in (READY, POOR) else NO_COST),
    }


def cost_of(preparation: Preparation, unit: Unit) -> dict[str, Any]:
    """Return what a unit that runs has to encode, why that is slow, and which of its images should be looked at."""
    adapter = preparation.adapter_as_known(unit)
    encoder = preparation.files.encoder_for(adapter, unit.encoder, unit.encoder_size)
    encodes = pictures_to_encode(preparation, unit, adapter, encoder)
    images = unit.images if expects_photos(adapter) else ()
    unseen = [i for i, each in enumerate(images) if each.enabled and not preparation.pictures.seen(each.image)]
    return {"encodes": encodes, "slow": slowness(preparation, adapter, encoder) if encodes else "", "unseen": unseen}


def see(session: Session, asked: Any) -> dict[str, Any]:
    """Read `image`, so that it is known by its stand-in from now on; raises `UnitError` for what cannot be read."""
    text = Mask().read("image", read_object("The request", asked, ("image",)).get("image"))
    if text is None:
        raise UnitError("image", None, "is required: a picture as base64 text.")
    session.preparation.pictures.reference("image", text)
    return {}


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
        yield of_error(error, CHOOSE_ADAPTER)
        return
    network = expected_network(session.host)
    if network is not None and (reason := mismatch(adapter, network)):
        yield Finding(reason, field="model", repair=CHOOSE_ADAPTER)
        return
    looked = Looked(unit, adapter, session.preparation, generation)
    for check in CHECKS:
        if finding := check(looked):
            yield finding
    yield from weaknesses(unit, adapter, session.preparation, generation)


def _unused_fields(looked: Looked) -> Finding | None:
    return refused(lambda: refuse_unused_fields(looked.unit, looked.adapter), to_default)


def _unseen_compositions(looked: Looked) -> Finding | None:
    return refused(lambda: refuse_unseen_compositions(looked.unit, looked.adapter.layout))


def _encoder(looked: Looked) -> Finding | None:
    def repair(error: IPAdapterError) -> Repair | None:
        if not isinstance(error, UnitError):  # none that fits was found
            return to_get(looked.preparation.files, encoder=looked.adapter.recognised.image_encoder)
        return to_default(error)

    unit, files = looked.unit, looked.preparation.files
    return refused(lambda: files.encoder_for(looked.adapter, unit.encoder, unit.encoder_size), repair)


def _saved_reference(looked: Looked) -> Finding | None:
    unit, files = looked.unit, looked.preparation.files

    def look() -> None:
        saved = files.saved_reference(unit.embeds)
        encoder = files.encoder_for(looked.adapter, unit.encoder, unit.encoder_size)
        refuse_other_features(unit, saved, looked.adapter, encoder)

    return refused(look) if unit.embeds and not _encoder(looked) else None


def _subject(looked: Looked) -> Finding | None:
    unit = looked.unit
    return refused(lambda: looked.preparation.pictures_of_subject(unit)) if unit.subject else None


def _face_packages(looked: Looked) -> Finding | None:
    return refused(refuse_missing_packages, lambda _: INSTALL_FACES) if _sees_faces(looked) else None


def _face_models(looked: Looked) -> Finding | None:
    if not _sees_faces(looked):
        return None
    pack, known = looked.adapter.recognised.pack, looked.preparation.files.known
    get = to_get(looked.preparation.files, pack=pack)
    try:
        paths = model_paths(PACKS[pack], looked.preparation.host.folders().faces)
    except IPAdapterError as error:
        return of_error(error, get)
    other = next((check for path in paths if (check := known.check(path)).lookalike), None)
    return Finding(f"{other.sentence} The likeness will be wrong.", stops=False, repair=get) if other else None


def _portrait_package(looked: Looked) -> Finding | None:
    return (
        refused(refuse_missing_package, lambda _: INSTALL_FACES) if looked.adapter.recognised.family.portrait else None
    )


def _portrait_models(looked: Looked) -> Finding | None:
    if not looked.adapter.recognised.family.portrait:
        return None
    files, folders = looked.preparation.files, looked.preparation.host.folders().facexlib
    return refused(lambda: portrait_paths(folders), lambda _: to_get_files(files, missing_models(folders)))


def _chosen_faces(looked: Looked) -> Finding | None:
    """Return whether a picture in which faces were found before lacks the one that the unit chooses."""
    models = _face_models(looked)
    if not _sees_faces(looked) or _face_packages(looked) or (models and models.stops):
        return None
    pack, preparation = PACKS[looked.adapter.recognised.pack], looked.preparation

    def look() -> None:
        for field, picture, file in read_pictures(preparation, looked.unit, "images"):
            found = preparation.faces.known_faces_of(file, pack)
            if found or (found is not None and not looked.adapter.recognised.family.portrait):
                preparation.chosen_faces(looked.unit, looked.adapter, field, picture, file)

    return None if _subject(looked) else refused(look)


def _lora(looked: Looked) -> Finding | None:
    get = to_get(looked.preparation.files, lora=f"{partner(looked.adapter.path)}.safetensors")
    try:
        missing = looked.preparation.missing_lora(looked.unit, looked.adapter)
    except UnitError as error:
        return of_error(error, get)
    return Finding(missing, stops=False, field="lora_weight", repair=get) if missing else None


CHECKS: tuple[Callable[[Looked], Finding | None], ...] = (
    _unused_fields,
    _unseen_compositions,
    _encoder,
    _saved_reference,
    _subject,
    _face_packages,
    _face_models,
    _portrait_package,
    _portrait_models,
    _chosen_faces,
    _lora,
)
"""What a unit whose adapter fits the checkpoint is checked for, in the order in which it is reported."""


def _sees_faces(looked: Looked) -> bool:
    return bool(looked.adapter.recognised.family.face_embedding)

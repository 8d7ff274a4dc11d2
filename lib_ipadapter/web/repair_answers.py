"""The panel's question what repairs a unit whose picture came out wrong."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np

from ..base.errors import IPAdapterError
from ..base.json_objects import read_object
from ..engine.session import Session
from ..review.checkpoint_kinds import Checkpoint
from ..review.findings import Finding
from ..review.poor_results import Generation
from ..review.readiness import findings_of
from ..review.repairs import ANSWERS, BURNT, FACE, MOST, NOTHING, Case, Repair, repairs_of
from ..unit.field_kinds import Choice, Flag, OptionalNumber
from ..unit.read_args import read_own_unit
from ..unit.unit import Unit
from ..weights.adapter_file import AdapterFile
from .adapter_uses import uses_of

KEYS = ("unit", "answer", "place", "cfg_scale", "denoising", "steps")

BLACK = 1 / 255
"""Brightness up to which a region counts as black."""


def repairs(session: Session, asked: Any) -> dict[str, Any]:
    """Return at most two repairs for `unit`, whose picture is wrong as `answer` says, the best first.

    Any text can stand in for a picture, as in readiness. `place` is that of the strength slider, or null; `steps` are
    those of each pass. Raises `IPAdapterError` for anything else.
    """
    request = read_object("The request", asked, KEYS)
    given = request.get("unit")
    enabled = Flag().read("enabled", given.get("enabled", True) if isinstance(given, dict) else True)
    unit = replace(read_own_unit(given, "", enabled=False), enabled=enabled)
    answer = Choice(ANSWERS).read("answer", request.get("answer"))
    case = _with_adapter(
        session,
        Case(
            unit,
            place=_number(request, "place", 4),
            cfg_scale=_number(request, "cfg_scale", 100),
            denoising=_number(request, "denoising", 1),
            steps=_steps(request.get("steps", [])),
            black_region=_is_black(session, unit),
        ),
    )
    return {"repairs": list(islice(_repairs(session, answer, case), MOST))}


def _number(request: dict[str, Any], name: str, most: float) -> float | None:
    return OptionalNumber(0, most).read(name, request.get(name))


def _steps(given: Any) -> tuple[int, ...]:
    """Return the steps of at most two passes."""
    if not isinstance(given, list) or not all(isinstance(each, int) and 0 < each <= 1000 for each in given):
        raise IPAdapterError("steps must be a list of numbers of steps.")
    return tuple(given[:2])


def _with_adapter(session: Session, case: Case) -> Case:
    """Return the case with what its adapter is, if it can be read."""
    try:
        adapter = session.preparation.adapter_as_known(case.unit)
    except IPAdapterError:
        return case
    family, published = adapter.recognised.family, session.preparation.files.known.check(adapter.path).published
    uses = uses_of(family.name, adapter.path.name, published)
    return replace(case, family=family.name, fields=_fields(adapter), uses=tuple(uses))


def _fields(adapter: AdapterFile) -> tuple[str, ...]:
    """Return the fields that an adapter's family uses, and its variant too."""
    found = adapter.recognised
    unused = {name for variant in found.family.variants for name in variant.settings}
    used = found.variant.settings if found.variant else ()
    return tuple(name for name in found.family.fields if name not in unused or name in used)


def _is_black(session: Session, unit: Unit) -> bool:
    """Return whether a unit's region is black, if it was used before."""
    pictures = session.preparation.pictures
    file = pictures.seen(unit.mask) if unit.mask else None
    try:
        return file is not None and float(np.asarray(pictures.mask("mask", file)).max()) <= BLACK
    except IPAdapterError:  # damaged, which is another reason
        return False


def _repairs(session: Session, answer: str, case: Case) -> Iterator[Repair]:
    """Yield what readiness finds, if it may be the reason, then the repairs of the table."""
    found = list(_findings(session, answer, case))
    stops = [each for each in found if each.stops]
    for each in stops or found:
        yield {"do": "finding", "finding": each.as_json()}
    if not stops:
        yield from repairs_of(answer, case)


def _findings(session: Session, answer: str, case: Case) -> Iterator[Finding]:
    if not case.unit.enabled or not case.unit.has_references or answer not in (NOTHING, FACE, BURNT):
        return
    checkpoint = Checkpoint(session.host.checkpoint_name(), session.host.checkpoint_metadata())
    generation = Generation(checkpoint, case.cfg_scale)
    for finding in findings_of(session, case.unit, generation):
        if finding.stops or finding.repair:
            yield finding

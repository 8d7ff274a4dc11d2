"""The likeness report: how closely the faces in generated pictures match the references of their units.

It goes into the picture's parameters, below the gallery, into the panel's table and, if the settings ask for it, into
one file per run. Only cosines are reported and stored, never a face embedding.
"""

import logging
import time
import weakref
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from PIL import Image

from ..base.errors import IPAdapterError
from ..engine.generation_units import units_of
from ..engine.prepare import Preparation
from ..engine.token_plan import TokenPlan
from ..faces.insightface_models import PACKS, Face
from ..port import GeneratedPicture, Reporter
from ..unit.infotext import likeness_key, unit_key
from ..unit.unit import Unit
from ..weights.adapter_file import AdapterFile
from .likeness import LOW, Likeness, likenesses
from .likeness_log import WRITERS, write_log
from .reference_metrics import measures_of_faces
from .thresholds import advice_on

log = logging.getLogger(__name__)

RUN = "ip_adapter_likeness_run"
"""Attribute of the host's record of a generation that holds the run until the generation has ended."""

TITLE = (
    "Likeness of faces to the references of IP-Adapter units, measured by the face model: 1 is the same picture. "
    "This is not identity verification."
)
FACES, NO_FACE, ELSEWHERE = "faces", "no face", "no face in its region"

FEW_STEPS, LITTLE_WEIGHT = 0.8, 0.6
"""Values of `end` and `weight` below which a low likeness is to be expected: the authors' FaceID examples use all
steps, and a weight of 1 or a little less."""


@dataclass(frozen=True)
class UnitLikeness:
    """How closely the faces in one picture match the references of one unit."""

    picture: int
    """Number in the whole generation, counted from 1."""
    seed: int
    unit: int
    adapter: str
    """Name of the adapter's file."""
    found: str
    """`FACES`, `NO_FACE` or `ELSEWHERE`."""
    faces: tuple[Likeness, ...]
    """The largest first."""
    remedies: tuple[str, ...]
    """What may help where the likeness is low; empty where it is not."""

    @property
    def words(self) -> str:
        """The likeness of each face, for the picture's parameters."""
        return " ".join(f"{each.cosine:.2f}" for each in self.faces) or self.found

    @property
    def line(self) -> str:
        """A line below the gallery."""
        line = f"Picture {self.picture}, unit {self.unit}: {self.words}"
        return f"{line}. Low: {' '.join(self.remedies)}" if self.remedies else line

    def row(self) -> dict[str, Any]:
        """Return the likeness as a JSON object."""
        faces = [
            {"face": each.face, "reference": each.reference, "cosine": round(each.cosine, 4)} for each in self.faces
        ]
        return {
            "picture": self.picture,
            "seed": self.seed,
            "unit": self.unit,
            "adapter": self.adapter,
            "found": self.found,
            "faces": faces,
            "remedies": list(self.remedies),
        }


@dataclass
class Run:
    """The pictures of one generation."""

    p: weakref.ref[Any]
    """The host's processing object that the run belongs to. X/Y/Z plot cells are copies of it, and so are ADetailer's
    inner generations, which end earlier."""
    seed: int
    found: list[UnitLikeness] = field(default_factory=list[UnitLikeness])
    parameters: dict[str, list[str | None]] = field(default_factory=dict[str, list[str | None]])
    """Texts for the pictures of the current batch, by the key of a unit."""


def report_as_json(found: Sequence[UnitLikeness]) -> dict[str, Any]:
    """Return a report for the panel: its title, the lines below the gallery, and the same as rows."""
    return {
        "title": TITLE,
        "lines": [each.line for each in found],
        "low": LOW,
        "rows": [each.row() for each in found],
    }


class LikenessReport:
    """Reports on the pictures of any generation, and keeps the latest report."""

    def __init__(self, host: Reporter, preparation: Preparation) -> None:
        self.host = host
        self._preparation = preparation
        self._latest: list[UnitLikeness] = []

    def latest(self) -> dict[str, Any]:
        """Return the latest generation's report as JSON; it grows while the generation goes on."""
        return report_as_json(list(self._latest))

    def after_picture(self, p: Any, picture: Image.Image, args: Iterable[Any]) -> None:
        """Compare the faces in a generated picture with the references; does nothing without a face unit or when the
        setting is off."""
        if not self.host.report_settings(p).likeness:
            return
        try:
            units = self._units_with_faces(p, args)
            if units:
                self._compare(p, picture.convert("RGB"), units)
        except IPAdapterError as error:  # the picture is finished; a failed report must not lose it
            log.warning("%s The likeness report was skipped.", error)

    def after_generation(self, p: Any) -> None:
        """Write the log of a finished run, if the settings ask for one."""
        run, settings = _run_of(p), self.host.report_settings(p)
        p.__dict__.pop(RUN, None)
        if run and settings.log in WRITERS:
            name = f"{time.strftime('%Y-%m-%d %H-%M-%S')} {run.seed}"
            try:
                write_log(settings.folder, name, settings.log, TITLE, run.found)
            except OSError as error:
                log.warning("IP-Adapter could not write the likeness log to %s: %s", settings.folder, error)

    def _units_with_faces(self, p: Any, args: Iterable[Any]) -> dict[int, tuple[Unit, AdapterFile]]:
        """Return the units that made the picture, as its parameters say, and that use faces, with their adapters."""
        library = self._preparation.files
        units = {
            number: (unit, library.adapter(unit.model).as_variant(unit.variant))
            for number, unit in units_of(p, args).items()
            if unit_key(number) in p.extra_generation_params
        }
        return {number: each for number, each in units.items() if each[1].recognised.family.face_embedding}

    def _compare(self, p: Any, picture: Image.Image, units: Mapping[int, tuple[Unit, AdapterFile]]) -> None:
        made = self.host.generated_picture(p)
        run = _run_of(p)
        if run is None or made.number == 0:
            run = Run(weakref.ref(p), made.seed)
            self._latest = run.found
            setattr(p, RUN, run)
            self.host.comment(p, TITLE)
        packs = {PACKS[adapter.recognised.pack] for _, adapter in units.values()}
        found = {pack: self._preparation.faces.faces_in(picture, pack) for pack in packs}
        for number, (unit, adapter) in units.items():
            plan, faces = self._preparation.plan(unit, adapter), found[PACKS[adapter.recognised.pack]]
            alike = tuple(likenesses(unit, plan, faces, picture.size, made.number))
            each = _unit_likeness(made, number, alike, faces, (unit, adapter, plan))
            run.found.append(each)
            self._note(p, run, made, each)
            self.host.comment(p, each.line)

    @staticmethod
    def _note(p: Any, run: Run, made: GeneratedPicture, each: UnitLikeness) -> None:
        """Add a likeness to the picture's parameters, which the host takes from a list, one entry per batch image."""
        key = likeness_key(each.unit)
        if made.place == 0 or key not in run.parameters:
            run.parameters[key] = [None] * made.batch
            p.extra_generation_params[key] = run.parameters[key]
        run.parameters[key][made.place] = each.words


def _run_of(p: Any) -> Run | None:
    """Return a record's own run, or None where it has none yet."""
    run: Run | None = p.__dict__.get(RUN)
    return run if run and run.p() is p else None


def _unit_likeness(
    made: GeneratedPicture,
    number: int,
    alike: tuple[Likeness, ...],
    faces: Sequence[Face],
    used: tuple[Unit, AdapterFile, TokenPlan],
) -> UnitLikeness:
    _, adapter, _ = used
    found = FACES if alike else ELSEWHERE if faces else NO_FACE
    low = not alike or max(each.cosine for each in alike) < LOW
    help_for_low = tuple(remedies(*used)) if low else ()
    return UnitLikeness(made.number + 1, made.seed, number, adapter.path.name, found, alike, help_for_low)


def remedies(unit: Unit, adapter: AdapterFile, plan: TokenPlan) -> list[str]:
    """Return likely causes of a low likeness, from the unit's settings and its references."""
    found = {
        f"Its LoRA is off (lora_weight {unit.lora_weight:g}).": "lora_weight" in adapter.recognised.family.fields
        and not unit.lora_weight,
        f"Its weight is {unit.weight:g}.": unit.weight < LITTLE_WEIGHT,
        f"It ends at {unit.end:g} of the steps.": unit.end < FEW_STEPS,
        f"Its face structure has a weight of {unit.structure_weight:g}.": unit.structure_weight < LITTLE_WEIGHT,
    }
    references = [face for reference in plan.references for face in reference.faces]
    causes = [*(words for words, so in found.items() if so), *advice_on(dict(measures_of_faces(references)))]
    return causes or ["Try another reference, or a prompt with a more realistic style."]

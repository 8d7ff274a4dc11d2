"""The drift report: how alike the faces in pictures that were made are to their units' references.

It is told in the picture's parameters, in words below the gallery and, if wanted, in a file for each run. Cosines are
told and kept, and never a face's vector.
"""

import csv
import io
import json
import logging
import time
import weakref
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from ..base.errors import IPAdapterError
from ..engine.prepare import Preparation
from ..engine.token_plan import TokenPlan
from ..faces.insightface_models import PACKS, Face, FaceModels, Pack, find_models
from ..port import GeneratedPicture, Reporter
from ..unit.infotext import likeness_key, unit_key
from ..unit.unit import Unit, read_units
from ..weights.adapter_file import AdapterFile
from .likeness import LOW, Likeness, likenesses
from .reference_metrics import measures_of_faces
from .thresholds import advice_on

log = logging.getLogger(__name__)

RUN = "ip_adapter_drift"
"""Attribute of the host's record of a generation that holds the run, until that has ended."""

TITLE = (
    "Likeness of faces to the references of IP-Adapter units, as the face model sees it: 1 is the same picture. "
    "This is no identity verification."
)
NO_FACE, ELSEWHERE = "no face", "no face in its region"
LIKENESS = "likeness (no identity verification)"

COLUMNS: tuple[str, ...] = (
    "picture",
    "seed",
    "unit",
    "adapter",
    "reference",
    "face",
    "left",
    "upper",
    "right",
    "lower",
    LIKENESS,
)
"""Of the file: pictures, units and references are counted from 1, faces from 0 as a unit's `face` counts them."""

Row = dict[str, str | int | float | None]

FEW_STEPS, LITTLE_WEIGHT = 0.8, 0.6
"""Below which `end` and `weight` are likely to be what keeps a likeness low: the authors' examples of FaceID use all
steps, and a weight of 1 or a little less."""


@dataclass
class Run:
    """What is known of the pictures of one run."""

    p: weakref.ref[Any]
    """Whose run it is: a record may be copied, as those of a plot's cells are, and ADetailer ends a copy early."""
    seed: int
    rows: list[Row] = field(default_factory=list[Row])
    lines: dict[str, list[str | None]] = field(default_factory=dict[str, list[str | None]])
    models: dict[Pack, FaceModels] = field(default_factory=dict[Pack, FaceModels])


class LikenessReport:
    """Tells of the pictures of any generation, for a host that can be told."""

    def __init__(self, host: Reporter, preparation: Preparation) -> None:
        self.host = host
        self._preparation = preparation

    def after_picture(self, p: Any, picture: Image.Image, args: Iterable[Any]) -> None:
        """Compare the faces in a picture that was just made; nothing where no unit sees faces, or nobody wants it."""
        if not self.host.report_settings(p).likeness:
            return
        try:
            units = self._units_that_see_faces(p, args)
            if units:
                self._tell(p, picture.convert("RGB"), units)
        except IPAdapterError as error:  # the picture is made, and stays
            log.warning("%s The likeness of faces is not told.", error)

    def after_generation(self, p: Any) -> None:
        """Write what a run has told into a file, where that is wanted, and forget it."""
        run, reporting = _run_of(p), self.host.report_settings(p)
        p.__dict__.pop(RUN, None)
        if run and reporting.log in WRITERS:
            name = f"{time.strftime('%Y-%m-%d %H-%M-%S')} {run.seed}"
            try:
                _write(reporting.folder, name, reporting.log.lower(), WRITERS[reporting.log](run.rows))
            except OSError as error:
                log.warning("IP-Adapter could not write the likeness of faces to %s: %s", reporting.folder, error)

    def _units_that_see_faces(self, p: Any, args: Iterable[Any]) -> dict[int, tuple[Unit, AdapterFile]]:
        """Return the units, with their adapters, of those that the picture was made with, as its parameters say."""
        library = self._preparation.files
        units = {
            number: (unit, library.adapter(unit.model).as_variant(unit.variant))
            for number, unit in read_units(list(args)).items()
            if unit_key(number) in p.extra_generation_params
        }
        return {number: each for number, each in units.items() if each[1].recognised.family.face_embedding}

    def _tell(self, p: Any, picture: Image.Image, units: Mapping[int, tuple[Unit, AdapterFile]]) -> None:
        made = self.host.generated_picture(p)
        run = _run_of(p)
        if run is None or made.number == 0:
            run = Run(weakref.ref(p), made.seed)
            setattr(p, RUN, run)
            self.host.comment(p, TITLE)
        packs = {PACKS[adapter.recognised.pack] for _, adapter in units.values()}
        found = {pack: self._faces(run, pack, picture) for pack in packs}
        for number, (unit, adapter) in units.items():
            plan, faces = self._preparation.plan(unit, adapter), found[PACKS[adapter.recognised.pack]]
            alike = list(likenesses(unit, plan, faces, picture.size, made.number))
            run.rows += _rows(made, number, adapter, alike)
            self._note(p, run, made, number, _words(alike, faces))
            self.host.comment(p, _sentence(made, number, unit, adapter, plan, alike, faces))

    def _faces(self, run: Run, pack: Pack, picture: Image.Image) -> Sequence[Face]:
        """Return the faces in a picture, with models that stay loaded until the run has ended."""
        if pack not in run.models:
            run.models[pack] = FaceModels(*find_models(pack, self._preparation.host.folders().faces))
        return run.models[pack].find(picture)

    @staticmethod
    def _note(p: Any, run: Run, made: GeneratedPicture, unit: int, words: str) -> None:
        """Write a picture's likeness where its parameters come from: a list by place in the batch."""
        key = likeness_key(unit)
        if made.place == 0 or key not in run.lines:
            run.lines[key] = [None] * made.batch
            p.extra_generation_params[key] = run.lines[key]
        run.lines[key][made.place] = words


def _run_of(p: Any) -> Run | None:
    """Return a record's own run, or None where it has none yet."""
    run: Run | None = p.__dict__.get(RUN)
    return run if run and run.p() is p else None


def _words(alike: Sequence[Likeness], faces: Sequence[Face]) -> str:
    """Return the likeness of a picture's faces, the largest first, for its parameters."""
    return " ".join(f"{each.cosine:.2f}" for each in alike) or (ELSEWHERE if faces else NO_FACE)


def _sentence(
    made: GeneratedPicture,
    number: int,
    unit: Unit,
    adapter: AdapterFile,
    plan: TokenPlan,
    alike: Sequence[Likeness],
    faces: Sequence[Face],
) -> str:
    """Return a picture's line below the gallery, with what may help where the likeness is low."""
    line = f"Picture {made.number + 1}, unit {number}: {_words(alike, faces)}"
    low = not alike or max(each.cosine for each in alike) < LOW
    return f"{line}. Low: {' '.join(remedies(unit, adapter, plan))}" if low else line


def remedies(unit: Unit, adapter: AdapterFile, plan: TokenPlan) -> list[str]:
    """Return what may be wrong where a likeness is low, by what is known of the unit and its references."""
    found = {
        f"Its LoRA is off (lora_weight {unit.lora_weight:g}).": "lora_weight" in adapter.recognised.family.fields
        and not unit.lora_weight,
        f"Its weight is {unit.weight:g}.": unit.weight < LITTLE_WEIGHT,
        f"It ends at {unit.end:g} of the steps.": unit.end < FEW_STEPS,
        f"Its face structure has a weight of {unit.structure_weight:g}.": unit.structure_weight < LITTLE_WEIGHT,
    }
    references = [face for reference in plan.references for face in reference.faces]
    causes = [*(words for words, so in found.items() if so), *advice_on(dict(measures_of_faces(references)))]
    return causes or ["Another reference may help, or a prompt whose style leaves room for a likeness."]


def _rows(made: GeneratedPicture, unit: int, adapter: AdapterFile, alike: Sequence[Likeness]) -> list[Row]:
    of_picture: Row = {"picture": made.number + 1, "seed": made.seed, "unit": unit, "adapter": adapter.path.name}
    nothing: Row = dict.fromkeys(COLUMNS[4:])
    rows: list[Row] = []
    for each in alike:
        edges = dict(zip(("left", "upper", "right", "lower"), (round(edge, 1) for edge in each.box), strict=True))
        found: Row = {"reference": each.reference, "face": each.face, **edges, LIKENESS: round(each.cosine, 4)}
        rows.append({**of_picture, **found})
    return rows or [{**of_picture, **nothing}]


def _csv(rows: Sequence[Row]) -> str:
    text = io.StringIO()
    writer: csv.DictWriter[str] = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _json(rows: Sequence[Row]) -> str:
    return json.dumps({"note": TITLE, "faces": list(rows)}, indent=1, ensure_ascii=False)


WRITERS = {"CSV": _csv, "JSON": _json}


def _write(folder: Path, name: str, extension: str, text: str) -> None:
    """Write a new file, whose name gets a number where it is taken."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(1000):
        path = folder / f"{name}{f' {number}' * bool(number)}.{extension}"
        try:
            with path.open("x", encoding="utf-8", newline="") as file:
                file.write(text)
        except FileExistsError:
            continue
        return

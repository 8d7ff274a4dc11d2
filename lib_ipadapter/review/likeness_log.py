"""A run's likeness report as a CSV or JSON file: one row per face, and one per picture without a face."""

import csv
import io
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from .likeness import Likeness

if TYPE_CHECKING:
    from .likeness_report import UnitLikeness

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
"""Pictures, units and references are counted from 1, faces from 0 as in a unit's `face`."""

Row = dict[str, str | int | float | None]


def rows_of(found: "Iterable[UnitLikeness]") -> list[Row]:
    rows: list[Row] = []
    for each in found:
        of_picture: Row = {"picture": each.picture, "seed": each.seed, "unit": each.unit, "adapter": each.adapter}
        nothing: Row = dict.fromkeys(COLUMNS[4:])
        rows += [{**of_picture, **_face(face)} for face in each.faces] or [{**of_picture, **nothing}]
    return rows


def _face(face: Likeness) -> Row:
    edges = dict(zip(("left", "upper", "right", "lower"), (round(edge, 1) for edge in face.box), strict=True))
    return {"reference": face.reference, "face": face.face, **edges, LIKENESS: round(face.cosine, 4)}


def _csv(_note: str, rows: Sequence[Row]) -> str:
    text = io.StringIO()
    writer: csv.DictWriter[str] = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _json(note: str, rows: Sequence[Row]) -> str:
    return json.dumps({"note": note, "faces": list(rows)}, indent=1, ensure_ascii=False)


WRITERS = {"CSV": _csv, "JSON": _json}


def write_log(folder: Path, name: str, kind: str, note: str, found: "Iterable[UnitLikeness]") -> None:
    """Write a new file in a format of `WRITERS`, adding a number where the name is taken; raises `OSError`."""
    text = WRITERS[kind](note, rows_of(found))
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(1000):
        path = folder / f"{name}{f' {number}' * bool(number)}.{kind.lower()}"
        try:
            with path.open("x", encoding="utf-8", newline="") as file:
                file.write(text)
        except FileExistsError:
            continue
        return

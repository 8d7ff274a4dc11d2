"""Write a page that shows what the IP-Adapters of the small model do: `python -m demo.page`."""

import html
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from .figures import Studio, agreement, as_text, at_weight, base_agreement, half, trials, unit
from .model import demo_host
from .world import Scene, draw

PAGE = Path(__file__).resolve().parent.parent / "build" / "demo" / "page.html"

PROMPTS = ("a circle", "a square")
WEIGHTS = (0.0, 0.25, 0.5, 1.0)
SEEDS = (1, 2)
COUNTED_SEEDS = (1, 2, 3, 4)
"""For the figures below the table."""

RED, BLUE = Scene("cross", "red", "black"), Scene("triangle", "blue", "white")
YELLOW, GREEN = Scene("square", "yellow", "brown"), Scene("circle", "green", "grey")


@dataclass(frozen=True)
class Row:
    """References on the left, and how the units are made of them for each weight."""

    title: str
    references: tuple[Scene, ...]
    settings: tuple[tuple[str, Any], ...] = ()

    def units(self, weight: float) -> list[dict[str, Any]]:
        return [unit(*map(draw, self.references), weight=weight, **dict(self.settings))]


class Regions(Row):
    """A reference for the left half and one for the right, in units of their own."""

    def units(self, weight: float) -> list[dict[str, Any]]:
        sides = zip(self.references, ("left", "right"), strict=True)
        return [unit(draw(scene), weight=weight, mask=half(side)) for scene, side in sides]


ROWS = (
    Row("one reference", (RED,)),
    Row("one reference", (BLUE,)),
    Row("one reference", (YELLOW,)),
    Row("two references", (RED, GREEN)),
    Regions("a reference for each half", (RED, BLUE)),
    Row("the Plus adapter", (BLUE,), (("adapter", "plus"),)),
    Row("from half of the steps on", (YELLOW,), (("start", 0.5),)),
)

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem }
img { width: 64px; height: 64px; margin: 1px } td, th { padding: .3rem .6rem; text-align: left; vertical-align: middle }
table { border-collapse: collapse } tr { border-top: 1px solid #ccc } td.cell { white-space: nowrap }
"""


def show_progress(done: int, total: int, width: int = 40) -> None:
    """Draw a bar on the terminal's line."""
    full = width * done // total
    print(f"\r[{'#' * full}{'.' * (width - full)}] {done} of {total}", end="" if done < total else "\n", flush=True)


def tag(picture: Image.Image) -> str:
    return f'<img alt="" src="data:image/png;base64,{as_text(picture)}">'


def cells(studio: Studio) -> Iterator[tuple[Row, str, float, list[Image.Image]]]:
    """Yield the pictures of the table, row by row."""
    for row in ROWS:
        for prompt in PROMPTS:
            for weight in WEIGHTS:
                yield row, prompt, weight, studio.pictures(prompt, SEEDS, *row.units(weight))


def table(studio: Studio) -> str:
    total = len(ROWS) * len(PROMPTS) * len(WEIGHTS)
    made: dict[Row, list[str]] = {row: [] for row in ROWS}
    for done, (row, _prompt, _weight, pictures) in enumerate(cells(studio), 1):
        made[row].append(f'<td class="cell">{"".join(map(tag, pictures))}</td>')
        show_progress(done, total)
    prompts = "".join(f'<th colspan="{len(WEIGHTS)}">{html.escape(prompt)}</th>' for prompt in PROMPTS)
    weights = "".join(f"<th>weight {weight:g}</th>" for weight in WEIGHTS) * len(PROMPTS)
    rows = "".join(_row(row, row_cells) for row, row_cells in made.items())
    return f"<table><tr><th></th><th></th>{prompts}</tr><tr><th></th><th></th>{weights}</tr>{rows}</table>"


def _row(row: Row, row_cells: Sequence[str]) -> str:
    references = "".join(tag(draw(scene)) for scene in row.references)
    return f'<tr><td>{html.escape(row.title)}</td><td class="cell">{references}</td>{"".join(row_cells)}</tr>'


def figures(studio: Studio) -> list[str]:
    """Return sentences with what was counted just now, on few pictures; the model card has larger counts."""
    lines = [f"Without a reference, {base_agreement(studio, (1,)):.0%} of 24 pictures are as the prompt says."]
    for done, weight in enumerate(WEIGHTS, 1):
        found = agreement(studio, trials(6), COUNTED_SEEDS, at_weight(weight))
        lines.append(
            f"Weight {weight:g}: {found.colour:.0%} of 24 pictures have the reference's colour, "
            f"{found.ground:.0%} its ground, {found.shape:.0%} the prompt's shape."
        )
        show_progress(done, len(WEIGHTS))
    return lines


def main() -> None:
    began = time.monotonic()
    torch.set_num_threads(1)  # for tensors as small as these, threads cost more than they bring
    studio = Studio(demo_host())
    body = table(studio)
    lines = figures(studio)
    listed = "".join(f"<li>{html.escape(line)}</li>" for line in lines)
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(
        f"<!doctype html><meta charset=utf-8><title>IP-Adapter: the small world</title><style>{STYLE}</style>"
        "<h1>IP-Adapter: the small world</h1><p>References on the left. The prompts do not name the object's colour; "
        f"two seeds a cell.</p>{body}<ul>{listed}</ul>",
        encoding="utf-8",
    )
    print(*lines, f"{PAGE} ({time.monotonic() - began:.0f} s)", sep="\n")


if __name__ == "__main__":
    sys.exit(main())

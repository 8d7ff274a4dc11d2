"""Write a page that shows what the IP-Adapters of the small model do: `python -m demo.page`."""

import html
import itertools
import os
import time
from collections.abc import Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
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
"""Seeds of the figures below the table."""

RED, BLUE = Scene("cross", "red", "black"), Scene("triangle", "blue", "white")
YELLOW, GREEN = Scene("square", "yellow", "brown"), Scene("circle", "green", "grey")


@dataclass(frozen=True)
class Row:
    """A row of the table: its references, and the units made of them for each weight."""

    title: str
    references: tuple[Scene, ...]
    settings: tuple[tuple[str, Any], ...] = ()

    def units(self, weight: float) -> list[dict[str, Any]]:
        return [unit(*map(draw, self.references), weight=weight, **dict(self.settings))]


class Regions(Row):
    """A reference for the left half and one for the right, each in its own unit."""

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
    Row("start at half of the steps", (YELLOW,), (("start", 0.5),)),
)

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem }
img { width: 64px; height: 64px; margin: 1px } td, th { padding: .3rem .6rem; text-align: left; vertical-align: middle }
table { border-collapse: collapse } tr { border-top: 1px solid #ccc } td.cell { white-space: nowrap }
"""


def show_progress(done: int, total: int, width: int = 40) -> None:
    """Draw a progress bar in the terminal, over the last one."""
    full = width * done // total
    print(f"\r[{'#' * full}{'.' * (width - full)}] {done} of {total}", end="" if done < total else "\n", flush=True)


def tag(picture: Image.Image) -> str:
    return f'<img alt="" src="data:image/png;base64,{as_text(picture)}">'


Job = tuple[int, str, float]
"""Number of a row, prompt and weight."""

STUDIOS: list[Studio] = []
"""The studio of this process, once it is open."""


def open_studio() -> None:
    """Prepare a process that makes pictures."""
    torch.set_num_threads(1)  # several threads are slower for tensors this small
    STUDIOS[:] = [Studio(demo_host())]


def make_cell(job: Job) -> str:
    """Return a cell of the table."""
    row, prompt, weight = job
    pictures = STUDIOS[0].pictures(prompt, SEEDS, *ROWS[row].units(weight))
    return f'<td class="cell">{"".join(map(tag, pictures))}</td>'


def table(workers: Executor) -> str:
    jobs: list[Job] = list(itertools.product(range(len(ROWS)), PROMPTS, WEIGHTS))
    made: list[str] = []
    for cell in workers.map(make_cell, jobs):
        made.append(cell)
        show_progress(len(made), len(jobs))
    width = len(PROMPTS) * len(WEIGHTS)
    prompts = "".join(f'<th colspan="{len(WEIGHTS)}">{html.escape(prompt)}</th>' for prompt in PROMPTS)
    weights = "".join(f"<th>weight {weight:g}</th>" for weight in WEIGHTS) * len(PROMPTS)
    rows = "".join(_row(row, made[n * width : (n + 1) * width]) for n, row in enumerate(ROWS))
    return f"<table><tr><th></th><th></th>{prompts}</tr><tr><th></th><th></th>{weights}</tr>{rows}</table>"


def _row(row: Row, row_cells: Sequence[str]) -> str:
    references = "".join(tag(draw(scene)) for scene in row.references)
    return f'<tr><td>{html.escape(row.title)}</td><td class="cell">{references}</td>{"".join(row_cells)}</tr>'


def count_base(seed: int) -> float:
    return base_agreement(STUDIOS[0], (seed,))


def count(weight: float) -> str:
    """Return a sentence with the counts of a few new pictures; the model card has larger counts."""
    found = agreement(STUDIOS[0], trials(6), COUNTED_SEEDS, at_weight(weight))
    return (
        f"Weight {weight:g}: {found.colour:.0%} of 24 pictures have the reference's colour, "
        f"{found.ground:.0%} its background, {found.shape:.0%} the prompt's shape."
    )


def figures(workers: Executor) -> list[str]:
    base = workers.submit(count_base, 1)
    counted = [workers.submit(count, weight) for weight in WEIGHTS]
    for done, future in enumerate([base, *counted], 1):
        future.result()
        show_progress(done, 1 + len(counted))
    first = f"Without a reference, {base.result():.0%} of 24 pictures show what the prompt says."
    return [first, *(future.result() for future in counted)]


def main() -> None:
    began = time.monotonic()
    with ProcessPoolExecutor(os.cpu_count(), initializer=open_studio) as workers:
        body = table(workers)
        lines = figures(workers)
    listed = "".join(f"<li>{html.escape(line)}</li>" for line in lines)
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(
        f"<!doctype html><meta charset=utf-8><title>IP-Adapter: the small world</title><style>{STYLE}</style>"
        "<h1>IP-Adapter: the small world</h1><p>References are on the left. Prompts do not name the object's colour. "
        f"Each cell has two seeds.</p>{body}<ul>{listed}</ul>",
        encoding="utf-8",
    )
    print(*lines, f"{PAGE} ({time.monotonic() - began:.0f} s)", sep="\n")


if __name__ == "__main__":
    main()

"""Counts how often the small model's pictures show what the text or the reference asks for."""

import base64
import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from PIL import Image

from demo.host import Demo, Generation
from lib_ipadapter.engine.session import Session

from .files import ADAPTERS
from .world import COLOURS, GROUNDS, SHAPES, SIZE, Scene, Seen, caption, draw, look

WEIGHT = 0.75
"""The demo's weight: all colours come from the reference, and still all shapes from the text."""


@dataclass(frozen=True)
class Trial:
    """A reference, and a prompt that names another shape and no colours."""

    reference: Scene
    shape: str

    @property
    def prompt(self) -> str:
        return caption(self.shape)


def trials(count: int) -> list[Trial]:
    """Return trials that cover colours, backgrounds and pairs of shapes evenly."""
    colours, grounds, shapes = tuple(COLOURS), tuple(GROUNDS), tuple(SHAPES)
    return [
        Trial(
            Scene(shapes[n % 4], colours[n % 6], grounds[(n + n // 4) % 4], x=29 + 3 * (n % 3), y=35 - 3 * (n % 3)),
            shapes[(n + 1 + n // 4 % 3) % 4],
        )
        for n in range(count)
    ]


def as_text(picture: Image.Image) -> str:
    """Return a picture as a unit takes it: base64 of a PNG."""
    held = io.BytesIO()
    picture.save(held, "PNG")
    return base64.b64encode(held.getvalue()).decode()


def unit(*references: Image.Image, adapter: str = "base", **more: Any) -> dict[str, Any]:
    """Return a unit, as JSON, with one of the small model's adapters."""
    return {"model": ADAPTERS[adapter], "images": [as_text(each) for each in references], "weight": WEIGHT, **more}


def half(side: str) -> str:
    """Return a mask of the left or the right half, as a unit takes it."""
    mask = Image.new("L", (SIZE, SIZE), 0)
    mask.paste(255, (0, 0, SIZE // 2, SIZE) if side == "left" else (SIZE // 2, 0, SIZE, SIZE))
    return as_text(mask)


class Studio:
    """Makes pictures as a web UI does, with a session and a host that samples."""

    def __init__(self, host: Demo) -> None:
        self.host, self.session = host, Session(host)

    def pictures(self, prompt: str, seeds: Iterable[int], *units: dict[str, Any]) -> list[Image.Image]:
        """Return a picture for each seed, with these units."""
        return self.make(Generation(prompt, tuple(seeds)), units)

    def make(self, generation: Generation, units: Sequence[Any]) -> list[Image.Image]:
        """Return the pictures of a generation, with these units."""
        self.session.before_generation(generation, units)
        self.session.before_sampling(generation, units)
        return self.host.sample(generation)


def base_agreement(studio: Studio, seeds: Sequence[int]) -> float:
    """Return how often shape and colour are both as in the prompt, over all pairs of them and these seeds."""
    asked = [(shape, colour) for shape in SHAPES for colour in COLOURS]
    seen = [(shape, colour, look(p)) for shape, colour in asked for p in studio.pictures(caption(shape, colour), seeds)]
    return fmean((found.shape, found.colour) == (shape, colour) for shape, colour, found in seen)


@dataclass(frozen=True)
class Agreement:
    """Shares 0..1 of the pictures with the reference's colour, its background, and the prompt's shape."""

    colour: float
    ground: float
    shape: float


def agreement(
    studio: Studio, some: Sequence[Trial], seeds: Sequence[int], make: Callable[[Trial], Sequence[dict[str, Any]]]
) -> Agreement:
    """Return how often pictures agree with reference and prompt, with the units that `make` returns for a trial."""
    seen = [(trial, look(p)) for trial in some for p in studio.pictures(trial.prompt, seeds, *make(trial))]
    return Agreement(
        fmean(found.colour == trial.reference.colour for trial, found in seen),
        fmean(found.ground == trial.reference.ground for trial, found in seen),
        fmean(found.shape == trial.shape for trial, found in seen),
    )


def at_weight(weight: float, adapter: str = "base", **more: Any) -> Callable[[Trial], list[dict[str, Any]]]:
    """Return a function that makes a trial's units: one unit with this weight."""
    return lambda trial: [unit(draw(trial.reference), adapter=adapter, weight=weight, **more)]


def own_errors(some: Iterable[Scene]) -> float:
    """Return how often `look` is wrong about drawn pictures, whose content is known."""
    return fmean(look(draw(scene)) != Seen(scene.shape, scene.colour, scene.ground) for scene in some)

"""A world small enough to learn in an hour: one object on a background, drawn from a seed, and captions of it.

A picture is 64 x 64 pixels and has one shape in one colour on one background. One picture in five consists of two
halves whose colours differ, while the shape continues through both. `look` reads from the pixels what a picture shows.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

SIZE = 64
"""Pixels on a side."""
FINER = 4
"""Factor by which a picture is drawn larger and then reduced, for soft edges."""

Colour = tuple[int, int, int]

COLOURS: dict[str, Colour] = {
    "red": (220, 35, 40),
    "yellow": (245, 215, 45),
    "green": (40, 160, 60),
    "cyan": (60, 205, 225),
    "blue": (45, 65, 205),
    "magenta": (215, 65, 190),
}
GROUNDS: dict[str, Colour] = {
    "white": (243, 243, 243),
    "grey": (150, 150, 150),
    "black": (25, 25, 25),
    "brown": (115, 75, 40),
}
PALETTE = np.array([*COLOURS.values(), *GROUNDS.values()], dtype=np.float32)
NAMES = (*COLOURS, *GROUNDS)

HALVES = 0.2
"""Share of the pictures that consist of two halves."""

Side = Literal["left", "right", "top", "bottom"]
Window = tuple[slice, slice]
WINDOWS: dict[str, Window] = {
    "all": (slice(None), slice(None)),
    "left": (slice(None), slice(None, SIZE // 2)),
    "right": (slice(None), slice(SIZE // 2, None)),
    "top": (slice(None, SIZE // 2), slice(None)),
    "bottom": (slice(SIZE // 2, None), slice(None)),
}
"""Rows and columns of the parts of a picture."""


def _circle(pen: ImageDraw.ImageDraw, x: float, y: float, r: float, fill: Colour) -> None:
    pen.ellipse((x - r, y - r, x + r, y + r), fill)


def _square(pen: ImageDraw.ImageDraw, x: float, y: float, r: float, fill: Colour) -> None:
    pen.rectangle((x - r, y - r, x + r, y + r), fill)


def _triangle(pen: ImageDraw.ImageDraw, x: float, y: float, r: float, fill: Colour) -> None:
    pen.polygon(((x, y - r), (x + r, y + r), (x - r, y + r)), fill)


def _cross(pen: ImageDraw.ImageDraw, x: float, y: float, r: float, fill: Colour) -> None:
    pen.rectangle((x - r, y - r / 3, x + r, y + r / 3), fill)
    pen.rectangle((x - r / 3, y - r, x + r / 3, y + r), fill)


SHAPES = {"circle": _circle, "square": _square, "triangle": _triangle, "cross": _cross}
"""How each shape is drawn into the square around (x, y), which is 2 r wide."""


@dataclass(frozen=True)
class Scene:
    """What a picture shows; lengths are in pixels."""

    shape: str
    colour: str
    ground: str
    x: float = SIZE / 2
    y: float = SIZE / 2
    r: float = 18.0
    half: tuple[Side, str, str] | None = None
    """The side with another colour and background, then these two; None if the picture has no halves."""


def scenes(seed: int) -> Iterator[Scene]:
    """Yield scenes without end, always the same ones for a seed."""
    dice = random.Random(seed)
    while True:
        shape, (colour, other), (ground, beyond) = (
            dice.choice(tuple(SHAPES)),
            dice.sample(tuple(COLOURS), 2),
            dice.sample(tuple(GROUNDS), 2),
        )
        x, y, r = dice.uniform(26, 38), dice.uniform(26, 38), dice.uniform(14, 22)
        half = (dice.choice(("left", "right", "top", "bottom")), other, beyond) if dice.random() < HALVES else None
        yield Scene(shape, colour, ground, x, y, r, half)


def draw(scene: Scene) -> Image.Image:
    """Return the picture of a scene."""
    picture = _draw_whole(scene, scene.colour, scene.ground)
    if scene.half:
        side, colour, ground = scene.half
        rows, columns = WINDOWS[side]
        box = (columns.start or 0, rows.start or 0, columns.stop or SIZE, rows.stop or SIZE)
        picture.paste(_draw_whole(scene, colour, ground).crop(box), box)
    return picture


def _draw_whole(scene: Scene, colour: str, ground: str) -> Image.Image:
    fine = Image.new("RGB", (SIZE * FINER, SIZE * FINER), GROUNDS[ground])
    SHAPES[scene.shape](ImageDraw.Draw(fine), scene.x * FINER, scene.y * FINER, scene.r * FINER, COLOURS[colour])
    return fine.resize((SIZE, SIZE), Image.Resampling.BOX)


def caption(shape: str, colour: str = "", ground: str = "") -> str:
    """Return a caption that mentions what is given: "a red circle on white"."""
    named = " ".join(filter(None, ("a", colour, shape)))
    return f"{named} on {ground}" if ground else named


CAPTIONS = ("", *(caption(s, c, g) for s in SHAPES for c in ("", *COLOURS) for g in ("", *GROUNDS)))
"""Everything that a caption of this world can say."""


def describe(scene: Scene, dice: random.Random, colour: float, ground: float) -> str:
    """Return a true caption of a scene that names colour and background with these probabilities."""
    if scene.half:
        return caption(scene.shape)
    return caption(
        scene.shape,
        scene.colour if dice.random() < colour else "",
        scene.ground if dice.random() < ground else "",
    )


@dataclass(frozen=True)
class Seen:
    """What the pixels of a picture show."""

    shape: str
    colour: str
    ground: str


def look(picture: Image.Image, window: str = "all") -> Seen:
    """Return what a picture, or a part of it, shows.

    Each pixel counts as the nearest colour of the palette. The background is the most common background colour along
    the edge; the object's colour is the most common object colour. The shape is the one whose drawing, in the box
    around all pixels of the object's colour, overlaps most with them (intersection over union). The shape of a part is
    that of the whole.
    """
    nearest = nearest_colours(picture)
    part = nearest[WINDOWS[window]]
    edge = np.concatenate([part[0], part[-1], part[:, 0], part[:, -1]])
    ground = _commonest(edge, slice(len(COLOURS), None))
    colour = _commonest(part.ravel(), slice(0, len(COLOURS)))
    return Seen(_shape_of(nearest == NAMES.index(colour)), colour, ground)


def nearest_colours(picture: Image.Image) -> NDArray[np.int64]:
    """Return the index into `NAMES` of each pixel's nearest colour: (rows, columns)."""
    pixels = np.asarray(picture.convert("RGB"), dtype=np.float32)[..., None, :]  # (rows, columns, 1, rgb)
    return ((pixels - PALETTE) ** 2).sum(-1).argmin(-1)


def _commonest(indices: NDArray[np.int64], among: slice) -> str:
    counts = np.bincount(indices, minlength=len(NAMES))[among]
    return NAMES[among][int(counts.argmax())]


def _shape_of(thing: NDArray[np.bool_]) -> str:
    rows, columns = (np.flatnonzero(thing.sum(axis) > 2) for axis in (1, 0))
    if not len(rows) or not len(columns):
        return ""
    inside = thing[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    shares = {name: _shared(inside, _stencil(name, *inside.shape)) for name in SHAPES}
    return max(shares, key=lambda name: shares[name])


def _shared(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    return float((one & other).sum() / (one | other).sum())


@lru_cache(maxsize=4096)
def _stencil(shape: str, rows: int, columns: int) -> NDArray[np.bool_]:
    fine = Image.new("RGB", (256, 256))
    SHAPES[shape](ImageDraw.Draw(fine), 127.5, 127.5, 127.5, (255, 255, 255))
    return np.asarray(fine.resize((columns, rows), Image.Resampling.BOX))[..., 0] > 127

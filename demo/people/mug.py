"""The world's only product: a mug with a pattern, standing on some ground."""

import random
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .appearance import COLOURS
from .pen import SIZE, Colour, Pen, darker, lighter
from .shapes import Points, blob, box, circle, curve, knots, oval, polygon

PATTERNS = ("stripes", "dots", "heart", "star", "zigzag", "checks")
GROUNDS = ("table", "grass", "sand", "stone", "cloth")


@dataclass(frozen=True)
class Mug:
    """Colour and pattern identify a mug; its position and the side of its handle change from picture to picture."""

    colour: str
    pattern: str
    pattern_colour: str
    ground: str
    x: float = SIZE / 2
    y: float = 70.0
    scale: float = 30.0
    """Pixels of half its width."""
    flip: bool = False


def sample(dice: random.Random) -> Mug:
    colour, pattern_colour = dice.sample(tuple(COLOURS), 2)
    return Mug(
        colour,
        dice.choice(PATTERNS),
        pattern_colour,
        dice.choice(GROUNDS),
        dice.uniform(54, 74),
        dice.uniform(64, 74),
        dice.uniform(25, 34),
        dice.random() < 0.5,
    )


def _star(points: int = 5) -> Points:
    angles = np.radians(np.arange(2 * points) * 180 / points - 90)
    reach = np.where(np.arange(2 * points) % 2, 0.24, 0.58)
    return np.stack([reach * np.cos(angles), 0.1 + reach * np.sin(angles)], 1)


HEART = blob(
    *knots(
        "0 0.62  0.3 0.34  0.56 0.04  0.5 -0.26  0.26 -0.34  0 -0.12  -0.26 -0.34  -0.5 -0.26  -0.56 0.04  -0.3 0.34"
    )
)


def _bands(pen: Pen, colour: Colour) -> None:
    for y, half in ((-0.44, 0.95), (0.04, 0.93), (0.5, 0.87)):
        pen.shade(
            colour,
            polygon(
                *curve((-half, y), (0, y + 0.14), (half, y)), *curve((half, y + 0.2), (0, y + 0.36), (-half, y + 0.2))
            ),
        )


def _dots(pen: Pen, colour: Colour) -> None:
    for row, y in enumerate((-0.4, 0.06, 0.52)):
        for x in (-0.62, 0.0, 0.62) if row % 2 == 0 else (-0.32, 0.32):
            pen.shade(colour, circle(x, y + 0.16 * (1 - abs(x)), 0.16))


def _zigzag(pen: Pen, colour: Colour) -> None:
    for y in (-0.2, 0.4):
        pen.line(
            colour,
            0.17,
            np.array([(x / 4, y + (0.14 if n % 2 else -0.14)) for n, x in enumerate(range(-4, 5))]) * (0.92, 1),
        )


def _checks(pen: Pen, colour: Colour) -> None:
    for row in range(4):
        for column in range(row % 2, 6, 2):
            left, top = -0.93 + column * 0.31, -0.5 + row * 0.34
            pen.shade(colour, box(left, top, left + 0.31, top + 0.34))


MARKS: dict[str, Callable[[Pen, Colour], None]] = {
    "stripes": _bands,
    "dots": _dots,
    "heart": lambda pen, colour: pen.shade(colour, HEART),
    "star": lambda pen, colour: pen.shade(colour, _star()),
    "zigzag": _zigzag,
    "checks": _checks,
}


def draw_mug(pen: Pen, mug: Mug, seed: int) -> None:
    """Draw the ground and the mug on it; the seed determines the wall behind it."""
    dice = random.Random(seed)
    pen.fill(
        dice.choice(((250, 232, 206), (208, 226, 236), (226, 218, 240), (214, 234, 214))),
        box(-2, -2, SIZE + 2, SIZE + 2),
    )
    base = mug.y + mug.scale
    _ground(pen, mug.ground, base - mug.scale * 0.55, dice)
    pen = pen.moved(mug.x, mug.y, mug.scale, flip=mug.flip)
    colour = COLOURS[mug.colour]
    pen.shade((70, 60, 70), oval(0.1, 1.02, 1.12, 0.2))
    pen.line(darker(colour, 0.18), 0.24, oval(1.02, 0.1, 0.42, 0.46, -100, 100))
    pen.fill(
        colour,
        blob(
            *knots(
                "-0.98 -0.8  0 -0.78  0.98 -0.8  0.97 0.2  0.9 0.86  0.66 1.06  0 1.12  -0.66 1.06  "
                "-0.9 0.86  -0.97 0.2"
            )
        ),
    )
    MARKS[mug.pattern](pen, COLOURS[mug.pattern_colour])
    pen.fill(lighter(colour, 0.3), oval(0, -0.8, 0.99, 0.26))
    pen.shade((104, 62, 44), oval(0, -0.77, 0.82, 0.17))
    for x in (-0.3, 0.25):
        pen.line((255, 255, 255), 0.07, curve((x, -1.1), (x + 0.12, -1.3), (x - 0.08, -1.48), (x + 0.04, -1.7)))


def _ground(pen: Pen, ground: str, top: float, dice: random.Random) -> None:
    colour = {
        "table": (190, 132, 84),
        "grass": (112, 178, 92),
        "sand": (240, 212, 150),
        "stone": (166, 170, 180),
        "cloth": (246, 240, 232),
    }[ground]
    pen.fill(colour, box(-2, top, SIZE + 2, SIZE + 2))
    TEXTURES[ground](pen, colour, top, dice)


def _grain(pen: Pen, colour: Colour, top: float, dice: random.Random) -> None:
    for y in np.arange(top + 9, SIZE, 11):
        pen.line(
            darker(colour, 0.16),
            1.2,
            curve((-2, y), (40, y + dice.uniform(-2, 2)), (90, y + dice.uniform(-2, 2)), (130, y)),
        )


def _blades(pen: Pen, colour: Colour, top: float, dice: random.Random) -> None:
    for _ in range(26):
        x, y = dice.uniform(0, SIZE), dice.uniform(top + 4, SIZE)
        pen.line(darker(colour, 0.3), 1.3, curve((x - 2.5, y - 5), (x, y), (x + 2.5, y - 6)))


def _grains(pen: Pen, colour: Colour, top: float, dice: random.Random) -> None:
    for _ in range(40):
        pen.shade(darker(colour, 0.2), circle(dice.uniform(0, SIZE), dice.uniform(top + 2, SIZE), 0.9))


def _slabs(pen: Pen, colour: Colour, top: float, dice: random.Random) -> None:
    for row, y in enumerate(np.arange(top + 12, SIZE + 12, 14)):
        pen.line(darker(colour, 0.22), 1.3, polygon((-2, y), (SIZE + 2, y)))
        for x in range(-10 + 17 * (row % 2), SIZE + 20, 34):
            pen.line(darker(colour, 0.22), 1.3, polygon((x, y - 14), (x, y)))


def _squares(pen: Pen, colour: Colour, top: float, dice: random.Random) -> None:
    tone = dice.choice(((226, 96, 92), (92, 140, 206)))
    for row, y in enumerate(np.arange(top, SIZE, 10.0)):
        for x in range(-10 + 10 * (row % 2), SIZE, 20):
            pen.shade(tone, box(x, y, x + 10, y + 10))


TEXTURES = {"table": _grain, "grass": _blades, "sand": _grains, "stone": _slabs, "cloth": _squares}

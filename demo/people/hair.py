"""Hair: what lies behind the head and what lies over it. The unit is half a face's width; a hat flattens the top."""

from collections.abc import Callable
from dataclasses import dataclass

from .pen import Colour, Pen, darker, lighter
from .shapes import blob, box, circle, curve, oval, polygon


@dataclass(frozen=True)
class Tones:
    """A hair colour and its shadow and shine."""

    base: Colour
    shadow: Colour
    shine: Colour


def tones(colour: Colour) -> Tones:
    return Tones(colour, darker(colour, 0.3), lighter(colour, 0.28))


Part = Callable[[Pen, Tones], None]


def _nothing(pen: Pen, hair: Tones) -> None:
    """Draw nothing."""


CAP = blob(
    (-1.06, 0.1),
    (-1.15, -0.5),
    (-0.78, -1.16),
    (0, -1.38),
    (0.78, -1.16),
    (1.15, -0.5),
    (1.06, 0.1),
    (0.95, -0.1),
    (0.88, -0.5),
    (0.5, -0.62),
    (-0.05, -0.58),
    (-0.62, -0.5),
    (-0.9, -0.42),
    (-0.95, -0.1),
)
"""Hair close to the skull, from ear to ear, with a hairline."""
BACK_OF_HEAD = oval(0, -0.25, 1.14, 1.12)


def _short(pen: Pen, hair: Tones) -> None:
    pen.fill(hair.base, CAP)
    pen.shade(
        hair.base,
        blob((-0.9, -0.6), (-0.3, -1.0), (0.5, -1.0), (0.9, -0.55), (0.55, -0.5), (0.1, -0.42), (-0.5, -0.46)),
    )
    pen.line(hair.shadow, 0.05, curve((0.42, -1.2), (0.3, -0.9), (0.42, -0.6)))
    pen.line(hair.shine, 0.08, curve((-0.78, -0.78), (-0.5, -1.02), (-0.1, -1.14)))


def _quiff(pen: Pen, hair: Tones) -> None:
    sides = blob(
        (-1.03, 0.08),
        (-1.08, -0.5),
        (-0.7, -1.1),
        (0, -1.2),
        (0.7, -1.1),
        (1.08, -0.5),
        (1.03, 0.08),
        (0.94, -0.2),
        (0.84, -0.62),
        (0, -0.72),
        (-0.84, -0.62),
        (-0.94, -0.2),
    )
    pen.fill(hair.shadow, sides)
    top = blob(
        (-0.86, -0.6),
        (-0.98, -1.02),
        (-0.74, -1.5),
        (-0.1, -1.86),
        (0.6, -1.82),
        (1.0, -1.5),
        (0.96, -1.14),
        (0.74, -0.98),
        (0.84, -0.62),
        (0.4, -0.74),
        (-0.3, -0.66),
    )
    pen.fill(hair.base, top)
    pen.line(hair.shine, 0.09, curve((-0.66, -1.1), (-0.38, -1.46), (0.14, -1.62), (0.6, -1.52)))
    pen.line(hair.shadow, 0.06, curve((-0.4, -0.84), (0.0, -1.16), (0.62, -1.24)))


def _spiky(pen: Pen, hair: Tones) -> None:
    tips = ((-1.3, -0.72), (-1.12, -1.3), (-0.6, -1.74), (0.02, -1.92), (0.62, -1.74), (1.14, -1.3), (1.32, -0.72))
    valleys = ((-1.04, -0.86), (-0.78, -1.2), (-0.3, -1.38), (0.3, -1.38), (0.78, -1.2), (1.04, -0.86))
    crown = [point for pair in zip(tips, (*valleys, (0, 0)), strict=True) for point in pair][:-1]
    fringe = [
        (0.74, -0.72),
        (0.52, -0.38),
        (0.34, -0.7),
        (0.08, -0.34),
        (-0.12, -0.7),
        (-0.4, -0.4),
        (-0.6, -0.7),
        (-0.9, -0.4),
    ]
    pen.fill(hair.base, polygon((-1.04, 0.1), *crown, (1.04, 0.1), (0.92, -0.4), *fringe))
    for x in (-0.62, 0.0, 0.62):
        pen.line(hair.shine, 0.07, curve((x * 0.8, -1.06), (x * 0.95, -1.36)))


CURLS = (
    (-1.12, 0.3),
    (-1.3, -0.16),
    (-1.22, -0.68),
    (-0.92, -1.12),
    (-0.46, -1.42),
    (0.06, -1.52),
    (0.56, -1.4),
    (0.98, -1.06),
    (1.24, -0.62),
    (1.3, -0.12),
    (1.12, 0.32),
)
FRINGE_CURLS = ((-0.82, -0.66), (-0.5, -0.82), (-0.14, -0.9), (0.24, -0.88), (0.58, -0.78), (0.86, -0.6))


def _curly_back(pen: Pen, hair: Tones) -> None:
    pen.fill(hair.base, oval(0, -0.35, 1.3, 1.2), *(circle(x, y, 0.36) for x, y in CURLS))
    for x, y in CURLS[1:-1:2]:
        pen.line(hair.shadow, 0.06, oval(x, y, 0.2, 0.2, 200, 400))


def _curly(pen: Pen, hair: Tones) -> None:
    pen.fill(hair.base, *(circle(x, y, 0.27) for x, y in FRINGE_CURLS))
    for x, y in FRINGE_CURLS:
        pen.line(hair.shadow, 0.05, oval(x, y, 0.14, 0.14, 20, 200))
    for x, y in ((-0.86, -0.98), (-0.2, -1.28), (0.5, -1.16), (1.0, -0.6)):
        pen.line(hair.shine, 0.06, oval(x, y, 0.16, 0.16, 180, 330))


def _bob_back(pen: Pen, hair: Tones) -> None:
    pen.fill(
        hair.shadow,
        blob(
            (0, -1.3),
            (0.9, -1.0),
            (1.24, -0.3),
            (1.32, 0.5),
            (1.34, 1.02),
            (0.7, 1.12),
            (-0.7, 1.12),
            (-1.34, 1.02),
            (-1.32, 0.5),
            (-1.24, -0.3),
            (-0.9, -1.0),
        ),
    )


def _bob(pen: Pen, hair: Tones) -> None:
    side = blob((0.84, -0.5), (1.16, -0.5), (1.32, 0.3), (1.38, 0.98), (1.06, 1.12), (0.82, 0.96), (0.9, 0.3))
    fringe = blob(
        (-1.14, -0.2),
        (-1.2, -0.62),
        (-0.84, -1.22),
        (0, -1.44),
        (0.84, -1.22),
        (1.2, -0.62),
        (1.14, -0.2),
        (0.86, -0.3),
        (0.45, -0.25),
        (0, -0.26),
        (-0.45, -0.25),
        (-0.86, -0.3),
    )
    pen.fill(hair.base, fringe, side, side * (-1, 1))
    for x in (-0.5, 0.0, 0.5):
        pen.line(hair.shadow, 0.045, curve((x * 0.9, -0.62), (x, -0.3)))
    pen.line(hair.shine, 0.1, curve((-0.84, -0.72), (-0.4, -0.92), (0.3, -0.94), (0.8, -0.76)))


PARTED = blob(
    (0, -1.42),
    (0.8, -1.2),
    (1.16, -0.6),
    (1.16, 0.1),
    (0.98, 0.0),
    (0.9, -0.34),
    (0.5, -0.66),
    (0.0, -0.98),
    (-0.5, -0.66),
    (-0.9, -0.34),
    (-0.98, 0.0),
    (-1.16, 0.1),
    (-1.16, -0.6),
    (-0.8, -1.2),
)
"""Hair parted in the middle, down to the ears."""


def _long_back(pen: Pen, hair: Tones) -> None:
    pen.fill(
        hair.shadow,
        blob(
            (0, -1.3),
            (0.9, -1.0),
            (1.2, -0.3),
            (1.24, 1.0),
            (1.3, 2.5),
            (0.6, 2.6),
            (-0.6, 2.6),
            (-1.3, 2.5),
            (-1.24, 1.0),
            (-1.2, -0.3),
            (-0.9, -1.0),
        ),
    )


def _long(pen: Pen, hair: Tones) -> None:
    lock = blob(
        (0.9, -0.5),
        (1.14, -0.55),
        (1.22, 0.4),
        (1.28, 1.5),
        (1.22, 2.6),
        (0.96, 2.72),
        (0.74, 2.5),
        (0.9, 1.4),
        (0.94, 0.4),
    )
    pen.fill(hair.base, PARTED, lock, lock * (-1, 1))
    for side in (-1, 1):
        pen.line(hair.shadow, 0.05, curve((side * 1.06, 0.3), (side * 1.08, 1.3), (side * 0.98, 2.3)))
        pen.line(hair.shine, 0.09, curve((side * 0.3, -1.16), (side * 0.74, -0.9), (side * 0.98, -0.5)))
    pen.line(hair.shadow, 0.05, curve((0, -1.38), (0.0, -1.0)))


def _wavy_back(pen: Pen, hair: Tones) -> None:
    pen.fill(
        hair.shadow,
        blob(
            (0, -1.3),
            (0.95, -1.0),
            (1.36, -0.1),
            (1.24, 0.5),
            (1.56, 1.1),
            (1.4, 1.7),
            (0.6, 1.9),
            (-0.6, 1.9),
            (-1.4, 1.7),
            (-1.56, 1.1),
            (-1.24, 0.5),
            (-1.36, -0.1),
            (-0.95, -1.0),
        ),
    )


def _wavy(pen: Pen, hair: Tones) -> None:
    lock = blob(
        (0.86, -0.7),
        (1.2, -0.5),
        (1.4, 0.0),
        (1.26, 0.5),
        (1.56, 1.0),
        (1.46, 1.6),
        (1.14, 1.86),
        (0.9, 1.6),
        (1.12, 1.14),
        (0.9, 0.6),
        (1.02, 0.1),
    )
    top = blob(
        (-0.4, -1.38),
        (0.4, -1.42),
        (1.0, -1.04),
        (1.22, -0.4),
        (1.04, 0.0),
        (0.86, -0.3),
        (0.36, -0.52),
        (-0.3, -0.94),
        (-0.56, -0.6),
        (-0.92, -0.26),
        (-1.0, 0.1),
        (-1.22, -0.4),
        (-0.96, -1.08),
    )
    pen.fill(hair.base, top, lock, lock * (-1, 1))
    for side in (-1, 1):
        pen.line(
            hair.shadow, 0.06, curve((side * 1.14, 0.1), (side * 1.06, 0.5), (side * 1.34, 1.0), (side * 1.2, 1.5))
        )
    pen.line(hair.shine, 0.1, curve((0.0, -1.14), (0.5, -1.02), (0.9, -0.66)))
    pen.line(hair.shadow, 0.05, curve((-0.36, -1.36), (-0.26, -1.02)))


def _bun_back(pen: Pen, hair: Tones) -> None:
    pen.fill(hair.base, circle(0, -1.74, 0.5))
    pen.line(hair.shadow, 0.06, curve((-0.3, -1.9), (0.0, -1.62), (0.34, -1.78)))
    pen.line(hair.shine, 0.07, oval(0, -1.74, 0.34, 0.34, 200, 280))


def _bun(pen: Pen, hair: Tones) -> None:
    swept = blob(
        (-1.04, 0.04),
        (-1.12, -0.5),
        (-0.76, -1.12),
        (0, -1.34),
        (0.76, -1.12),
        (1.12, -0.5),
        (1.04, 0.04),
        (0.96, -0.24),
        (0.78, -0.62),
        (0.4, -0.82),
        (0, -0.88),
        (-0.4, -0.82),
        (-0.78, -0.62),
        (-0.96, -0.24),
    )
    pen.fill(hair.base, swept)
    pen.fill((236, 92, 112), box(-0.26, -1.42, 0.26, -1.28))
    for x in (-0.66, 0.66):
        pen.line(hair.shadow, 0.045, curve((x * 1.2, -0.56), (x * 0.5, -1.2)))
    pen.line(hair.shine, 0.08, curve((-0.7, -0.92), (-0.4, -1.12)))


def _braided(pen: Pen, hair: Tones) -> None:
    pen.fill(hair.base, PARTED)
    pen.line(hair.shadow, 0.05, curve((0, -1.38), (0.0, -1.0)))
    for side in (-1, 1):
        pen.line(hair.shine, 0.09, curve((side * 0.3, -1.16), (side * 0.74, -0.9), (side * 0.98, -0.5)))
        links = [oval(side * (1.14 + 0.06 * n), 0.42 + 0.36 * n, 0.27, 0.24) for n in range(6)]
        pen.fill(hair.base, *links, blob((side * 1.44, 2.5), (side * 1.62, 2.86), (side * 1.26, 2.86)))
        for n in range(6):
            pen.line(hair.shadow, 0.06, oval(side * (1.14 + 0.06 * n), 0.42 + 0.36 * n, 0.22, 0.19, 20, 160))
        pen.fill((236, 92, 112), oval(side * 1.46, 2.52, 0.16, 0.1))


BACKS: dict[str, Part] = {
    "curly": _curly_back,
    "bob": _bob_back,
    "long": _long_back,
    "wavy": _wavy_back,
    "bun": _bun_back,
}
FRONTS: dict[str, Part] = {
    "bald": _nothing,
    "short": _short,
    "quiff": _quiff,
    "spiky": _spiky,
    "curly": _curly,
    "bob": _bob,
    "long": _long,
    "wavy": _wavy,
    "bun": _bun,
    "braided": _braided,
}


def _under_hat(pen: Pen, hair: Tones) -> None:
    """Draw what a hat leaves of hair that stands up: tufts at the temples and over the brow."""
    for side in (-1, 1):
        pen.fill(
            hair.base,
            blob(
                (side * 0.86, -0.7), (side * 1.12, -0.66), (side * 1.12, -0.1), (side * 1.0, 0.16), (side * 0.9, -0.2)
            ),
        )
    pen.fill(hair.base, blob((-0.5, -0.8), (0.5, -0.8), (0.62, -0.5), (0.2, -0.34), (-0.2, -0.44), (-0.6, -0.4)))


UNDER_HAT: dict[str, Part] = dict.fromkeys(("short", "quiff", "spiky", "bun"), _under_hat)


def draw_back(pen: Pen, style: str, colour: Colour, hat: str) -> None:
    BACKS.get(style, _nothing)(pen, tones(colour))


def draw_front(pen: Pen, style: str, colour: Colour, hat: str) -> None:
    (UNDER_HAT.get(style, FRONTS[style]) if hat else FRONTS[style])(pen, tones(colour))

"""Hair that ends above the shoulders, and what is visible of it under a hat. The unit is half a face's width."""

from .pen import Pen
from .shapes import blob, circle, curve, knots, oval, polygon
from .tones import Tones

CAP = blob(
    *knots(
        "-1.06 0.1  -1.15 -0.5  -0.78 -1.16  0 -1.38  0.78 -1.16  1.15 -0.5  1.06 0.1  0.95 -0.1  "
        "0.88 -0.5  0.5 -0.62  -0.05 -0.58  -0.62 -0.5  -0.9 -0.42  -0.95 -0.1"
    )
)
"""Hair close to the head, from ear to ear, with a hairline."""


def short_hair(pen: Pen, hair: Tones) -> None:
    pen.fill(hair.base, CAP)
    pen.shade(
        hair.base,
        blob(*knots("-0.9 -0.6  -0.3 -1.0  0.5 -1.0  0.9 -0.55  0.55 -0.5  0.1 -0.42  -0.5 -0.46")),
    )
    pen.line(hair.shadow, 0.05, curve((0.42, -1.2), (0.3, -0.9), (0.42, -0.6)))
    pen.line(hair.shine, 0.08, curve((-0.78, -0.78), (-0.5, -1.02), (-0.1, -1.14)))


def quiff_hair(pen: Pen, hair: Tones) -> None:
    sides = blob(
        *knots(
            "-1.03 0.08  -1.08 -0.5  -0.7 -1.1  0 -1.2  0.7 -1.1  1.08 -0.5  1.03 0.08  0.94 -0.2  "
            "0.84 -0.62  0 -0.72  -0.84 -0.62  -0.94 -0.2"
        )
    )
    pen.fill(hair.shadow, sides)
    top = blob(
        *knots(
            "-0.86 -0.6  -0.98 -1.02  -0.74 -1.5  -0.1 -1.86  0.6 -1.82  1.0 -1.5  0.96 -1.14  "
            "0.74 -0.98  0.84 -0.62  0.4 -0.74  -0.3 -0.66"
        )
    )
    pen.fill(hair.base, top)
    pen.line(hair.shine, 0.09, curve((-0.66, -1.1), (-0.38, -1.46), (0.14, -1.62), (0.6, -1.52)))
    pen.line(hair.shadow, 0.06, curve((-0.4, -0.84), (0.0, -1.16), (0.62, -1.24)))


def spiky_hair(pen: Pen, hair: Tones) -> None:
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


def curly_back(pen: Pen, hair: Tones) -> None:
    pen.fill(hair.base, oval(0, -0.35, 1.3, 1.2), *(circle(x, y, 0.36) for x, y in CURLS))
    for x, y in CURLS[1:-1:2]:
        pen.line(hair.shadow, 0.06, oval(x, y, 0.2, 0.2, 200, 400))


def curly_hair(pen: Pen, hair: Tones) -> None:
    pen.fill(hair.base, *(circle(x, y, 0.27) for x, y in FRINGE_CURLS))
    for x, y in FRINGE_CURLS:
        pen.line(hair.shadow, 0.05, oval(x, y, 0.14, 0.14, 20, 200))
    for x, y in ((-0.86, -0.98), (-0.2, -1.28), (0.5, -1.16), (1.0, -0.6)):
        pen.line(hair.shine, 0.06, oval(x, y, 0.16, 0.16, 180, 330))


def under_hat(pen: Pen, hair: Tones) -> None:
    """Draw what is visible of hair under a hat: tufts at the temples and over the forehead."""
    for side in (-1, 1):
        pen.fill(
            hair.base,
            blob(
                (side * 0.86, -0.7), (side * 1.12, -0.66), (side * 1.12, -0.1), (side * 1.0, 0.16), (side * 0.9, -0.2)
            ),
        )
    pen.fill(hair.base, blob(*knots("-0.5 -0.8  0.5 -0.8  0.62 -0.5  0.2 -0.34  -0.2 -0.44  -0.6 -0.4")))

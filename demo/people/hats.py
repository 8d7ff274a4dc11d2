"""Hats, in the head's coordinates: they start at the hairline and cover the top of the head."""

from .pen import Colour, Pen, darker, lighter, mix
from .shapes import blob, box, circle, curve, knots, oval, polygon

STRAW, GOLD = (236, 204, 132), (250, 200, 60)


def _cap(pen: Pen, colour: Colour) -> None:
    pen.fill(
        colour,
        blob(
            *knots(
                "-1.16 -0.62  -1.1 -1.2  -0.6 -1.68  0.1 -1.78  0.8 -1.54  1.16 -1.0  1.16 -0.62  0.5 -0.74  -0.5 -0.74"
            )
        ),
    )
    pen.shade(darker(colour, 0.2), polygon((-0.03, -1.74), (0.07, -1.74), (0.1, -0.76), (0.0, -0.76)))
    pen.fill(
        darker(colour, 0.25),
        blob(*knots("-0.9 -0.74  0.1 -0.9  1.0 -0.8  1.7 -0.5  1.66 -0.38  0.9 -0.54  0.0 -0.56  -0.84 -0.56")),
    )
    pen.fill(lighter(colour, 0.4), circle(0.02, -1.76, 0.1))


def _bobble_hat(pen: Pen, colour: Colour) -> None:
    pen.fill(
        lighter(colour, 0.55), *(circle(x, y, 0.2) for x, y in ((0, -2.06), (-0.16, -1.96), (0.16, -1.96), (0, -1.88)))
    )
    pen.fill(colour, blob(*knots("-1.14 -0.7  -1.08 -1.2  -0.66 -1.7  0 -1.88  0.66 -1.7  1.08 -1.2  1.14 -0.7")))
    for x in (-0.56, 0.0, 0.56):
        pen.line(darker(colour, 0.16), 0.07, curve((x * 1.25, -0.9), (x * 1.1, -1.3), (x * 0.55, -1.74)))
    pen.fill(lighter(colour, 0.35), blob(*knots("-1.2 -0.94  0 -1.06  1.2 -0.94  1.22 -0.56  0 -0.64  -1.22 -0.56")))


def _sun_hat(pen: Pen, colour: Colour) -> None:
    pen.fill(STRAW, oval(0, -0.72, 1.98, 0.44))
    pen.shade(darker(STRAW, 0.2), oval(0, -0.62, 1.5, 0.22))
    pen.fill(
        STRAW,
        blob(*knots("-0.98 -0.8  -0.92 -1.3  -0.55 -1.72  0 -1.82  0.55 -1.72  0.92 -1.3  0.98 -0.8  0 -0.66")),
    )
    pen.fill(colour, blob(*knots("-1.0 -1.06  0 -0.96  1.0 -1.06  1.02 -0.78  0 -0.66  -1.02 -0.78")))


def _crown(pen: Pen, colour: Colour) -> None:
    pen.fill(
        GOLD,
        polygon(
            (-0.92, -0.72), (-1.08, -1.72), (-0.52, -1.24), (0, -1.96), (0.52, -1.24), (1.08, -1.72), (0.92, -0.72)
        ),
    )
    pen.shade(darker(GOLD, 0.16), box(-0.93, -0.94, 0.93, -0.76))
    for x, y in ((-1.08, -1.74), (0, -1.98), (1.08, -1.74)):
        pen.fill(mix(GOLD, (255, 255, 255), 0.45), circle(x, y, 0.13))
    for x in (-0.5, 0.0, 0.5):
        pen.fill(colour, circle(x, -1.04, 0.13))


HATS = {"cap": _cap, "bobble hat": _bobble_hat, "sun hat": _sun_hat, "crown": _crown}


def draw_hat(pen: Pen, hat: str, colour: Colour) -> None:
    HATS[hat](pen, colour)

"""Neck, shoulders and clothes, in the head's coordinates: the chin is near y = 1.2, the shoulders near y = 1.8."""

from collections.abc import Callable

from .pen import Colour, Pen, darker, lighter
from .shapes import blob, box, circle, curve, knots, oval, polygon

TORSO = blob(
    *knots("-0.5 1.5  0.5 1.5  1.2 1.72  1.62 2.05  1.8 2.8  1.86 5.6  -1.86 5.6  -1.8 2.8  -1.62 2.05  -1.2 1.72")
)
NECK_HOLE = oval(0, 1.52, 0.56, 0.34)
BOTTOM = 6.0

Garment = Callable[[Pen, Colour, Colour], None]


def draw_body(pen: Pen, skin: Colour, clothes: str, colour: Colour) -> None:
    """Draw everything below the head; what lies behind the neck comes first."""
    if clothes == "hoodie":
        pen.fill(darker(colour, 0.22), blob(*knots("-1.16 1.86  -1.02 1.14  0 0.86  1.02 1.14  1.16 1.86  0 2.3")))
    GARMENTS[clothes](pen, colour, skin)
    for side in (-1, 1):
        pen.line(darker(colour, 0.22), 0.06, curve((side * 1.2, 2.75), (side * 1.28, 3.6), (side * 1.24, BOTTOM)))


def draw_neck(pen: Pen, skin: Colour) -> None:
    pen.fill(skin, blob(*knots("-0.4 0.6  0.4 0.6  0.42 1.4  0.34 1.68  0 1.8  -0.34 1.68  -0.42 1.4")))
    pen.shade(darker(skin, 0.2), oval(0, 1.16, 0.42, 0.36))


def _torso(pen: Pen, colour: Colour) -> None:
    pen.fill(colour, TORSO)


def _t_shirt(pen: Pen, colour: Colour, skin: Colour) -> None:
    _torso(pen, skin)
    sleeve = blob(*knots("0.9 1.62  1.3 1.76  1.66 2.05  1.9 2.9  1.86 3.1  1.26 3.12  1.1 2.4"))
    pen.fill(
        colour,
        blob(*knots("-0.5 1.5  0.5 1.5  1.2 1.72  1.3 2.6  1.24 5.6  -1.24 5.6  -1.3 2.6  -1.2 1.72")),
        sleeve,
        sleeve * (-1, 1),
    )
    pen.shade(lighter(colour, 0.3), oval(0, 1.56, 0.66, 0.44))
    pen.shade(skin, NECK_HOLE)


def _jumper(pen: Pen, colour: Colour, skin: Colour) -> None:
    _torso(pen, colour)
    stripe = lighter(colour, 0.72) if sum(colour) < 600 else (70, 92, 150)
    for y in (2.2, 2.9, 3.6, 4.3, 5.0):
        half = 1.5 if y < 2.5 else 1.7
        pen.shade(
            stripe,
            blob(
                (-half, y), (0, y + 0.12), (half, y), (half + 0.03, y + 0.32), (0, y + 0.44), (-half - 0.03, y + 0.32)
            ),
        )
    pen.fill(darker(colour, 0.12), oval(0, 1.56, 0.68, 0.42))
    pen.shade(darker(skin, 0.2), NECK_HOLE)


def _hoodie(pen: Pen, colour: Colour, skin: Colour) -> None:
    _torso(pen, colour)
    pen.shade(darker(colour, 0.22), blob((-0.8, 1.5), (0.8, 1.5), (0.66, 1.96), (0, 2.3), (-0.66, 1.96)))
    pen.shade(darker(skin, 0.2), oval(0, 1.56, 0.5, 0.42))
    for side in (-1, 1):
        pen.line((250, 248, 240), 0.08, curve((side * 0.34, 2.06), (side * 0.36, 2.6), (side * 0.3, 2.95)))
    pen.fill(darker(colour, 0.12), polygon((-0.66, 3.7), (0.66, 3.7), (0.95, 4.7), (-0.95, 4.7)))


def _shirt(pen: Pen, colour: Colour, skin: Colour) -> None:
    _torso(pen, colour)
    pen.line(darker(colour, 0.25), 0.05, curve((0, 2.1), (0, BOTTOM)))
    for y in (2.5, 3.1, 3.7, 4.3):
        pen.shade(darker(colour, 0.4), circle(0.13, y, 0.075))
    pen.shade(skin, polygon((-0.46, 1.5), (0.46, 1.5), (0, 2.2)))
    collar = polygon((0.36, 1.36), (0.86, 1.62), (0.62, 2.3), (0.0, 2.02))
    pen.fill(lighter(colour, 0.3), collar)
    pen.fill(lighter(colour, 0.3), collar * (-1, 1))


def _jacket(pen: Pen, colour: Colour, skin: Colour) -> None:
    _torso(pen, colour)
    pen.shade(
        (250, 247, 240), polygon((-0.6, 1.46), (0.6, 1.46), (0.5, 2.4), (0.36, BOTTOM), (-0.36, BOTTOM), (-0.5, 2.4))
    )
    pen.shade(skin, NECK_HOLE)
    lapel = polygon((0.46, 1.4), (0.9, 1.6), (1.06, 2.5), (0.76, 2.62), (0.84, 2.86), (0.36, 3.9))
    pen.fill(darker(colour, 0.18), lapel)
    pen.fill(darker(colour, 0.18), lapel * (-1, 1))


def _dungarees(pen: Pen, colour: Colour, skin: Colour) -> None:
    shirt = (250, 246, 234) if sum(colour) < 640 else (232, 120, 110)
    _torso(pen, shirt)
    pen.shade(darker(shirt, 0.14), oval(0, 1.56, 0.64, 0.42))
    pen.shade(skin, NECK_HOLE)
    for side in (-1, 1):
        pen.fill(colour, polygon((side * 0.62, 1.54), (side * 0.94, 1.62), (side * 0.96, 3.0), (side * 0.6, 3.0)))
    pen.fill(colour, box(-1.02, 2.76, 1.02, BOTTOM))
    for side in (-1, 1):
        pen.shade((250, 204, 80), circle(side * 0.78, 2.96, 0.14))
    pen.line(darker(colour, 0.25), 0.06, polygon((-0.5, 3.4), (-0.5, 4.1), (0.5, 4.1), (0.5, 3.4), (-0.5, 3.4)))


GARMENTS: dict[str, Garment] = {
    "t-shirt": _t_shirt,
    "striped jumper": _jumper,
    "hoodie": _hoodie,
    "shirt": _shirt,
    "jacket": _jacket,
    "dungarees": _dungarees,
}

"""A head: face, ears, eyes, brows, nose, mouth, beard, freckles and glasses. The unit is half a face's width."""

from .appearance import Appearance
from .identity import EYES, HAIR, SKIN, Identity
from .pen import Colour, Pen, darker, lighter, mix
from .shapes import XY, Points, blob, both_sides, circle, curve, knots, oval, shifted

WHITE, LIPS, MOUTH = (255, 253, 248), (196, 74, 82), (122, 38, 52)

OUTLINES: dict[str, tuple[XY, ...]] = {
    "round": ((0, -1.12), (0.66, -0.96), (1.06, -0.34), (1.13, 0.2), (0.95, 0.72), (0.52, 1.04), (0, 1.13)),
    "oval": ((0, -1.14), (0.6, -1.0), (0.94, -0.38), (0.97, 0.15), (0.8, 0.74), (0.42, 1.14), (0, 1.27)),
    "square": ((0, -1.12), (0.68, -1.0), (1.02, -0.44), (1.05, 0.2), (1.03, 0.74), (0.68, 1.16), (0, 1.2)),
    "long": ((0, -1.18), (0.54, -1.04), (0.83, -0.42), (0.85, 0.2), (0.76, 0.92), (0.42, 1.4), (0, 1.52)),
    "heart": ((0, -1.12), (0.68, -0.98), (1.08, -0.44), (1.05, 0.1), (0.7, 0.72), (0.24, 1.2), (0, 1.31)),
}
"""Right halves of the faces' outlines, from the top of the head to the chin."""

WIDTHS = {"round": 1.07, "oval": 0.95, "square": 1.02, "long": 0.84, "heart": 1.07}
"""Half the width of the head at the hair."""


def outline(face: str) -> Points:
    return blob(*both_sides(OUTLINES[face]))


def chin(face: str) -> float:
    return OUTLINES[face][-1][1]


def draw_face(pen: Pen, who: Identity, how: Appearance) -> None:
    """Draw a face with everything on it and its ears, but without hair."""
    skin = SKIN[who.skin]
    _ears(pen, who, skin)
    pen.fill(skin, outline(who.face))
    if who.beard in ("stubble", "full"):
        _whiskers(pen, who)
    front = pen.moved(0.16 * how.turn, 0.0)
    _cheeks(front, who, skin)
    if who.glasses:
        _lenses(front, who)
    if who.beard in ("goatee", "moustache"):
        _beard(front, who)
    _mouth(front, who, how.expression)
    for side in (-1, 1):
        eye = front.moved(side * 0.43 * WIDTHS[who.face], 0.08).stretched(side, 1)
        _eye(eye, who, how.expression)
        _brow(eye, who, how.expression)
    _nose(front.moved(0.07 * how.turn, 0), who, skin)
    if who.glasses:
        _glasses(front, who)


def _ears(pen: Pen, who: Identity, skin: Colour) -> None:
    width = WIDTHS[who.face]
    for side in (-1, 1):
        pen.fill(skin, oval(side * width * 1.04, 0.16, 0.19, 0.25))
        pen.shade(darker(skin, 0.18), oval(side * width * 1.06, 0.17, 0.09, 0.14))


def _cheeks(pen: Pen, who: Identity, skin: Colour) -> None:
    for side in (-1, 1):
        x = side * 0.6 * WIDTHS[who.face]
        pen.shade(mix(skin, (236, 92, 92), 0.28), oval(x, 0.46, 0.2, 0.14))
        if who.freckles:
            spot = mix(skin, (128, 52, 20), 0.6)
            for dx, dy in ((-0.14, 0.34), (0.0, 0.42), (0.14, 0.33), (-0.07, 0.52), (0.1, 0.52)):
                pen.shade(spot, circle(side * 0.5 * WIDTHS[who.face] + dx, dy, 0.042))


def _eye(pen: Pen, who: Identity, expression: str) -> None:
    """Draw the right eye around the origin; the left one is its mirror image."""
    lash = (46, 30, 36)
    skin = SKIN[who.skin]
    if expression == "laughing":
        pen.line(lash, 0.085, curve((-0.2, 0.06), (-0.1, -0.07), (0.08, -0.07), (0.2, 0.06)))
        return
    open_wide = 1.15 if expression == "surprised" else 1.0
    height = {"wide": 0.25, "almond": 0.17, "sleepy": 0.2}[who.lids] * open_wide
    width = {"wide": 0.22, "almond": 0.27, "sleepy": 0.24}[who.lids]
    pen.shade(WHITE, oval(0, 0, width, height))
    pen.shade(EYES[who.eyes], oval(0, 0.01, min(0.16, height), min(0.17, height)))
    pen.shade((24, 18, 26), circle(0, 0.01, 0.085))
    pen.shade(WHITE, circle(0.055, -0.06, 0.042))
    if who.lids == "sleepy":
        pen.shade(darker(skin, 0.14), oval(0, 0, width + 0.02, height + 0.03, 182, 358))
        pen.line(lash, 0.06, curve((-width, 0.0), (0, 0.015), (width + 0.03, -0.01)))
    elif who.lids == "almond":
        pen.line(lash, 0.075, curve((-width, 0.02), (-0.1, -height), (0.12, -height), (width + 0.09, -0.06)))
    else:
        pen.line(lash, 0.055, curve((-width, -0.06), (-0.11, -height), (0.11, -height), (width, -0.06)))


def _brow(pen: Pen, who: Identity, expression: str) -> None:
    hair = darker(HAIR[who.hair_colour], 0.32)
    width = {"thin": 0.055, "thick": 0.15, "arched": 0.075}[who.brows]
    inner, middle, outer = {"thin": (0, -0.04, 0.0), "thick": (0.02, -0.03, 0.02), "arched": (0.06, -0.15, 0.04)}[
        who.brows
    ]
    lift = {"surprised": -0.17, "laughing": -0.06}.get(expression, 0.0)
    worry = 0.13 if expression == "sad" else 0.0
    y = -0.36 + lift
    pen.line(hair, width, curve((-0.24, y + inner - worry), (0.03, y + middle), (0.27, y + outer + worry)))


def _nose(pen: Pen, who: Identity, skin: Colour) -> None:
    pen.line(darker(skin, 0.3), 0.06, curve((-0.1, 0.38), (-0.04, 0.45), (0.06, 0.44), (0.11, 0.36)))


def _mouth(pen: Pen, who: Identity, expression: str) -> None:
    pen = pen.moved(0, chin(who.face) * 0.3 + 0.34)
    lip = mix(LIPS, SKIN[who.skin], 0.2) if who.skin not in ("dark", "brown") else (150, 52, 58)
    if expression == "smiling":
        pen.line(lip, 0.085, curve((-0.3, -0.07), (-0.16, 0.06), (0.16, 0.06), (0.3, -0.07)))
    elif expression == "laughing":
        pen.shade(MOUTH, oval(0, -0.1, 0.34, 0.33, 0, 180))
        pen.shade(WHITE, oval(0, -0.1, 0.31, 0.12, 0, 180))
        pen.shade((226, 96, 104), oval(0, 0.16, 0.16, 0.09))
    elif expression == "calm":
        pen.line(lip, 0.085, curve((-0.2, 0.0), (0.0, 0.012), (0.2, 0.0)))
    elif expression == "surprised":
        pen.shade(MOUTH, oval(0, 0.03, 0.13, 0.18))
    else:
        pen.line(lip, 0.085, curve((-0.23, 0.1), (-0.12, -0.02), (0.12, -0.02), (0.23, 0.1)))


def _whiskers(pen: Pen, who: Identity) -> None:
    """Draw what covers the jaw: a full beard, or stubble."""
    hair = HAIR[who.hair_colour]
    grow = 1.08 if who.beard == "full" else 0.985
    jaw = [(x * grow, y * (1.1 if who.beard == "full" else 0.99)) for x, y in OUTLINES[who.face] if y > 0.05]
    width = WIDTHS[who.face]
    top = ((0.8 * width, 0.36), (0.52 * width, 0.52), (0.22, 0.5), (0, 0.53))
    knots = both_sides((*reversed(top), *jaw))
    colour = darker(hair, 0.06) if who.beard == "full" else mix(SKIN[who.skin], darker(hair, 0.4), 0.3)
    if who.beard == "full":
        pen.fill(colour, blob(*knots))
        pen.shade(lighter(colour, 0.14), oval(0, chin(who.face) * 0.3 + 0.36, 0.3, 0.12))
    else:
        pen.shade(colour, blob(*knots))


def _beard(pen: Pen, who: Identity) -> None:
    hair = darker(HAIR[who.hair_colour], 0.08)
    if who.beard == "moustache":
        pen.fill(
            hair,
            blob(
                *knots(
                    "0 0.48  0.22 0.48  0.5 0.62  0.46 0.7  0.2 0.64  0 0.6  -0.2 0.64  -0.46 0.7  -0.5 0.62  "
                    "-0.22 0.48"
                )
            ),
        )
        return
    low = chin(who.face)
    top = low * 0.3 + 0.62
    pen.fill(
        hair,
        blob(
            (0, top),
            (0.3, top + 0.06),
            (0.36, low - 0.1),
            (0.2, low + 0.14),
            (0, low + 0.24),
            (-0.2, low + 0.14),
            (-0.36, low - 0.1),
            (-0.3, top + 0.06),
        ),
    )


LENSES = {
    "round": oval(0, 0, 0.35, 0.35),
    "square": blob(*knots("-0.37 -0.24  0 -0.27  0.37 -0.24  0.38 0.0  0.31 0.27  0 0.3  -0.31 0.27  -0.38 0.0")),
}
FRAME = (40, 36, 50)


def _lenses(pen: Pen, who: Identity) -> None:
    """Lighten the skin behind the lenses, so that the frames are visible on any skin."""
    for side in (-1, 1):
        pen.shade(lighter(SKIN[who.skin], 0.34), shifted(LENSES[who.glasses], side * 0.45 * WIDTHS[who.face], 0.08))


def _glasses(pen: Pen, who: Identity) -> None:
    apart, r = 0.45 * WIDTHS[who.face], 0.35
    for side in (-1, 1):
        pen.line(FRAME, 0.085, shifted(LENSES[who.glasses], side * apart, 0.08))
        pen.line(FRAME, 0.07, curve((side * (apart + r), 0.0), (side * 1.04 * WIDTHS[who.face], -0.04)))
    pen.line(FRAME, 0.085, curve((-apart + r, 0.05), (0, 0.0), (apart - r, 0.05)))

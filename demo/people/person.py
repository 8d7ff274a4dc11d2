"""Draws a whole person, from back to front, in the head's coordinates."""

from .appearance import COLOURS, Appearance
from .body import draw_body, draw_neck
from .hair import draw_back, draw_front
from .hats import draw_hat
from .head import WIDTHS, draw_face
from .identity import HAIR, SKIN, Identity
from .pen import Pen


def draw_person(pen: Pen, who: Identity, how: Appearance) -> None:
    skin, hair = SKIN[who.skin], HAIR[who.hair_colour]
    if how.flip:
        pen = pen.stretched(-1, 1)
    head = _tilted(pen, how)
    wide = head.stretched(WIDTHS[who.face], 1)
    draw_back(wide, who.hair, hair)
    draw_body(pen, skin, how.clothes, COLOURS[how.clothes_colour])
    draw_neck(pen, skin)
    draw_face(head, who, how)
    draw_front(wide.moved(0.05 * how.turn, 0), who.hair, hair, how.hat)
    if how.hat:
        draw_hat(wide.moved(0.05 * how.turn, 0), how.hat, COLOURS[how.hat_colour])


def head_pen(pen: Pen, how: Appearance) -> Pen:
    """Return the pen for the head of a person that `pen` draws."""
    return _tilted(pen.stretched(-1, 1) if how.flip else pen, how)


def _tilted(pen: Pen, how: Appearance) -> Pen:
    return pen.moved(0, 1.2).moved(0, -1.2, tilt=how.tilt)

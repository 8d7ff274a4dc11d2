"""Where the faces of a picture are, in pixels: training data for a face detector and a recogniser."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .appearance import Appearance
from .head import WIDTHS, chin, outline
from .identity import Identity
from .pen import FINER, Ink, Pen, new_pen
from .person import head_pen
from .shapes import Points
from .world import Picture, pens


@dataclass(frozen=True)
class Face:
    """A person's face: box (left, top, right, bottom) and five points (5, xy) in insightface's order.

    The points are the eye on the left of the picture, the other eye, the nose and the mouth's corners, left first.
    """

    who: Identity
    box: NDArray[np.float64]
    points: NDArray[np.float64]


def faces(picture: Picture) -> list[Face]:
    """Return the faces from left to right; parts of a close face may be outside the picture."""
    pen = new_pen(Image.new("RGB", (1, 1)), Ink())
    found = zip(picture.people, pens(pen, picture), strict=False)
    return [_face(place, person.who, person.how) for person, place in found]


def _face(pen: Pen, who: Identity, how: Appearance) -> Face:
    head = head_pen(pen, how)
    edge = _placed(head, outline(who.face))
    points = _placed(head, np.array(_features(who, how.turn)))
    if how.flip:
        points = points[[1, 0, 2, 4, 3]]
    return Face(who, np.concatenate([edge.min(0), edge.max(0)]), points)


def _features(who: Identity, turn: float) -> list[tuple[float, float]]:
    """Return the eyes, the nose and the corners of the mouth in the head's coordinates, as they are drawn."""
    middle, eyes, mouth = 0.16 * turn, 0.43 * WIDTHS[who.face], chin(who.face) * 0.3 + 0.34
    return [
        (middle - eyes, 0.08),
        (middle + eyes, 0.08),
        (middle + 0.07 * turn, 0.42),
        (middle - 0.26, mouth),
        (middle + 0.26, mouth),
    ]


def _placed(pen: Pen, points: Points) -> NDArray[np.float64]:
    return (points @ pen.matrix[:, :2].T + pen.matrix[:, 2]) / FINER

"""The picture of a face's five points that InstantID's ControlNet takes: where a face is to be, and how it turns."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from ..base.boxes import Size
from .insightface_models import Face, Point

LIMBS = ((0, 2), (1, 2), (3, 2), (4, 2))
"""Lines from eyes and corners of the mouth to the nose; each has the colour of the point where it begins."""
COLOURS = ((255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (255, 0, 255))
HALF_WIDTH, RADIUS = 4, 10
"""Of a line and of a point, in pixels."""
DIMMED = 0.6
"""How bright lines are beside points."""


def draw_keypoints(points: Sequence[Point], size: Size) -> Image.Image:
    """Return a black RGB picture with five points, in pixels and in `Face`'s order, and lines from four to the nose.

    Source: InstantX's InstantID, `pipeline_stable_diffusion_xl_instantid.draw_kps`, to the pixel: its ControlNet was
    trained on such pictures.
    """
    import cv2

    given = np.asarray(points, dtype=np.float32)  # as insightface has them, for the rounding to be the same
    canvas = np.zeros((*size, 3), dtype=np.uint8)
    for start, nose in LIMBS:
        (x0, y0), (x1, y1) = given[start], given[nose]
        centre = int((x0 + x1) / 2), int((y0 + y1) / 2)
        half = int(((x0 - x1) ** 2 + (y0 - y1) ** 2) ** 0.5 / 2)
        turned = int(math.degrees(math.atan2(y0 - y1, x0 - x1)))
        line: Any = cv2.ellipse2Poly(centre, (half, HALF_WIDTH), turned, 0, 360, 1)
        cv2.fillConvexPoly(canvas, line, COLOURS[start])
    canvas = (canvas * DIMMED).astype(np.uint8)
    for (x, y), colour in zip(given, COLOURS, strict=True):
        cv2.circle(canvas, (int(x), int(y)), RADIUS, colour, -1)
    return Image.fromarray(canvas)


@dataclass(frozen=True)
class Place:
    """Where a face is to be, as fractions of a picture."""

    x: float
    y: float
    """Of its centre, from the left and from the top."""
    height: float


def placed(face: Face, place: Place, size: Size) -> list[Point]:
    """Return a face's points in pixels where its box is at a place of a picture of this size."""
    _, upper, _, lower = face.box
    scale = place.height * size[0] / (lower - upper)
    across, down = place.x * size[1] - face.centre[0] * scale, place.y * size[0] - face.centre[1] * scale
    return [(x * scale + across, y * scale + down) for x, y in face.points]


def fitted(face: Face, photo: Size, size: Size) -> list[Point]:
    """Return a face's points in pixels of a picture of this size with the whole photo in its middle, undistorted."""
    scale = min(size[0] / photo[0], size[1] / photo[1])
    down, across = ((whole - part * scale) / 2 for whole, part in zip(size, photo, strict=True))
    return [(x * scale + across, y * scale + down) for x, y in face.points]

"""The key point picture for InstantID's ControlNet, which sets a face's position and pose."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from ..base.boxes import Size
from .insightface_models import Face, Point

LIMBS = ((0, 2), (1, 2), (3, 2), (4, 2))
"""Lines from eyes and corners of the mouth to the nose; each has the colour of its first point."""
COLOURS = ((255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (255, 0, 255))
HALF_WIDTH, RADIUS = 4, 10
"""Half width of a line and radius of a point, in pixels."""
DIMMED = 0.6
"""Brightness of lines relative to points."""


def draw_keypoints(points: Sequence[Point], size: Size) -> Image.Image:
    """Return five points, in pixels and in `Face`'s order, drawn on black RGB with lines from four of them to the nose.

    Identical to InstantID's `pipeline_stable_diffusion_xl_instantid.draw_kps` (InstantX) to the pixel, because its
    ControlNet was trained on such pictures.
    """
    import cv2

    given = np.asarray(points, dtype=np.float32)  # insightface's dtype, for the same rounding
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
    """A face's target position and size, as fractions of a picture."""

    x: float
    y: float
    """The face's centre, from the left and from the top."""
    height: float


def placed(face: Face, place: Place, size: Size) -> list[Point]:
    """Return a face's points in pixels, moved so that its box is at `place` in a picture of this size."""
    _, upper, _, lower = face.box
    scale = place.height * size[0] / (lower - upper)
    across, down = place.x * size[1] - face.centre[0] * scale, place.y * size[0] - face.centre[1] * scale
    return [(x * scale + across, y * scale + down) for x, y in face.points]


def fitted(face: Face, photo: Size, size: Size) -> list[Point]:
    """Return a face's points in pixels, with the whole photo fitted and centred in a picture of this size."""
    scale = min(size[0] / photo[0], size[1] / photo[1])
    down, across = ((whole - part * scale) / 2 for whole, part in zip(size, photo, strict=True))
    return [(x * scale + across, y * scale + down) for x, y in face.points]

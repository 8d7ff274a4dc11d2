"""Closed outlines and curves as arrays of points: (points, xy), in whatever unit the caller draws in."""

from collections.abc import Iterable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]
XY = tuple[float, float]

STEPS = 6
"""Points that a curve takes between two of its knots."""


@lru_cache(maxsize=4096)
def oval(x: float, y: float, rx: float, ry: float, begin: float = 0.0, end: float = 360.0) -> Points:
    """Return an ellipse, or the part of it between two angles in degrees, clockwise from the right."""
    angles = np.radians(np.linspace(begin, end, 33))
    return np.stack([x + rx * np.cos(angles), y + ry * np.sin(angles)], 1)


def circle(x: float, y: float, r: float) -> Points:
    return oval(x, y, r, r)


@lru_cache(maxsize=4096)
def box(left: float, top: float, right: float, bottom: float) -> Points:
    return np.array([(left, top), (right, top), (right, bottom), (left, bottom)])


def polygon(*corners: XY) -> Points:
    return np.array(corners)


@lru_cache(maxsize=4096)
def blob(*knots: XY) -> Points:
    """Return a closed smooth outline through the knots (Catmull-Rom)."""
    return _smooth(np.array((knots[-1], *knots, knots[0], knots[1])))


@lru_cache(maxsize=4096)
def curve(*knots: XY) -> Points:
    """Return an open smooth curve through the knots."""
    return _smooth(np.array((knots[0], *knots, knots[-1])))


def _smooth(knots: Points) -> Points:
    before, begin, end, after = (knots[n : len(knots) - 3 + n, None] for n in range(4))  # (pieces, 1, xy)
    t = np.linspace(0, 1, STEPS, endpoint=False)[:, None]
    pieces = 0.5 * (
        2 * begin
        + (end - before) * t
        + (2 * before - 5 * begin + 4 * end - after) * t**2
        + (3 * begin - before - 3 * end + after) * t**3
    )
    return np.concatenate([pieces.reshape(-1, 2), knots[-2:-1]])


def both_sides(right_half: Iterable[XY]) -> tuple[XY, ...]:
    """Return the knots of a symmetric outline, given its right half from top to bottom; x = 0 belongs to both."""
    right = tuple(right_half)
    return (*right, *((-x, y) for x, y in reversed(right) if x))


def mirrored(points: Points) -> Points:
    return points * np.array((-1, 1))


def shifted(points: Points, x: float, y: float) -> Points:
    return points + np.array((x, y))

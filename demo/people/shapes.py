"""Closed outlines and curves as arrays of points: (points, xy), in the caller's unit."""

from collections.abc import Iterable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]
XY = tuple[float, float]

STEPS = 6
"""Points of a curve from one knot to the next."""


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
def blob(*points: XY) -> Points:
    """Return a smooth, closed outline through the points (Catmull-Rom)."""
    return _smooth(np.array((points[-1], *points, points[0], points[1])))


@lru_cache(maxsize=4096)
def curve(*points: XY) -> Points:
    """Return a smooth, open curve through the points."""
    return _smooth(np.array((points[0], *points, points[-1])))


def _smooth(through: Points) -> Points:
    before, begin, end, after = (through[n : len(through) - 3 + n, None] for n in range(4))  # (pieces, 1, xy)
    t = np.linspace(0, 1, STEPS, endpoint=False)[:, None]
    pieces = 0.5 * (
        2 * begin
        + (end - before) * t
        + (2 * before - 5 * begin + 4 * end - after) * t**2
        + (3 * begin - before - 3 * end + after) * t**3
    )
    return np.concatenate([pieces.reshape(-1, 2), through[-2:-1]])


@lru_cache(maxsize=4096)
def knots(written: str) -> tuple[XY, ...]:
    """Return the points of an outline written as "x y  x y  x y"."""
    numbers = [float(number) for number in written.split()]
    return tuple(zip(numbers[::2], numbers[1::2], strict=True))


def both_sides(right_half: Iterable[XY]) -> tuple[XY, ...]:
    """Return the knots of a symmetric outline from its right half, top to bottom; knots at x = 0 belong to both."""
    right = tuple(right_half)
    return (*right, *((-x, y) for x, y in reversed(right) if x))


def mirrored(points: Points) -> Points:
    return points * np.array((-1, 1))


def shifted(points: Points, x: float, y: float) -> Points:
    return points + np.array((x, y))

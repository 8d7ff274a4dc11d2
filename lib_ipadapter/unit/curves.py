"""How the weight changes from a unit's start to its end: named curves and points of the field `curve`."""

import math
from bisect import bisect_right
from collections.abc import Callable, Mapping

CURVES: Mapping[str, Callable[[float], float]] = {
    "linear in": lambda at: at,
    "linear out": lambda at: 1.0 - at,
    "cosine in": lambda at: (1.0 - math.cos(math.pi * at)) / 2,
    "cosine out": lambda at: (1.0 + math.cos(math.pi * at)) / 2,
}
"""Factor of the weight at a fraction (0..1) of the way from start to end."""


def points(text: str) -> tuple[tuple[float, float], ...]:
    """Return the pairs of a text such as `0:1, 0.4:1, 0.6:0`; raises `ValueError` for any other text."""
    if not text.isascii() or "_" in text:  # float() accepts both
        raise ValueError(text)
    pairs = [entry.split(":") for entry in text.split(",")] if text.strip() else []
    return tuple((float(at), float(value)) for at, value in pairs)


def curve_factor(curve: str, at: float) -> float:
    """Return a curve's factor, given by name or points, at a fraction (0..1) of the way from start to end."""
    named = CURVES.get(curve)
    return named(at) if named else _between(points(curve), at)


def _between(pairs: tuple[tuple[float, float], ...], at: float) -> float:
    """Interpolate linearly between the points, constant before the first and after the last."""
    places = [place for place, _ in pairs]
    after = bisect_right(places, at)
    if after == 0:
        return pairs[0][1]
    if after == len(pairs):
        return pairs[-1][1]
    (left, low), (right, high) = pairs[after - 1], pairs[after]
    return low + (high - low) * (at - left) / (right - left)

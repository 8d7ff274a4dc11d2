"""Regions of a picture as text: one for a unit, or one for each of its references or faces."""

from collections.abc import Mapping
from dataclasses import dataclass

from ..base.boxes import Box

NAMED: Mapping[str, Box] = {
    "left half": (0, 0, 1 / 2, 1),
    "right half": (1 / 2, 0, 1, 1),
    "top half": (0, 0, 1, 1 / 2),
    "bottom half": (0, 1 / 2, 1, 1),
    "left third": (0, 0, 1 / 3, 1),
    "middle third": (1 / 3, 0, 2 / 3, 1),
    "right third": (2 / 3, 0, 1, 1),
    "top left": (0, 0, 1 / 2, 1 / 2),
    "top right": (1 / 2, 0, 1, 1 / 2),
    "bottom left": (0, 1 / 2, 1 / 2, 1),
    "bottom right": (1 / 2, 1 / 2, 1, 1),
}

ACROSS, DOWN = 0, 1
SPREADS: Mapping[str, int] = {"left to right": ACROSS, "top to bottom": DOWN}
"""Texts that divide the picture into equal parts, one per reference or face, and the axis of the division."""

FEATHER = "feather"


@dataclass(frozen=True)
class Area:
    """A box with feathered edges."""

    box: Box
    feather: float = 0.0
    """Width of the feathered edge as a fraction of the picture, centred on the edge, so that adjacent areas add up
    to 1. Edges of the picture itself are not feathered."""


@dataclass(frozen=True)
class Places:
    """The parsed value of a unit's `region`."""

    boxes: tuple[Box, ...] = ()
    axis: int | None = None
    """Axis along which the picture is divided equally; None with boxes, or without a region."""
    feather: float = 0.0

    @property
    def divide(self) -> bool:
        """Whether each reference or face has its own region."""
        return self.axis is not None or len(self.boxes) > 1

    @property
    def whole(self) -> Area | None:
        """The region of the whole unit; None means everywhere."""
        return Area(self.boxes[0], self.feather) if len(self.boxes) == 1 else None

    def areas(self, count: int) -> tuple[Area, ...]:
        """Return the region of each of `count` references or faces; with boxes, one per box instead."""
        boxes = self.boxes if self.axis is None else tuple(_part(self.axis, i, count) for i in range(count))
        return tuple(Area(box, self.feather) for box in boxes)


def _part(axis: int, index: int, count: int) -> Box:
    first, last = index / count, (index + 1) / count
    return (first, 0, last, 1) if axis == ACROSS else (0, first, 1, last)


def read_places(text: str) -> Places:
    """Parse regions separated by `|`, with an optional `; feather` and a number at the end.

    A region is a name in `NAMED`, or four numbers from 0 to 1 such as `0, 0, 0.5, 1`. A name in `SPREADS` may be used
    instead of all regions. Empty means everywhere. Raises `ValueError` for any other text.
    """
    if not text.strip():
        return Places()
    regions, *options = (" ".join(part.split()) for part in text.split(";"))
    feather = _feather(*options) if options else 0.0
    if regions in SPREADS:
        return Places(axis=SPREADS[regions], feather=feather)
    return Places(tuple(_box(region.strip()) for region in regions.split("|")), feather=feather)


def _box(text: str) -> Box:
    if text in NAMED:
        return NAMED[text]
    left, upper, right, lower = map(_fraction, text.split(","))
    if not (left < right and upper < lower):
        raise ValueError(text)
    return left, upper, right, lower


def _feather(*options: str) -> float:
    (text,) = options
    name, number = text.split(" ")
    if name != FEATHER:
        raise ValueError(text)
    return _fraction(number)


def _fraction(text: str) -> float:
    number = float(text)
    if not text.isascii() or "_" in text or not 0 <= number <= 1:  # float() accepts both
        raise ValueError(text)
    return number

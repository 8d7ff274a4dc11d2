"""Parts of a picture said in words or numbers: where a unit acts, or each of its references or faces."""

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
"""What gives each reference or face an equal part, in this order, and along which axis."""

FEATHER = "feather"


@dataclass(frozen=True)
class Area:
    """A box whose edges fade."""

    box: Box
    feather: float = 0.0
    """Part of the picture's width and height over which an edge fades, half of it on either side; the picture's own
    edges do not. So neighbours with one feather are together fully there everywhere."""


@dataclass(frozen=True)
class Places:
    """What a unit's `region` says."""

    boxes: tuple[Box, ...] = ()
    axis: int | None = None
    """Along which the picture is shared out equally; None where boxes are named, or nothing is said."""
    feather: float = 0.0

    @property
    def divide(self) -> bool:
        """Whether each reference or face has a place of its own."""
        return self.axis is not None or len(self.boxes) > 1

    @property
    def whole(self) -> Area | None:
        """Where the unit acts as a whole; None is everywhere."""
        return Area(self.boxes[0], self.feather) if len(self.boxes) == 1 else None

    def areas(self, count: int) -> tuple[Area, ...]:
        """Return the place of each of `count` references or faces; where boxes are named, as many as these."""
        boxes = self.boxes if self.axis is None else tuple(_part(self.axis, i, count) for i in range(count))
        return tuple(Area(box, self.feather) for box in boxes)


def _part(axis: int, index: int, count: int) -> Box:
    first, last = index / count, (index + 1) / count
    return (first, 0, last, 1) if axis == ACROSS else (0, first, 1, last)


def read_places(text: str) -> Places:
    """Return what a text says: places, with `|` between several, and then perhaps `; feather` and a number.

    A place is one of `NAMED` or four numbers from 0 to 1, as in `0, 0, 0.5, 1`; alone, one of `SPREADS` may stand in
    their stead. Nothing is everywhere. Raises `ValueError` for any other text.
    """
    if not text.strip():
        return Places()
    said, *more = (" ".join(part.split()) for part in text.split(";"))
    feather = _feather(*more) if more else 0.0
    if said in SPREADS:
        return Places(axis=SPREADS[said], feather=feather)
    return Places(tuple(_box(place.strip()) for place in said.split("|")), feather=feather)


def _box(text: str) -> Box:
    if text in NAMED:
        return NAMED[text]
    left, upper, right, lower = map(_fraction, text.split(","))
    if not (left < right and upper < lower):
        raise ValueError(text)
    return left, upper, right, lower


def _feather(*said: str) -> float:
    (text,) = said
    name, number = text.split(" ")
    if name != FEATHER:
        raise ValueError(text)
    return _fraction(number)


def _fraction(text: str) -> float:
    number = float(text)
    if not text.isascii() or "_" in text or not 0 <= number <= 1:  # which Python's numbers may have
        raise ValueError(text)
    return number

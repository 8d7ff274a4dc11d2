"""Square tiles of a reference, each encoded separately for its own region of the picture.

The layout is that of ComfyUI_IPAdapter_plus's tiled node, except that overlapping tiles share their weight.
"""

import math
from dataclasses import dataclass

from ..base.boxes import Box

NEARLY_SQUARE = (0.75, 1.33)
"""Range of height / width in which a reference is cropped to a square of two by two tiles."""
MAX_TILES = 4
"""Maximum tiles along the longer side of any other reference, whose shorter side is one tile."""


@dataclass(frozen=True)
class Tile:
    """A square of a reference."""

    source: Box
    """The tile's box in the reference, as fractions."""
    place: Box
    """The tile's region in the generated picture, as fractions."""


def tiles_of(width: int, height: int) -> tuple[Tile, ...]:
    """Return the tiles of a reference of this size in pixels, row by row; their regions cover the whole picture."""
    low, high = NEARLY_SQUARE
    short = min(width, height)
    square = low < height / width < high
    side = short / 2 if square else short
    longest = short if square else MAX_TILES * short
    across, down = min(width, longest), min(height, longest)
    left, upper = (width - across) / 2, (height - down) / 2
    return tuple(
        Tile(
            ((left + x) / width, (upper + y) / height, (left + x + side) / width, (upper + y + side) / height),
            (x / across, y / down, (x + side) / across, (y + side) / down),
        )
        for y in _starts(down, side)
        for x in _starts(across, side)
    )


def _starts(length: float, side: float) -> list[float]:
    """Return start positions for tiles that cover the length with equal overlaps."""
    count = math.ceil(length / side)
    return [index * (length - side) / max(1, count - 1) for index in range(count)]

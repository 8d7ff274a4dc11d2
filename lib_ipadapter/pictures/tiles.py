"""Squares of a tall, wide or large reference, each encoded on its own for its own place in the picture.

The plan is ComfyUI_IPAdapter_plus's for tiled references, save that what lies in two tiles is shared between them.
"""

import math
from dataclasses import dataclass

from PIL import Image

from ..base.boxes import Box

NEARLY_SQUARE = (0.75, 1.33)
"""Height over width between which a reference is cut to a square of two by two tiles."""
MAX_TILES = 4
"""Tiles along the longer side of any other reference, whose shorter side is one tile."""


@dataclass(frozen=True)
class Tile:
    """A square of a reference."""

    source: Box
    """Where it lies in the reference, as fractions."""
    place: Box
    """Where it acts in the picture, as fractions of that."""


def tiles_of(width: int, height: int) -> tuple[Tile, ...]:
    """Return the tiles of a reference of this size in pixels, row by row; together they act everywhere."""
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
    """Return where tiles begin so that they cover the length, overlapping evenly."""
    count = math.ceil(length / side)
    return [index * (length - side) / max(1, count - 1) for index in range(count)]


def cut(picture: Image.Image, box: Box) -> Image.Image:
    """Return a box of a picture, at least a pixel wide and high."""
    (left, right), (upper, lower) = _pixels(box[::2], picture.width), _pixels(box[1::2], picture.height)
    return picture.crop((left, upper, right, lower))


def _pixels(edges: tuple[float, ...], size: int) -> tuple[int, int]:
    first = min(round(edges[0] * size), size - 1)
    return first, max(round(edges[1] * size), first + 1)

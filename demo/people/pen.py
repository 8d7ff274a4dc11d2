"""A pen that fills outlines and draws lines in its own coordinates, with or without ink around what it fills."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from .shapes import Points

SIZE = 128
"""Pixels along each side of a picture."""
FINER = 3
"""Factor by which a picture is drawn larger and then reduced, for soft edges."""

Colour = tuple[int, int, int]


def mix(one: Colour, other: Colour, share: float) -> Colour:
    """Return `one` with this share of `other` in it."""
    r, g, b = (round(x + (y - x) * share) for x, y in zip(one, other, strict=True))
    return r, g, b


def darker(colour: Colour, share: float = 0.2) -> Colour:
    """Return the colour shifted towards a warm black, for shadows."""
    return mix(colour, (40, 16, 40), share)


def lighter(colour: Colour, share: float = 0.25) -> Colour:
    return mix(colour, (255, 250, 240), share)


@dataclass(frozen=True)
class Ink:
    """How a style applies colours to the paper."""

    tint: Callable[[Colour], Colour] = lambda colour: colour
    line: Colour = (0, 0, 0)
    width: float = 0.0
    """Pixels of ink around every filled outline."""
    thinnest: float = 0.4
    """Minimum width of a line in pixels."""


@dataclass(frozen=True)
class Pen:
    """A pen with its coordinates: `matrix` (2, 3) maps them to pixels of the larger picture."""

    paper: ImageDraw.ImageDraw
    matrix: NDArray[np.float64]
    ink: Ink

    def moved(self, x: float, y: float, scale: float = 1.0, tilt: float = 0.0, flip: bool = False) -> "Pen":
        """Return a pen with its origin at (x, y) and `scale` times this pen's unit, rotated by `tilt` degrees."""
        cos, sin = math.cos(math.radians(tilt)) * scale, math.sin(math.radians(tilt)) * scale
        across = -1 if flip else 1
        return self._through(np.array([(across * cos, -sin, x), (across * sin, cos, y), (0, 0, 1)]))

    def stretched(self, x: float, y: float) -> "Pen":
        return self._through(np.diag([x, y, 1.0]))

    def _through(self, step: NDArray[np.float64]) -> "Pen":
        return replace(self, matrix=self.matrix @ step)

    @property
    def unit(self) -> float:
        """Length of this pen's unit in pixels of the larger picture."""
        return float(abs(np.linalg.det(self.matrix[:, :2])) ** 0.5)

    def fill(self, colour: Colour, *outlines: Points) -> None:
        """Fill outlines as one figure: ink goes around all of them, but not between them."""
        placed = [self._placed(outline) for outline in outlines]
        if self.ink.width:
            for corners in placed:
                closed = [*corners, corners[0], corners[1]]
                self.paper.line(closed, self.ink.line, round(2 * self.ink.width * FINER), joint="curve")
        for corners in placed:
            self.paper.polygon(corners, self.ink.tint(colour))

    def shade(self, colour: Colour, *outlines: Points) -> None:
        """Fill outlines inside a figure, which never get ink."""
        for outline in outlines:
            self.paper.polygon(self._placed(outline), self.ink.tint(colour))

    def line(self, colour: Colour, width: float, points: Points) -> None:
        """Draw a line with round ends, `width` wide in the pen's unit."""
        placed = self._placed(points)
        pixels = max(width * self.unit, self.ink.thinnest * FINER)
        colour = self.ink.tint(colour)
        self.paper.line(placed, colour, round(pixels), joint="curve")
        for x, y in (placed[0], placed[-1]):
            r = pixels / 2
            self.paper.ellipse((x - r, y - r, x + r, y + r), colour)

    def _placed(self, points: Points) -> list[tuple[float, float]]:
        placed = points @ self.matrix[:, :2].T + self.matrix[:, 2]
        return [(x, y) for x, y in placed.tolist()]


def new_pen(picture: Image.Image, ink: Ink) -> Pen:
    """Return a pen whose unit is a pixel of the finished picture."""
    return Pen(ImageDraw.Draw(picture), np.diag([FINER, FINER, 1.0])[:2], ink)

"""A hair colour with its shadow and shine, and the type of functions that draw parts of hair styles with them."""

from collections.abc import Callable
from dataclasses import dataclass

from .pen import Colour, Pen, darker, lighter


@dataclass(frozen=True)
class Tones:
    """A hair colour and its shadow and shine."""

    base: Colour
    shadow: Colour
    shine: Colour


def tones(colour: Colour) -> Tones:
    return Tones(colour, darker(colour, 0.3), lighter(colour, 0.28))


Part = Callable[[Pen, Tones], None]


def nothing(pen: Pen, hair: Tones) -> None:
    """Draw nothing."""

"""Hair: the part behind the head and the part in front. A hat flattens hair that stands up."""

from .long_hair import bob_back, bob_hair, braided_hair, bun_back, bun_hair, long_back, long_hair, wavy_back, wavy_hair
from .pen import Colour, Pen
from .short_hair import curly_back, curly_hair, quiff_hair, short_hair, spiky_hair, under_hat
from .tones import Part, nothing, tones

BACKS: dict[str, Part] = {
    "curly": curly_back,
    "bob": bob_back,
    "long": long_back,
    "wavy": wavy_back,
    "bun": bun_back,
}
FRONTS: dict[str, Part] = {
    "bald": nothing,
    "short": short_hair,
    "quiff": quiff_hair,
    "spiky": spiky_hair,
    "curly": curly_hair,
    "bob": bob_hair,
    "long": long_hair,
    "wavy": wavy_hair,
    "bun": bun_hair,
    "braided": braided_hair,
}
UNDER_HAT: dict[str, Part] = dict.fromkeys(("short", "quiff", "spiky", "bun"), under_hat)


def draw_back(pen: Pen, style: str, colour: Colour) -> None:
    BACKS.get(style, nothing)(pen, tones(colour))


def draw_front(pen: Pen, style: str, colour: Colour, hat: str) -> None:
    (UNDER_HAT.get(style, FRONTS[style]) if hat else FRONTS[style])(pen, tones(colour))

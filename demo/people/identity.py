"""Who a person is: what stays the same in every picture of them."""

import random
from dataclasses import dataclass

from .pen import Colour

SKIN: dict[str, Colour] = {
    "pale": (255, 226, 208),
    "light": (247, 200, 164),
    "tan": (219, 160, 112),
    "brown": (160, 103, 66),
    "dark": (101, 63, 46),
}
HAIR: dict[str, Colour] = {
    "black": (42, 38, 50),
    "brown": (109, 68, 42),
    "ginger": (218, 102, 40),
    "blond": (242, 200, 98),
    "grey": (170, 174, 184),
    "pink": (242, 122, 170),
    "blue": (64, 112, 216),
    "green": (58, 160, 112),
}
EYES: dict[str, Colour] = {"brown": (92, 54, 30), "blue": (52, 126, 206), "green": (60, 148, 84)}

STYLES = ("bald", "short", "quiff", "spiky", "curly", "bob", "long", "wavy", "bun", "braided")
FACES = ("round", "oval", "square", "long", "heart")
LIDS = ("wide", "almond", "sleepy")
BROWS = ("thin", "thick", "arched")
GLASSES = ("", "round", "square")
BEARDS = ("", "stubble", "moustache", "goatee", "full")

BEARDED = ("bald", "short", "quiff", "spiky", "curly", "bun")
"""Hair styles that can go with a beard."""


@dataclass(frozen=True)
class Identity:
    """A person's looks, as names from the tables above; "" for no glasses or no beard."""

    hair: str
    hair_colour: str
    skin: str
    face: str
    lids: str
    eyes: str
    brows: str
    glasses: str
    beard: str
    freckles: bool


def sample(dice: random.Random) -> Identity:
    """Return a random person; 45 % wear glasses, and half of those who can have a beard have one."""
    hair = dice.choice(STYLES)
    return Identity(
        hair,
        dice.choice(tuple(HAIR)),
        dice.choice(tuple(SKIN)),
        dice.choice(FACES),
        dice.choice(LIDS),
        dice.choice(tuple(EYES)),
        dice.choice(BROWS),
        dice.choice(GLASSES[1:]) if dice.random() < 0.45 else "",
        dice.choice(BEARDS[1:]) if hair in BEARDED and dice.random() < 0.5 else "",
        dice.random() < 0.3,
    )

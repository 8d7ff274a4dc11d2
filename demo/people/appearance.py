"""How a person appears in one picture: clothes, hat, expression, and how they hold their head."""

import random
from dataclasses import dataclass

from .pen import Colour

COLOURS: dict[str, Colour] = {
    "red": (214, 58, 62),
    "orange": (242, 144, 50),
    "yellow": (248, 208, 76),
    "green": (70, 158, 98),
    "blue": (60, 116, 208),
    "purple": (136, 88, 188),
    "white": (244, 242, 236),
    "black": (54, 54, 66),
}
CLOTHES = ("t-shirt", "striped jumper", "hoodie", "shirt", "jacket", "dungarees")
HATS = ("", "cap", "bobble hat", "sun hat", "crown")
EXPRESSIONS = ("smiling", "laughing", "calm", "surprised", "sad")


@dataclass(frozen=True)
class Appearance:
    """What changes from picture to picture. `turn` -1..1 is where the face looks, `tilt` is in degrees."""

    clothes: str
    clothes_colour: str
    hat: str
    hat_colour: str
    expression: str
    turn: float = 0.0
    tilt: float = 0.0
    flip: bool = False


def sample(dice: random.Random) -> Appearance:
    return Appearance(
        dice.choice(CLOTHES),
        dice.choice(tuple(COLOURS)),
        dice.choice(HATS[1:]) if dice.random() < 0.3 else "",
        dice.choice(tuple(COLOURS)),
        dice.choice(("smiling", *EXPRESSIONS)),
        dice.uniform(-1, 1),
        dice.uniform(-7, 7),
        dice.random() < 0.5,
    )

"""Pictures of this world: what they can show, how they are sampled, and how they are drawn."""

import random
from collections.abc import Iterator
from dataclasses import dataclass

from PIL import Image

from . import appearance, identity, mug
from .appearance import Appearance
from .identity import Identity
from .mug import Mug, draw_mug
from .pen import FINER, SIZE, Pen, new_pen
from .person import draw_person
from .scenes import SCENES, draw_scene
from .styles import STYLES

FRAMINGS = {"close": (37.0, 79.0), "": (26.0, 65.0), "far": (16.5, 68.0)}
"""Half a face's width and the row of its centre, in pixels, for each framing of one person."""
PLACES = {"left": -1, "": 0, "right": 1}
AWAY = {"close": 16.0, "": 24.0, "far": 30.0}
"""Pixels between a person on the left or right and the centre."""
PAIR = (20.5, 70.0, 29.0)
"""Half a face's width, the row of its centre, and its distance from the middle, in pictures of two people."""

MUGS, PAIRS = 0.12, 0.16
"""Shares of the pictures with a mug and with two people; the others show one person."""


@dataclass(frozen=True)
class Person:
    who: Identity
    how: Appearance


@dataclass(frozen=True)
class Picture:
    """What a picture shows: one person, two people, or a mug."""

    people: tuple[Person, ...] = ()
    mug: Mug | None = None
    scene: str = ""
    framing: str = ""
    place: str = ""
    style: str = "flat"
    seed: int = 0
    """Determines where things are in the scene, and small shifts of the people."""


def picture(seed: int, number: int) -> Picture:
    """Return one of the world's pictures, always the same for a seed and a number."""
    return sample(random.Random(f"{seed} {number}"))


def sample(dice: random.Random) -> Picture:
    style = "flat" if dice.random() < 0.36 else dice.choice(tuple(STYLES)[1:])
    seed = dice.randrange(2**31)
    kind = dice.random()
    if kind < MUGS:
        return Picture(mug=mug.sample(dice), style=style, seed=seed)
    people = tuple(sample_person(dice) for _ in range(2 if kind < MUGS + PAIRS else 1))
    scene = dice.choice(tuple(SCENES))
    if len(people) == 2:
        return Picture(people, scene=scene, style=style, seed=seed)
    framing = dice.choice(("close", "", "", "far"))
    place = dice.choice(("left", "", "", "right"))
    return Picture(people, None, scene, framing, place, style, seed)


def sample_person(dice: random.Random) -> Person:
    return Person(identity.sample(dice), appearance.sample(dice))


def draw(picture: Picture) -> Image.Image:
    """Return the picture, 128 x 128 RGB."""
    style = STYLES[picture.style]
    drawing = Image.new("RGB", (SIZE * FINER, SIZE * FINER))
    pen = new_pen(drawing, style.ink)
    if picture.mug:
        draw_mug(pen, picture.mug, picture.seed)
    else:
        draw_scene(pen, picture.scene, picture.seed)
        for person, place in zip(picture.people, pens(pen, picture), strict=True):
            draw_person(place, person.who, person.how)
    return style.finish(drawing, picture.seed)


def pens(pen: Pen, picture: Picture) -> Iterator[Pen]:
    """Yield a pen for each person's head, whose unit is half the width of a face."""
    dice = random.Random(picture.seed + 1)
    if len(picture.people) == 2:
        scale, y, away = PAIR
        places = (-away, away)
    else:
        scale, y = FRAMINGS[picture.framing]
        places = (AWAY[picture.framing] * PLACES[picture.place],)
    for x in places:
        yield pen.moved(SIZE / 2 + x + dice.uniform(-2, 2), y + dice.uniform(-2, 2), scale * dice.uniform(0.95, 1.05))

"""True captions of a picture, which name as much of it as they are asked to, or nothing.

A caption is a subject and its details, separated by commas: "a person with long blond hair, wearing a red hoodie,
smiling, on a beach, far away, watercolour".
"""

import random
from dataclasses import dataclass

from .identity import Identity
from .mug import Mug
from .world import Person, Picture, sample

SCENES = {
    "beach": "on a beach",
    "forest": "in a forest",
    "city": "in a city",
    "snow": "in the snow",
    "room": "in a room",
    "night": "at night",
}
STYLES = {
    "flat": "flat colours",
    "line": "line drawing",
    "watercolour": "watercolour",
    "pixels": "pixel art",
    "night": "night palette",
}
FRAMINGS = {"close": "close up", "far": "far away"}
PLACES = {"left": "on the left", "right": "on the right"}
GROUNDS = {
    "table": "on a wooden table",
    "grass": "on grass",
    "sand": "on sand",
    "stone": "on stone",
    "cloth": "on a chequered cloth",
}
HATS = {"cap": "{} cap", "bobble hat": "{} bobble hat", "sun hat": "sun hat with a {} band", "crown": "crown"}
BEARDS = {"stubble": "stubble", "moustache": "a moustache", "goatee": "a goatee", "full": "a full beard"}
BROWS = {"thin": "thin brows", "thick": "thick brows", "arched": "arched brows"}
LIDS = {"wide": "wide {} eyes", "almond": "almond {} eyes", "sleepy": "sleepy {} eyes"}
HAIR = {
    "bald": "a bald head",
    "short": "short {} hair",
    "quiff": "a {} quiff",
    "spiky": "spiky {} hair",
    "curly": "curly {} hair",
    "bob": "a {} bob",
    "long": "long {} hair",
    "wavy": "wavy {} hair",
    "bun": "{} hair in a bun",
    "braided": "{} hair in braids",
}
PLURAL = ("dungarees",)
"""Clothes without an article."""


@dataclass(frozen=True)
class Chances:
    """Probabilities 0..1 with which a caption names what a picture has."""

    anything: float = 0.9
    looks: float = 0.6
    """That a person's looks are named at all; if so, each one is named with a probability of one half."""
    dress: float = 0.6
    expression: float = 0.5
    scene: float = 0.8
    framing: float = 0.6
    style: float = 0.7


EVERYTHING = Chances(*[1.0] * 7)
SUBJECT_ONLY = Chances(1.0, *[0.0] * 6)


def caption(picture: Picture, dice: random.Random, chances: Chances = Chances()) -> str:
    """Return a caption; "" if nothing is named."""
    if dice.random() >= chances.anything:
        return ""
    if picture.mug:
        parts = [_mug(picture.mug, dice, chances)]
    elif len(picture.people) == 2:
        parts = ["two people", *_pair(picture.people, dice, chances)]
    else:
        parts = [_person(picture.people[0], dice, chances)]
    return ", ".join(filter(None, [*parts, *_around(picture, dice, chances)]))


def _around(picture: Picture, dice: random.Random, chances: Chances) -> list[str]:
    """Return the words for everything except the subject."""
    named = ((SCENES.get(picture.scene, ""), chances.scene), (FRAMINGS.get(picture.framing, ""), chances.framing),
             (PLACES.get(picture.place, ""), chances.framing), (STYLES[picture.style], chances.style))  # fmt: skip
    return [words for words, chance in named if dice.random() < chance]


def _pair(people: tuple[Person, ...], dice: random.Random, chances: Chances) -> list[str]:
    """Return the words for each of two people, or none for either."""
    if dice.random() >= chances.looks:
        return []
    return [
        f"{HAIR[person.who.hair].format(person.who.hair_colour)} {PLACES[place]}"
        for person, place in zip(people, ("left", "right"), strict=True)
    ]


def _person(person: Person, dice: random.Random, chances: Chances) -> str:
    looks = _looks(person.who)
    if dice.random() >= chances.looks:
        looks = []
    elif chances.looks < 1:
        looks = [words for words in looks if dice.random() < 0.5]
    subject = " with ".join(filter(None, ["a person", " and ".join(looks)]))
    dress = _dress(person) if dice.random() < chances.dress else ""
    expression = person.how.expression if dice.random() < chances.expression else ""
    return ", ".join(filter(None, [subject, dress, expression]))


def _looks(who: Identity) -> list[str]:
    """Return all features of an identity, each in a few words."""
    words = [
        HAIR[who.hair].format(who.hair_colour),
        f"{who.skin} skin",
        _with_article(f"{who.face} face"),
        LIDS[who.lids].format(who.eyes),
        BROWS[who.brows],
        f"{who.glasses} glasses" if who.glasses else "",
        BEARDS.get(who.beard, ""),
        "freckles" if who.freckles else "",
    ]
    return [word for word in words if word]


def _dress(person: Person) -> str:
    how = person.how
    clothes = f"{how.clothes_colour} {how.clothes}"
    worn = clothes if how.clothes in PLURAL else _with_article(clothes)
    hat = _with_article(HATS[how.hat].format(how.hat_colour)) if how.hat else ""
    return " and ".join(filter(None, [f"wearing {worn}", hat]))


def _with_article(words: str) -> str:
    return f"an {words}" if words[0] in "aeiou" else f"a {words}"


def _mug(mug: Mug, dice: random.Random, chances: Chances) -> str:
    colour = f"{mug.colour} " if dice.random() < chances.dress else ""
    subject = _with_article(f"{colour}mug")
    if dice.random() < chances.looks:
        one = mug.pattern in ("heart", "star", "zigzag")
        pattern = f"{mug.pattern_colour} {mug.pattern}"
        subject += f" with {_with_article(pattern) if one else pattern}"
    ground = GROUNDS[mug.ground] if dice.random() < chances.scene else ""
    return " ".join(filter(None, [subject, ground]))


def words() -> set[str]:
    """Return every word and punctuation mark that a caption can have."""
    dice = random.Random(0)
    return {word for _ in range(4000) for word in caption(sample(dice), dice, EVERYTHING).replace(",", " ,").split()}

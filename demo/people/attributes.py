"""What a picture shows as numbers: for each attribute the index of its value, or -1 if it does not apply."""

from . import appearance, identity, mug
from .scenes import SCENES
from .styles import STYLES
from .world import FRAMINGS, PLACES, Picture

ATTRIBUTES: dict[str, tuple[object, ...]] = {
    "kind": ("person", "pair", "mug"),
    "style": tuple(STYLES),
    "scene": tuple(SCENES),
    "framing": tuple(FRAMINGS),
    "place": tuple(PLACES),
    "hair": identity.STYLES,
    "hair_colour": tuple(identity.HAIR),
    "skin": tuple(identity.SKIN),
    "face": identity.FACES,
    "lids": identity.LIDS,
    "eyes": tuple(identity.EYES),
    "brows": identity.BROWS,
    "glasses": identity.GLASSES,
    "beard": identity.BEARDS,
    "freckles": (False, True),
    "clothes": appearance.CLOTHES,
    "clothes_colour": tuple(appearance.COLOURS),
    "hat": appearance.HATS,
    "expression": appearance.EXPRESSIONS,
    "mug_colour": tuple(appearance.COLOURS),
    "mug_pattern": mug.PATTERNS,
    "mug_pattern_colour": tuple(appearance.COLOURS),
    "mug_ground": mug.GROUNDS,
}
IDENTITY = ("hair", "hair_colour", "skin", "face", "lids", "eyes", "brows", "glasses", "beard", "freckles")


def shown(picture: Picture) -> dict[str, object]:
    """Return the values that a picture shows; for two people only those of their surroundings."""
    if picture.mug:
        return {"kind": "mug", "style": picture.style} | {
            f"mug_{name}": getattr(picture.mug, name) for name in ("colour", "pattern", "pattern_colour", "ground")
        }
    around = {"style": picture.style, "scene": picture.scene}
    if len(picture.people) == 2:
        return {"kind": "pair"} | around
    person = picture.people[0]
    values = {"kind": "person", "framing": picture.framing, "place": picture.place} | around
    values |= {name: getattr(person.who, name) for name in IDENTITY}
    values |= {name: getattr(person.how, name) for name in ("clothes", "clothes_colour", "hat", "expression")}
    if person.how.expression == "laughing":  # with closed eyes
        del values["lids"], values["eyes"]
    return values


def numbers(picture: Picture) -> list[int]:
    """Return each attribute's value as its index in the table above, or -1."""
    values = shown(picture)
    return [options.index(values[name]) if name in values else -1 for name, options in ATTRIBUTES.items()]

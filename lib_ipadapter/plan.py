"""What is to be encoded for a unit, and how its image tokens will be attended: a plan that computes nothing."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from PIL import Image

from .faces import Face
from .fields import Picture
from .picture_files import PictureFiles
from .reference import Reference
from .regions import Box
from .tiles import Tile
from .units import PICTURE_FIELDS, Unit


@dataclass(frozen=True)
class Shot:
    """One square picture as an encoder gets it; equal shots have equal features."""

    digest: str
    """SHA-256 of the reference's file."""
    crop: str
    tile: Tile | None = None
    noise: tuple[str, float] | None = None
    """Kind and strength, 0..1."""
    face: Face | None = None
    """The face that an adapter sees instead of the picture."""


EMPTY_SHOT = Shot("", "")
"""Stands for the picture that unconditional rows see where there is no other."""


@dataclass(frozen=True)
class Recipe:
    """How some shots become sets of image tokens: one each, or all of them merged into one."""

    shots: tuple[Shot, ...] = ()
    combine: str = "concat"
    weights: tuple[float, ...] = ()
    """Of each shot, where they are merged."""

    @property
    def sets(self) -> int:
        """How many sets of image tokens come of it."""
        return len(self.shots) if self.combine == "concat" else min(1, len(self.shots))


@dataclass(frozen=True, eq=False)
class Group:
    """Sets of image tokens that are attended together, under one softmax, and where."""

    sets: tuple[int, ...]
    """Their places in `KeysValues`, where the unconditional set is the first."""
    weights: tuple[float, ...]
    """What multiplies the unit's weight, for each set."""
    mask: Image.Image | None = None
    tiles: tuple[Box, ...] = ()
    """Places of all tiles of the reference of which this is one."""
    tile: int = 0


@dataclass(frozen=True)
class Plan:
    """What is to be encoded for a unit, and how its image tokens are attended."""

    files: Mapping[str, Reference]
    """Each picture's file, by its field, such as `images[0]` or `mask`."""
    negatives: Recipe
    """What unconditional rows see; without shots, the empty picture."""
    images: Recipe
    compositions: Recipe
    groups: tuple[Group, ...]
    composition_groups: tuple[Group, ...]
    """What composition layers see instead, where the unit has composition references."""
    mask: Image.Image | None

    @property
    def shots(self) -> tuple[Shot, ...]:
        """All that is to be encoded."""
        return self.negatives.shots + self.images.shots + self.compositions.shots


class Seen(NamedTuple):
    """What an adapter sees of a picture that has a weight: all of it, or one of its faces."""

    field: str
    picture: Picture
    file: Reference
    shot: Shot


Given = Sequence[Seen]
ShotsOf = Callable[[str, Reference], Sequence[Shot]]
"""(field, file) -> what an adapter sees of a picture."""


def whole_pictures(unit: Unit) -> ShotsOf:
    """Return how an adapter sees pictures: each as one square."""
    return lambda _, file: [Shot(file.digest, unit.crop)]


def faces_alone(faces_of: Callable[[str, Reference], Sequence[Face]]) -> ShotsOf:
    """Return how an adapter sees faces: each as a picture of its own."""
    return lambda field, file: [Shot(file.digest, "center", face=face) for face in faces_of(field, file)]


def plan_of(unit: Unit, pictures: PictureFiles, shots_of: ShotsOf) -> Plan:
    """Return the plan for a unit, reading its picture files; raises `UnitError` for those that cannot be read."""
    given = {name: _given(name, getattr(unit, name), pictures, shots_of) for name in PICTURE_FIELDS}
    files = {seen.field: seen.file for each in given.values() for seen in each}
    files |= _mask_files(unit, given, pictures)
    masks = {field: pictures.mask(field, file) for field, file in files.items() if field.endswith("mask")}
    images, groups = _sets(unit, given["images"], masks, pictures, 1)
    compositions, others = _sets(unit, given["composition_images"], masks, pictures, 1 + images.sets)
    negatives = _negatives(unit, given["negative_images"] or given["images"])
    return Plan(files, negatives, images, compositions, groups, others, masks.get("mask"))


def _given(name: str, all_pictures: Sequence[Picture], pictures: PictureFiles, shots_of: ShotsOf) -> Given:
    seen: list[Seen] = []
    for i, picture in enumerate(all_pictures):
        if picture.weight:
            field = f"{name}[{i}]"
            file = pictures.reference(field, picture.image)
            seen += [Seen(field, picture, file, shot) for shot in shots_of(field, file)]
    return seen


def _mask_files(unit: Unit, given: Mapping[str, Given], pictures: PictureFiles) -> dict[str, Reference]:
    """Return the files of the unit's mask and of its references' masks, by field."""
    texts = {f"{seen.field}.mask": seen.picture.mask for each in given.values() for seen in each}
    texts["mask"] = unit.mask
    return {field: pictures.reference(field, text) for field, text in texts.items() if text is not None}


def _sets(
    unit: Unit, given: Given, masks: Mapping[str, Image.Image], pictures: PictureFiles, first: int
) -> tuple[Recipe, tuple[Group, ...]]:
    """Return how references become sets of image tokens, counted from `first`, and how these are attended."""
    weights = tuple(seen.picture.weight for seen in given)
    plain = tuple(seen.shot for seen in given)
    if unit.combine != "concat" and len(plain) > 1 and not unit.unfold:
        return Recipe(plain, unit.combine, weights), (Group((first,), (1.0,)),)
    if unit.tiles:
        return _tiled(unit, given, masks, pictures, first)
    apart = [field for field in dict.fromkeys(seen.field for seen in given) if unit.unfold or f"{field}.mask" in masks]
    places = [[i for i, seen in enumerate(given) if seen.field == field] for field in apart]
    regions = [masks.get(f"{field}.mask") for field in apart]
    if together := [i for i, seen in enumerate(given) if seen.field not in apart]:
        places.append(together)
        regions.append(None)
    groups = [
        Group(tuple(first + i for i in own), tuple(weights[i] for i in own), region)
        for own, region in zip(places, regions, strict=True)
    ]
    return Recipe(plain), tuple(groups)


def _tiled(
    unit: Unit, given: Given, masks: Mapping[str, Image.Image], pictures: PictureFiles, first: int
) -> tuple[Recipe, tuple[Group, ...]]:
    """Return every tile as a set and a group of its own; several references share the strength."""
    shots: list[Shot] = []
    groups: list[Group] = []
    for field, picture, file, _ in given:
        tiles = pictures.tiles(field, file)
        places = tuple(tile.place for tile in tiles)
        for i, tile in enumerate(tiles):
            weight = picture.weight / len(given)
            groups.append(Group((first + len(shots),), (weight,), masks.get(f"{field}.mask"), places, i))
            shots.append(Shot(file.digest, unit.crop, tile))
    return Recipe(tuple(shots)), tuple(groups)


def _negatives(unit: Unit, given: Given) -> Recipe:
    """Return what the unconditional rows see: negative references, noise made of references, or nothing."""
    if not unit.negative_images and not unit.noise:
        return Recipe()
    noise = (unit.noise_type, unit.noise) if unit.noise else None
    shots = tuple(replace(seen.shot, noise=noise) for seen in given)
    return Recipe(shots, "average", tuple(seen.picture.weight for seen in given))

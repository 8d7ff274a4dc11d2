"""What is to be encoded for a unit, and how its image tokens will be attended: a plan that computes nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from PIL import Image

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


Given = Sequence[tuple[str, Picture, Reference]]
"""The pictures of one field that have a weight: field, picture, file."""


def plan_of(unit: Unit, pictures: PictureFiles) -> Plan:
    """Return the plan for a unit, reading its picture files; raises `UnitError` for those that cannot be read."""
    given = {name: _given(name, getattr(unit, name), pictures) for name in PICTURE_FIELDS}
    files = {field: file for each in given.values() for field, _, file in each}
    files |= _mask_files(unit, given, pictures)
    masks = {field: pictures.mask(field, file) for field, file in files.items() if field.endswith("mask")}
    images, groups = _sets(unit, given["images"], masks, pictures, 1)
    compositions, others = _sets(unit, given["composition_images"], masks, pictures, 1 + images.sets)
    negatives = _negatives(unit, given["negative_images"] or given["images"])
    return Plan(files, negatives, images, compositions, groups, others, masks.get("mask"))


def _given(name: str, all_pictures: Sequence[Picture], pictures: PictureFiles) -> Given:
    numbered = [(f"{name}[{i}]", picture) for i, picture in enumerate(all_pictures) if picture.weight]
    return [(field, picture, pictures.reference(field, picture.image)) for field, picture in numbered]


def _mask_files(unit: Unit, given: Mapping[str, Given], pictures: PictureFiles) -> dict[str, Reference]:
    """Return the files of the unit's mask and of its references' masks, by field."""
    texts = {f"{field}.mask": picture.mask for each in given.values() for field, picture, _ in each}
    texts["mask"] = unit.mask
    return {field: pictures.reference(field, text) for field, text in texts.items() if text is not None}


def _sets(
    unit: Unit, given: Given, masks: Mapping[str, Image.Image], pictures: PictureFiles, first: int
) -> tuple[Recipe, tuple[Group, ...]]:
    """Return how references become sets of image tokens, counted from `first`, and how these are attended."""
    weights = tuple(picture.weight for _, picture, _ in given)
    plain = tuple(Shot(file.digest, unit.crop) for _, _, file in given)
    if unit.combine != "concat" and len(plain) > 1 and not unit.unfold:
        return Recipe(plain, unit.combine, weights), (Group((first,), (1.0,)),)
    if unit.tiles:
        return _tiled(unit, given, masks, pictures, first)
    own = [masks.get(f"{field}.mask") for field, _, _ in given]
    apart = [i for i, mask in enumerate(own) if unit.unfold or mask is not None]
    together = [i for i in range(len(given)) if i not in apart]
    groups = [Group((first + i,), (weights[i],), own[i]) for i in apart]
    if together:
        groups.append(Group(tuple(first + i for i in together), tuple(weights[i] for i in together)))
    return Recipe(plain), tuple(groups)


def _tiled(
    unit: Unit, given: Given, masks: Mapping[str, Image.Image], pictures: PictureFiles, first: int
) -> tuple[Recipe, tuple[Group, ...]]:
    """Return every tile as a set and a group of its own; several references share the strength."""
    shots: list[Shot] = []
    groups: list[Group] = []
    for field, picture, file in given:
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
    shots = tuple(Shot(file.digest, unit.crop, noise=noise) for _, _, file in given)
    return Recipe(shots, "average", tuple(picture.weight for _, picture, _ in given))

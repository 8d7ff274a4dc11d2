"""What is to be encoded for a unit, and how its image tokens will be attended: a plan that computes nothing."""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from PIL import Image

from ..base.boxes import Box
from ..base.errors import UnitError
from ..faces.insightface_models import Face
from ..files.saved_embeds import SavedReference
from ..pictures.image_cache import ImageCache
from ..pictures.image_file import ImageFile
from ..pictures.tiles import Tile
from ..unit.fields import Picture
from ..unit.region_text import DOWN, Area, Places, read_places
from ..unit.unit import PICTURE_FIELDS, Unit


@dataclass(frozen=True)
class EncoderInput:
    """One square picture as an encoder gets it; equal shots have equal features."""

    digest: str
    """SHA-256 of the reference's file."""
    crop: str
    tile: Tile | None = None
    noise: tuple[str, float] | None = None
    """Kind and strength, 0..1."""
    enhance: tuple[int, float] | None = None
    """Squares along its side that are encoded too, and the part of the whole in the mixture, 0..1."""
    face: Face | None = None
    """The face that an adapter sees instead of the picture."""


UNCONDITIONAL_INPUT = EncoderInput("", "")
"""Stands for the picture that unconditional rows see where there is no other."""


@dataclass(frozen=True)
class SavedInput:
    """One square of a saved reference, whose features need not be made."""

    digest: str
    """SHA-256 of the saved reference's file."""
    index: int
    """Its place among the squares there."""


AnyInput = EncoderInput | SavedInput


@dataclass(frozen=True)
class TokenRecipe:
    """How some shots become sets of image tokens: one each, or all of them merged into one."""

    shots: tuple[AnyInput, ...] = ()
    combine: str = "concat"
    weights: tuple[float, ...] = ()
    """Of each shot, where they are merged."""

    @property
    def sets(self) -> int:
        """How many sets of image tokens come of it."""
        return len(self.shots) if self.combine == "concat" else min(1, len(self.shots))


@dataclass(frozen=True, eq=False)
class AttentionGroup:
    """Sets of image tokens that are attended together, under one softmax, and where."""

    sets: tuple[int, ...]
    """Their places in `KeysValues`, where the unconditional set is the first."""
    weights: tuple[float, ...]
    """What multiplies the unit's weight, for each set."""
    mask: Image.Image | None = None
    tiles: tuple[Box, ...] = ()
    """Places of all tiles of the reference of which this is one."""
    tile: int = 0
    area: Area | None = None


@dataclass(frozen=True, eq=False)
class PreparedReference:
    """One reference as what stands for it: a square, its tiles, or its faces."""

    shots: tuple[AnyInput, ...]
    weight: float
    mask: Image.Image | None = None
    places: tuple[Box, ...] = ()
    """Where its tiles act; a reference that is one square has none."""
    area: Area | None = None
    """Its place among several, where the unit gives each its own."""


@dataclass(frozen=True)
class TokenPlan:
    """What is to be encoded for a unit, and how its image tokens are attended."""

    files: Mapping[str, ImageFile]
    """Each picture's file, by its field, such as `images[0]` or `mask`."""
    negatives: TokenRecipe
    """What unconditional rows see; without shots, the empty picture."""
    images: TokenRecipe
    compositions: TokenRecipe
    groups: tuple[AttentionGroup, ...]
    composition_groups: tuple[AttentionGroup, ...]
    """What composition layers see instead, where the unit has composition references."""
    mask: Image.Image | None
    area: Area | None
    """Where the unit acts as a whole, besides the mask."""
    motifs: tuple[PreparedReference, ...]
    """The images one by one."""

    @property
    def shots(self) -> tuple[AnyInput, ...]:
        """All whose features are needed."""
        return self.negatives.shots + self.images.shots + self.compositions.shots


InputsOf = Callable[[str, Picture, ImageFile], Sequence[EncoderInput]]
"""(field, picture, file) -> what an adapter sees of a picture."""


def whole_pictures(unit: Unit) -> InputsOf:
    """Return how an adapter sees pictures: each as one square."""
    enhance = (unit.enhance, unit.enhance_ratio) if unit.enhance > 1 else None
    return lambda _, picture, file: [EncoderInput(file.digest, picture.crop or unit.crop, enhance=enhance)]


def faces_alone(faces_of: Callable[[str, ImageFile], Sequence[Face]]) -> InputsOf:
    """Return how an adapter sees faces: each as a picture of its own."""
    return lambda field, _, file: [EncoderInput(file.digest, "center", face=face) for face in faces_of(field, file)]


Given = Sequence[tuple[str, Picture, ImageFile]]
"""References that have a weight, each with its field and its file."""


def plan_of(
    unit: Unit, pictures: ImageCache, shots_of: InputsOf, saved: SavedReference | None = None, more: Given = ()
) -> TokenPlan:
    """Return the plan for a unit, reading its picture files; raises `UnitError` for those that cannot be read.

    `saved` is what the unit's `embeds` names, `more` are the references of its `subject`, which come after its own.
    """
    given = {name: _given(name, getattr(unit, name), pictures) for name in PICTURE_FIELDS}
    given["images"] = (*given["images"], *more)
    files = {field: file for each in given.values() for field, _, file in each}
    files |= _mask_files(unit, given, pictures)
    masks = {field: pictures.mask(field, file) for field, file in files.items() if field.endswith("mask")}
    motif_of = partial(_motif, unit, masks, pictures, shots_of)
    places = read_places(unit.region)
    motifs = _saved_motifs(unit, saved) if saved else tuple(motif_of(*each) for each in given["images"])
    motifs = _in_places(unit, places, "images", motifs)
    images, groups = _sets(unit, motifs, 1)
    composing = [motif_of(*each) for each in given["composition_images"]]
    composing = _in_places(unit, places, "composition_images", composing)
    compositions, others = _sets(unit, composing, 1 + images.sets)
    negatives = _negatives(unit, given["negative_images"] or given["images"], shots_of)
    return TokenPlan(files, negatives, images, compositions, groups, others, masks.get("mask"), places.whole, motifs)


def _given(name: str, all_pictures: Sequence[Picture], pictures: ImageCache) -> Given:
    numbered = [(f"{name}[{i}]", picture) for i, picture in enumerate(all_pictures) if picture.weight]
    return [(field, picture, pictures.reference(field, picture.image)) for field, picture in numbered]


def _mask_files(unit: Unit, given: Mapping[str, Given], pictures: ImageCache) -> dict[str, ImageFile]:
    """Return the files of the unit's mask and of its references' masks, by field."""
    texts = {f"{field}.mask": picture.mask for each in given.values() for field, picture, _ in each}
    texts["mask"] = unit.mask
    return {field: pictures.reference(field, text) for field, text in texts.items() if text is not None}


def _motif(
    unit: Unit,
    masks: Mapping[str, Image.Image],
    pictures: ImageCache,
    shots_of: InputsOf,
    field: str,
    picture: Picture,
    file: ImageFile,
) -> PreparedReference:
    mask, shots = masks.get(f"{field}.mask"), tuple(shots_of(field, picture, file))
    if not unit.tiles:
        return PreparedReference(shots, picture.weight, mask)
    (whole,) = shots  # faces have no tiles
    tiles = pictures.tiles(field, file)
    places = tuple(tile.place for tile in tiles)
    return PreparedReference(tuple(replace(whole, tile=tile) for tile in tiles), picture.weight, mask, places)


def _saved_motifs(unit: Unit, saved: SavedReference) -> tuple[PreparedReference, ...]:
    """Return the pictures of a saved reference; raises `UnitError` where they were encoded for another use."""
    for picture in saved.pictures:
        if bool(picture.places) != unit.tiles:
            how = "in tiles; switch tiles on" if picture.places else "without tiles; switch tiles off"
            raise UnitError("tiles", unit.tiles, f'does not go with "{saved.name}", which was saved {how}.')
    if unit.tiles and unit.combine != "concat" and len(saved.pictures) > 1:
        raise UnitError("tiles", True, "keeps references apart: set combine to concat.")
    squares = (SavedInput(saved.digest, index) for index in itertools.count())
    return tuple(
        PreparedReference(tuple(itertools.islice(squares, picture.squares)), picture.weight, places=picture.places)
        for picture in saved.pictures
    )


def _in_places(
    unit: Unit, places: Places, name: str, motifs: Sequence[PreparedReference]
) -> tuple[PreparedReference, ...]:
    """Return references each in its place, if the unit gives each its own; the faces of one picture are then apart.

    Raises `UnitError` where there are more or fewer of them than named places.
    """
    if not places.divide or not motifs:
        return tuple(motifs)
    each = [one for motif in motifs for one in _persons(motif, places)]
    areas = places.areas(len(each))
    if len(areas) != len(each):
        found = f"{len(each)} references or faces" if len(each) > 1 else "one reference or face"
        raise UnitError("region", unit.region, f"names {len(areas)} places, but {name} shows {found}; name as many.")
    return tuple(replace(one, area=area) for one, area in zip(each, areas, strict=True))


def _persons(motif: PreparedReference, places: Places) -> list[PreparedReference]:
    """Return a reference's faces as references of their own, in the order of the places, from left to right or down."""
    faces = [shot for shot in motif.shots if isinstance(shot, EncoderInput) and shot.face]
    if len(faces) < 2:
        return [motif]
    faces.sort(key=lambda shot: shot.face.centre[places.axis == DOWN] if shot.face else 0.0)
    return [replace(motif, shots=(shot,)) for shot in faces]


def _sets(
    unit: Unit, motifs: Sequence[PreparedReference], first: int
) -> tuple[TokenRecipe, tuple[AttentionGroup, ...]]:
    """Return how references become sets of image tokens, counted from `first`, and how these are attended."""
    shots = tuple(shot for motif in motifs for shot in motif.shots)
    if unit.tiles:
        return TokenRecipe(shots), _tiled(motifs, first)
    if unit.combine != "concat" and len(shots) > 1 and not unit.unfold:
        weights = tuple(motif.weight for motif in motifs for _ in motif.shots)
        return TokenRecipe(shots, unit.combine, weights), (AttentionGroup((first,), (1.0,)),)
    return TokenRecipe(shots), tuple(_apart_or_together(unit, motifs, first))


def _apart_or_together(unit: Unit, motifs: Sequence[PreparedReference], first: int) -> Iterator[AttentionGroup]:
    """Yield a group for each reference that acts alone, then one for all others."""
    numbers = itertools.count(first)
    sets = {motif: tuple(itertools.islice(numbers, len(motif.shots))) for motif in motifs}
    weights = {motif: (motif.weight,) * len(motif.shots) for motif in motifs}
    apart = [motif for motif in motifs if unit.unfold or motif.mask is not None or motif.area is not None]
    for motif in apart:
        yield AttentionGroup(sets[motif], weights[motif], motif.mask, area=motif.area)
    together = [motif for motif in motifs if motif not in apart]
    if together:
        yield AttentionGroup(sum((sets[each] for each in together), ()), sum((weights[each] for each in together), ()))


def _tiled(motifs: Sequence[PreparedReference], first: int) -> tuple[AttentionGroup, ...]:
    """Return every tile as a group of its own; several references share the strength, unless each has its place."""
    sets = itertools.count(first)
    sharing = {motif: 1 if motif.area else len(motifs) for motif in motifs}
    return tuple(
        AttentionGroup((next(sets),), (motif.weight / sharing[motif],), motif.mask, motif.places, i, motif.area)
        for motif in motifs
        for i in range(len(motif.places))
    )


def _negatives(unit: Unit, given: Given, shots_of: InputsOf) -> TokenRecipe:
    """Return what the unconditional rows see: negative references, noise made of references, or nothing."""
    if not unit.negative_images and not unit.noise:
        return TokenRecipe()
    noise = (unit.noise_type, unit.noise) if unit.noise else None
    seen = [(picture.weight, shot) for field, picture, file in given for shot in shots_of(field, picture, file)]
    shots = tuple(replace(shot, noise=noise, enhance=None) for _, shot in seen)
    return TokenRecipe(shots, "average", tuple(weight for weight, _ in seen))

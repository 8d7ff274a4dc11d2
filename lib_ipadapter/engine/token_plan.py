"""What is to be encoded for a unit, and how its image tokens are attended: a plan that computes nothing."""

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
from ..unit.picture_fields import Picture
from ..unit.region_text import DOWN, Area, Places, read_places
from ..unit.unit import PICTURE_FIELDS, Unit


@dataclass(frozen=True)
class EncoderInput:
    """One square of pixels, or one face, that goes into an encoder; equal inputs have equal features."""

    digest: str
    """SHA-256 of the reference's file."""
    crop: str
    tile: Tile | None = None
    noise: tuple[str, float] | None = None
    """Kind and strength, 0..1."""
    enhance: tuple[int, float] | None = None
    """Squares along its side that are encoded too, and the share of the whole in the mixture, 0..1."""
    face: Face | None = None
    """The face that an adapter sees instead of the picture."""


@dataclass(frozen=True)
class SavedInput:
    """One square of a saved reference, whose features are in its file."""

    digest: str
    """SHA-256 of the saved reference's file."""
    index: int
    """Its place among the squares there."""


AnyInput = EncoderInput | SavedInput


@dataclass(frozen=True)
class TokenSet:
    """The image tokens of one input, or of several that are merged into one."""

    inputs: tuple[AnyInput, ...]
    combine: str = "concat"
    """How several inputs are merged: a combine mode, of features or of tokens."""
    weights: tuple[float, ...] = ()
    """Of each input, where they are merged."""


UNCONDITIONAL = TokenSet(())
"""What unconditional rows attend where no negative reference is given: it is made of no reference at all."""


@dataclass(frozen=True, eq=False)
class AttentionGroup:
    """Token sets that are attended together, under one softmax, and where."""

    sets: tuple[TokenSet, ...]
    weights: tuple[float, ...]
    """What multiplies the unit's weight, for each set."""
    mask: Image.Image | None = None
    tiles: tuple[Box, ...] = ()
    """Places of all tiles of the reference of which this is one."""
    tile: int = 0
    area: Area | None = None


@dataclass(frozen=True, eq=False)
class PreparedReference:
    """One reference as what goes into encoders for it: a square, its tiles, or its faces."""

    inputs: tuple[AnyInput, ...]
    weight: float
    mask: Image.Image | None = None
    places: tuple[Box, ...] = ()
    """Where its tiles act; a reference that is one square has none."""
    area: Area | None = None
    """Its place among several, where the unit gives each its own."""

    @property
    def faces(self) -> list[Face]:
        """The faces that stand for the reference."""
        return [each.face for each in self.inputs if isinstance(each, EncoderInput) and each.face]


@dataclass(frozen=True)
class TokenPlan:
    """What is to be encoded for a unit, and how its image tokens are attended."""

    files: Mapping[str, ImageFile]
    """Each picture's file, by its field, such as `images[0]` or `mask`."""
    references: tuple[PreparedReference, ...]
    groups: tuple[AttentionGroup, ...]
    composition_groups: tuple[AttentionGroup, ...]
    """What composition layers attend instead, where the unit has composition references."""
    unconditional: TokenSet
    """What unconditional rows attend."""
    mask: Image.Image | None
    area: Area | None
    """Where the unit acts as a whole, in addition to the mask."""

    @property
    def batches(self) -> tuple[tuple[TokenSet, ...], ...]:
        """All token sets, each once, in the batches in which they are projected."""
        images = sets_of(self.groups)
        compositions = tuple(each for each in sets_of(self.composition_groups) if each not in images)
        return tuple(batch for batch in ((self.unconditional,), images, compositions) if batch)

    @property
    def inputs(self) -> tuple[AnyInput, ...]:
        """All inputs whose features are needed, each once."""
        return tuple(dict.fromkeys(each for batch in self.batches for one in batch for each in one.inputs))


def sets_of(groups: Sequence[AttentionGroup]) -> tuple[TokenSet, ...]:
    """Return the token sets of some groups, each once."""
    return tuple(dict.fromkeys(token_set for group in groups for token_set in group.sets))


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
    unit: Unit, images: ImageCache, inputs_of: InputsOf, saved: SavedReference | None = None, more: Given = ()
) -> TokenPlan:
    """Return the plan for a unit, reading its picture files; raises `UnitError` for those that cannot be read.

    `saved` is what the unit's `embeds` names, `more` are the references of its `subject`, which follow its own.
    """
    given = {name: _given(name, getattr(unit, name), images) for name in PICTURE_FIELDS}
    given["images"] = (*given["images"], *more)
    files = {field: file for each in given.values() for field, _, file in each}
    files |= _mask_files(unit, given, images)
    masks = {field: images.mask(field, file) for field, file in files.items() if field.endswith("mask")}
    prepared = partial(_prepared, unit, masks, images, inputs_of)
    places = read_places(unit.region)
    references = _of_saved(unit, saved) if saved else [prepared(*each) for each in given["images"]]
    references = _in_places(unit, places, "images", references)
    composing = [prepared(*each) for each in given["composition_images"]]
    composing = _in_places(unit, places, "composition_images", composing)
    return TokenPlan(
        files,
        references,
        _groups(unit, references),
        _groups(unit, composing),
        _unconditional(unit, given["negative_images"] or given["images"], inputs_of),
        masks.get("mask"),
        places.whole,
    )


def _given(name: str, all_pictures: Sequence[Picture], images: ImageCache) -> Given:
    numbered = [(f"{name}[{i}]", picture) for i, picture in enumerate(all_pictures) if picture.weight]
    return [(field, picture, images.reference(field, picture.image)) for field, picture in numbered]


def _mask_files(unit: Unit, given: Mapping[str, Given], images: ImageCache) -> dict[str, ImageFile]:
    """Return the files of the unit's mask and of its references' masks, by field."""
    texts = {f"{field}.mask": picture.mask for each in given.values() for field, picture, _ in each}
    texts["mask"] = unit.mask
    return {field: images.reference(field, text) for field, text in texts.items() if text is not None}


def _prepared(
    unit: Unit,
    masks: Mapping[str, Image.Image],
    images: ImageCache,
    inputs_of: InputsOf,
    field: str,
    picture: Picture,
    file: ImageFile,
) -> PreparedReference:
    mask, inputs = masks.get(f"{field}.mask"), tuple(inputs_of(field, picture, file))
    if not unit.tiles:
        return PreparedReference(inputs, picture.weight, mask)
    (whole,) = inputs  # faces have no tiles
    tiles = images.tiles(field, file)
    places = tuple(tile.place for tile in tiles)
    return PreparedReference(tuple(replace(whole, tile=tile) for tile in tiles), picture.weight, mask, places)


def _of_saved(unit: Unit, saved: SavedReference) -> list[PreparedReference]:
    """Return the pictures of a saved reference; raises `UnitError` where they were encoded for another use."""
    for picture in saved.pictures:
        if bool(picture.places) != unit.tiles:
            how = "in tiles; switch tiles on" if picture.places else "without tiles; switch tiles off"
            raise UnitError("tiles", unit.tiles, f'does not go with "{saved.name}", which was saved {how}.')
    if unit.tiles and unit.combine != "concat" and len(saved.pictures) > 1:
        raise UnitError("tiles", True, "keeps references apart: set combine to concat.")
    squares = (SavedInput(saved.digest, index) for index in itertools.count())
    return [
        PreparedReference(tuple(itertools.islice(squares, picture.squares)), picture.weight, places=picture.places)
        for picture in saved.pictures
    ]


def _in_places(
    unit: Unit, places: Places, name: str, references: Sequence[PreparedReference]
) -> tuple[PreparedReference, ...]:
    """Return references each in its place, if the unit gives each its own; the faces of one picture are then apart.

    Raises `UnitError` where there are more or fewer of them than named places.
    """
    if not places.divide or not references:
        return tuple(references)
    each = [one for reference in references for one in _persons(reference, places)]
    areas = places.areas(len(each))
    if len(areas) != len(each):
        found = f"{len(each)} references or faces" if len(each) > 1 else "one reference or face"
        raise UnitError("region", unit.region, f"names {len(areas)} places, but {name} shows {found}; name as many.")
    return tuple(replace(one, area=area) for one, area in zip(each, areas, strict=True))


def _persons(reference: PreparedReference, places: Places) -> list[PreparedReference]:
    """Return a reference's faces as references of their own, in the order of the places, from left to right or down."""
    faces = [each for each in reference.inputs if isinstance(each, EncoderInput) and each.face]
    if len(faces) < 2:
        return [reference]
    faces.sort(key=lambda each: each.face.centre[places.axis == DOWN] if each.face else 0.0)
    return [replace(reference, inputs=(each,)) for each in faces]


def _groups(unit: Unit, references: Sequence[PreparedReference]) -> tuple[AttentionGroup, ...]:
    """Return the token sets that references become, and how these are attended."""
    if unit.tiles:
        return tuple(_tiled(references))
    inputs = tuple(each for reference in references for each in reference.inputs)
    if unit.combine != "concat" and len(inputs) > 1 and not unit.unfold:
        weights = tuple(reference.weight for reference in references for _ in reference.inputs)
        return (AttentionGroup((TokenSet(inputs, unit.combine, weights),), (1.0,)),)
    return tuple(_apart_or_together(unit, references))


def _apart_or_together(unit: Unit, references: Sequence[PreparedReference]) -> Iterator[AttentionGroup]:
    """Yield a group for each reference that acts alone, then one for all others."""
    apart = [each for each in references if unit.unfold or each.mask is not None or each.area is not None]
    for each in apart:
        yield _group([each], each.mask, each.area)
    together = [each for each in references if each not in apart]
    if together:
        yield _group(together)


def _group(
    references: Sequence[PreparedReference], mask: Image.Image | None = None, area: Area | None = None
) -> AttentionGroup:
    """Return a group in which each input of some references is a token set of its own."""
    sets = tuple(TokenSet((each,)) for reference in references for each in reference.inputs)
    weights = tuple(reference.weight for reference in references for _ in reference.inputs)
    return AttentionGroup(sets, weights, mask, area=area)


def _tiled(references: Sequence[PreparedReference]) -> Iterator[AttentionGroup]:
    """Yield every tile as a group of its own; several references share the strength, unless each has its place."""
    for reference in references:
        weight = reference.weight / (1 if reference.area else len(references))
        for i, tile in enumerate(reference.inputs):
            yield AttentionGroup((TokenSet((tile,)),), (weight,), reference.mask, reference.places, i, reference.area)


def _unconditional(unit: Unit, given: Given, inputs_of: InputsOf) -> TokenSet:
    """Return what unconditional rows attend: negative references, noise made of references, or nothing."""
    if not unit.negative_images and not unit.noise:
        return UNCONDITIONAL
    noise = (unit.noise_type, unit.noise) if unit.noise else None
    seen = [(picture.weight, each) for field, picture, file in given for each in inputs_of(field, picture, file)]
    inputs = tuple(replace(each, noise=noise, enhance=None) for _, each in seen)
    return TokenSet(inputs, "average", tuple(weight for weight, _ in seen))

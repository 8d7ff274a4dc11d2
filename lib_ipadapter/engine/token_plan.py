"""The token plan of a unit: what has to be encoded, and how its image tokens are attended. Computes nothing."""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from PIL import Image

from ..base.boxes import WHOLE, Box
from ..base.errors import UnitError
from ..faces.insightface_models import Face
from ..files.saved_embeds import SavedReference
from ..pictures.crops import pixels_of
from ..pictures.image_cache import ImageCache
from ..pictures.image_file import ImageFile
from ..pictures.tiles import Tile, tiles_of
from ..unit.picture_fields import Picture
from ..unit.region_text import DOWN, Area, Places, read_places
from ..unit.unit import PICTURE_FIELDS, Unit


@dataclass(frozen=True)
class EncoderInput:
    """One square of pixels, or one face, that goes into an encoder; equal inputs have equal features."""

    digest: str
    """SHA-256 of the reference's file."""
    crop: str
    box: Box | None = None
    """The part of the reference that is used; None for all of it."""
    tile: Tile | None = None
    """A square of that part."""
    noise: tuple[str, float] | None = None
    """Kind and strength, 0..1."""
    enhance: tuple[int, float] | None = None
    """Number of extra squares along a side, and the weight of the whole in the mix, 0..1."""
    face: Face | None = None
    """The face that is encoded instead of the picture."""


@dataclass(frozen=True)
class SavedInput:
    """One encoded square of a saved reference."""

    digest: str
    """SHA-256 of the saved reference's file."""
    index: int
    """Index of the square in the file."""


AnyInput = EncoderInput | SavedInput


@dataclass(frozen=True)
class TokenSet:
    """The image tokens of one input, or of several inputs that are merged."""

    inputs: tuple[AnyInput, ...]
    combine: str = "concat"
    """How several inputs are merged: a `combine` mode for features or tokens."""
    weights: tuple[float, ...] = ()
    """Weight of each input in the merge."""


TOGETHER = "together"
"""What `combine` is for a token set whose inputs one call of the projector reads together."""

UNCONDITIONAL = TokenSet(())
"""What unconditional rows attend without a negative reference; it has no inputs."""


@dataclass(frozen=True, eq=False)
class AttentionGroup:
    """Token sets that share a softmax, with their region."""

    sets: tuple[TokenSet, ...]
    weights: tuple[float, ...]
    """A multiplier of the unit's weight for each set."""
    mask: Image.Image | None = None
    tiles: tuple[Box, ...] = ()
    """Boxes of all tiles of the reference, where this group is one of them."""
    tile: int = 0
    area: Area | None = None


@dataclass(frozen=True, eq=False)
class PreparedReference:
    """One reference as encoder inputs: a square, its tiles, or its faces."""

    inputs: tuple[AnyInput, ...]
    weight: float
    mask: Image.Image | None = None
    places: tuple[Box, ...] = ()
    """The region of each tile; empty without tiles."""
    area: Area | None = None
    """The reference's own region, where the unit gives each reference one."""

    @property
    def faces(self) -> list[Face]:
        """The faces used from the reference."""
        return [each.face for each in self.inputs if isinstance(each, EncoderInput) and each.face]


@dataclass(frozen=True)
class TokenPlan:
    """What has to be encoded for a unit, and how its image tokens are attended."""

    files: Mapping[str, ImageFile]
    """Each picture's file, by its field, such as `images[0]` or `mask`."""
    references: tuple[PreparedReference, ...]
    groups: tuple[AttentionGroup, ...]
    composition_groups: tuple[AttentionGroup, ...]
    """What composition layers attend instead; empty without composition references."""
    unconditional: TokenSet
    """What unconditional rows attend."""
    mask: Image.Image | None
    area: Area | None
    """The region of the whole unit, in addition to the mask."""

    @property
    def batches(self) -> tuple[tuple[TokenSet, ...], ...]:
        """All distinct token sets, in the batches in which they are projected."""
        images = sets_of(self.groups)
        compositions = tuple(each for each in sets_of(self.composition_groups) if each not in images)
        return tuple(batch for sets in ((self.unconditional,), images, compositions) for batch in _alike(sets))

    @property
    def inputs(self) -> tuple[AnyInput, ...]:
        """All distinct inputs whose features are needed."""
        return tuple(dict.fromkeys(each for batch in self.batches for one in batch for each in one.inputs))


def _alike(sets: Sequence[TokenSet]) -> list[tuple[TokenSet, ...]]:
    """Return token sets in batches whose sets have as many inputs to read together."""
    batches: dict[int, list[TokenSet]] = {}
    for each in sets:
        batches.setdefault(len(each.inputs) if each.combine == TOGETHER else 1, []).append(each)
    return [tuple(batch) for batch in batches.values()]


def sets_of(groups: Sequence[AttentionGroup]) -> tuple[TokenSet, ...]:
    """Return the distinct token sets of some groups."""
    return tuple(dict.fromkeys(token_set for group in groups for token_set in group.sets))


InputsOf = Callable[[str, Picture, ImageFile], Sequence[EncoderInput]]
"""(field, picture, file) -> the encoder inputs of a picture."""


def whole_pictures(unit: Unit) -> InputsOf:
    """Return a function that makes one square of each picture."""
    enhance = (unit.enhance, unit.enhance_ratio) if unit.enhance > 1 else None
    return lambda _, picture, file: [EncoderInput(file.digest, picture.crop or unit.crop, picture.box, enhance=enhance)]


def faces_alone(faces_of: Callable[[str, Picture, ImageFile], Sequence[Face]]) -> InputsOf:
    """Return a function that makes one input of each face in a picture."""
    return lambda field, picture, file: [
        EncoderInput(file.digest, "center", face=face) for face in faces_of(field, picture, file)
    ]


Given = Sequence[tuple[str, Picture, ImageFile]]
"""References that are on and have a weight, each with its field and file."""


def plan_of(
    unit: Unit,
    images: ImageCache,
    inputs_of: InputsOf,
    saved: SavedReference | None = None,
    more: Given = (),
    together: bool = False,
) -> TokenPlan:
    """Return the plan for a unit, reading its picture files; raises `UnitError` for those that cannot be read.

    `saved` is the saved reference of the unit's `embeds`; `more` are the references of its `subject`, which come after
    the unit's own. `together` says whether the projector reads the references of a group in one call.
    """
    given = {name: _given(unit, name, images) for name in PICTURE_FIELDS}
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
        _groups(unit, references, together),
        _groups(unit, composing, together),
        _unconditional(unit, given["negative_images"] or given["images"], inputs_of),
        masks.get("mask"),
        places.whole,
    )


def _given(unit: Unit, name: str, images: ImageCache) -> Given:
    weighted = [(field, picture) for field, picture in unit.pictures_on(name).items() if picture.weight]
    return [(field, picture, images.reference(field, picture.image)) for field, picture in weighted]


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
    left, upper, right, lower = pixels_of(picture.box or WHOLE, *images.size(field, file))
    tiles = tiles_of(right - left, lower - upper)
    places = tuple(tile.place for tile in tiles)
    return PreparedReference(tuple(replace(whole, tile=tile) for tile in tiles), picture.weight, mask, places)


def _of_saved(unit: Unit, saved: SavedReference) -> list[PreparedReference]:
    """Return the pictures of a saved reference; raises `UnitError` where their tiles do not match the unit's."""
    for picture in saved.pictures:
        if bool(picture.places) != unit.tiles:
            how = "in tiles; switch tiles on" if picture.places else "without tiles; switch tiles off"
            raise UnitError("tiles", unit.tiles, f'does not match "{saved.name}", which was saved {how}.')
    if unit.tiles and unit.combine != "concat" and len(saved.pictures) > 1:
        raise UnitError("tiles", True, "cannot be used when references are merged: set combine to concat.")
    squares = (SavedInput(saved.digest, index) for index in itertools.count())
    return [
        PreparedReference(tuple(itertools.islice(squares, picture.squares)), picture.weight, places=picture.places)
        for picture in saved.pictures
    ]


def _in_places(
    unit: Unit, places: Places, name: str, references: Sequence[PreparedReference]
) -> tuple[PreparedReference, ...]:
    """Return the references, each with its own region if the unit divides the picture; faces then count separately.

    Raises `UnitError` where their number differs from the number of regions.
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
    """Return a reference's faces as separate references, ordered from left to right or from top to bottom."""
    faces = [each for each in reference.inputs if isinstance(each, EncoderInput) and each.face]
    if len(faces) < 2:
        return [reference]
    faces.sort(key=lambda each: each.face.centre[places.axis == DOWN] if each.face else 0.0)
    return [replace(reference, inputs=(each,)) for each in faces]


def _groups(unit: Unit, references: Sequence[PreparedReference], together: bool) -> tuple[AttentionGroup, ...]:
    """Return the token sets of the references, grouped by how they are attended."""
    if unit.tiles:
        return tuple(_tiled(references))
    inputs = tuple(each for reference in references for each in reference.inputs)
    if unit.combine != "concat" and len(inputs) > 1 and not unit.unfold:
        weights = tuple(reference.weight for reference in references for _ in reference.inputs)
        return (AttentionGroup((TokenSet(inputs, unit.combine, weights),), (1.0,)),)
    groups = _separate_or_shared(unit, references)
    return tuple(map(_in_one_call, groups) if together else groups)


def _in_one_call(group: AttentionGroup) -> AttentionGroup:
    """Return a group whose references are one token set; raises `UnitError` where their weights differ."""
    if len(set(group.weights)) > 1:
        why = "must have the same weight: this adapter reads them in one call. To weight them, set combine to average."
        raise UnitError("images", f"{len(group.weights)} pictures", why)
    if len(group.sets) == 1:
        return group
    inputs = tuple(each for one in group.sets for each in one.inputs)
    return replace(group, sets=(TokenSet(inputs, TOGETHER),), weights=group.weights[:1])


def _separate_or_shared(unit: Unit, references: Sequence[PreparedReference]) -> Iterator[AttentionGroup]:
    """Yield a group for each reference with its own picture or region, then one group for all others."""
    separate = [each for each in references if unit.unfold or each.mask is not None or each.area is not None]
    for each in separate:
        yield _group([each], each.mask, each.area)
    shared = [each for each in references if each not in separate]
    if shared:
        yield _group(shared)


def _group(
    references: Sequence[PreparedReference], mask: Image.Image | None = None, area: Area | None = None
) -> AttentionGroup:
    """Return a group in which each input of the references is a separate token set."""
    sets = tuple(TokenSet((each,)) for reference in references for each in reference.inputs)
    weights = tuple(reference.weight for reference in references for _ in reference.inputs)
    return AttentionGroup(sets, weights, mask, area=area)


def _tiled(references: Sequence[PreparedReference]) -> Iterator[AttentionGroup]:
    """Yield one group per tile. References that share a region divide the weight between them."""
    for reference in references:
        weight = reference.weight / (1 if reference.area else len(references))
        for i, tile in enumerate(reference.inputs):
            yield AttentionGroup((TokenSet((tile,)),), (weight,), reference.mask, reference.places, i, reference.area)


def _unconditional(unit: Unit, given: Given, inputs_of: InputsOf) -> TokenSet:
    """Return what unconditional rows attend: negative references, noise made from references, or `UNCONDITIONAL`."""
    if not unit.pictures_on("negative_images") and not unit.noise:
        return UNCONDITIONAL
    noise = (unit.noise_type, unit.noise) if unit.noise else None
    seen = [(picture.weight, each) for field, picture, file in given for each in inputs_of(field, picture, file)]
    inputs = tuple(replace(each, noise=noise, enhance=None) for _, each in seen)
    return TokenSet(inputs, "average", tuple(weight for weight, _ in seen))

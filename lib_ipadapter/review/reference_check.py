"""The reference check: rates a unit's references before anything is generated with them."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from PIL import Image

from ..base.errors import IPAdapterError, UnitError
from ..base.json_objects import read_object
from ..engine.compatibility import refuse_unused_fields
from ..engine.features import views
from ..engine.prepare import Preparation, references_alone
from ..engine.session import Session
from ..engine.token_plan import EncoderInput, faces_alone, plan_of, whole_pictures
from ..faces.face_finder import choose, faces_inside, required_inside
from ..faces.insightface_models import PACKS, RECOGNISED, Face, align
from ..pictures.crops import cut, padded_box
from ..pictures.image_file import ImageFile, decode, picture_url
from ..pictures.preprocess import to_picture
from ..unit.picture_fields import Picture
from ..unit.read_args import read_own_unit
from ..unit.unit import Unit
from ..weights.adapter_file import AdapterFile
from .face_preview import BY_FACEXLIB, NO_FACE, PORTRAIT_SIZE, usable_faces
from .likeness import LOW, cosines
from .reference_metrics import (
    SHOWN_BLOCKS,
    measures_of_compression,
    measures_of_faces,
    measures_of_framing,
    measures_of_views,
    pixels_seen,
)
from .thresholds import advice_on

USUAL_SIZE = 224
"""Input size of most encoders in pixels, used where the encoder itself is missing."""

MAX_VIEWS = 20
"""Encoder inputs that are shown of one reference."""

REPORTED = ("face_width", "turn", "nod", "sharpness", "contrast", "compression", "blockiness", "shading", "lost")

MANY = "{} faces were found, and the largest is used: choose another one, or crop the picture."
UNLIKE = (
    "Reference {} does not match the others, according to the face model ({:.2f}). Another person, a filter or a "
    "turned head reduces the likeness. This is not identity verification."
)


def check(session: Session, asked: Any) -> dict[str, Any]:
    """Return metrics, advice and the encoder's views of each image of `unit`, then of each image of its subject.

    Unknown metrics are left out. A missing model or package is reported as advice. Raises `IPAdapterError` for a unit
    that could not generate either.
    """
    given = read_object("The request", asked, ("unit",)).get("unit")
    unit = read_own_unit(given, " with the pictures to check", enabled=True)
    if not unit.images and not unit.subject:
        raise UnitError("images", [], "is required: the pictures to check.")
    checking = ReferenceCheck(session.preparation, unit)
    references = [checking.reference(number) for number in range(len(checking.fields))]
    checked = {"references": references, "advice": checking.missing}
    firsts = checking.first_faces
    if 1 < len(firsts) == len(references):
        alike = cosines(firsts, firsts)
        checked |= {"agreement": alike.round(3).tolist(), "advice": [*checking.missing, *_disagreements(alike)]}
    return checked


def _disagreements(alike: np.ndarray) -> Iterator[str]:
    """Yield a sentence for each reference whose mean cosine similarity to the others is low."""
    means = (alike.sum(axis=1) - 1) / (len(alike) - 1)
    for number, mean in enumerate(means, 1):
        if mean < LOW:
            yield UNLIKE.format(number, mean)


class ReferenceCheck:
    """Looks at a unit's images as its adapter will see them, and goes on where a model or package is missing."""

    def __init__(self, preparation: Preparation, unit: Unit) -> None:
        self.missing: list[str] = []
        """A sentence for each missing model or package."""
        self._preparation = preparation
        self._adapter = preparation.files.adapter(unit.model).as_variant(unit.variant)
        refuse_unused_fields(unit, self._adapter)
        every = tuple(replace(each, weight=1.0, mask=None, enabled=True) for each in unit.images)
        self._unit = replace(references_alone(unit), images=every)
        more = preparation.pictures_of_subject(self._unit)
        self.fields = [(f"images[{i}]", each) for i, each in enumerate(every)] + [each[:2] for each in more]
        """Each picture's field name, with its settings."""
        self._size = self._side(self._adapter)
        self._found: dict[str, Sequence[Face]] = {}
        self._faults: dict[str, str] = {}
        self._fallbacks: set[str] = set()
        """Fields of pictures in which only facexlib finds a face."""
        inputs_of = faces_alone(self._chosen) if self._takes_faces else whole_pictures(self._unit)
        self._plan = plan_of(self._unit, preparation.pictures, inputs_of, more=more)

    @property
    def _takes_faces(self) -> bool:
        return bool(self._adapter.recognised.family.face_embedding)

    @property
    def first_faces(self) -> list[Face]:
        """The first face used from each image that has one."""
        return [face for each in self._plan.references for face in each.faces[:1]]

    def _note_missing(self, error: IPAdapterError) -> None:
        """Record what is missing, once; errors in the unit itself are raised again."""
        if isinstance(error, UnitError):
            raise error
        if error.sentence not in self.missing:
            self.missing.append(error.sentence)

    def _side(self, adapter: AdapterFile) -> int:
        """Return the encoder's input size in pixels, or 0 where the adapter uses no encoder."""
        try:
            encoder = self._preparation.files.encoder_for(adapter, self._unit.encoder, self._unit.encoder_size)
        except IPAdapterError as error:
            self._note_missing(error)
            return PORTRAIT_SIZE if adapter.recognised.family.portrait else USUAL_SIZE
        return encoder.image_size if encoder else 0

    def _chosen(self, field: str, picture: Picture, file: ImageFile) -> Sequence[Face]:
        """Return the faces that the unit selects; empty where there are none or the face models are missing."""
        pack, portrait = PACKS[self._adapter.recognised.pack], self._adapter.recognised.family.portrait
        try:
            found, fallback = usable_faces(self._preparation.faces, field, file, pack, portrait)
        except IPAdapterError as error:
            self._note_missing(error)
            return ()
        inside = found
        if picture.box:
            inside = faces_inside(found, picture.box, self._preparation.pictures.size(field, file))
        self._found[field] = inside
        if fallback:
            self._fallbacks.add(field)
        try:
            return choose(field, required_inside(field, inside), self._unit.face) if found else ()
        except UnitError as error:
            self._faults[field] = error.sentence
            return ()

    def reference(self, number: int) -> dict[str, Any]:
        """Return the result for one image, as JSON values."""
        (field, given), reference = self.fields[number], self._plan.references[number]
        file, crop = self._plan.files[field], given.crop or self._unit.crop
        picture = decode(field, file.content)
        used = cut(picture, given.box) if given.box else picture
        inputs = [each for each in reference.inputs if isinstance(each, EncoderInput)]
        faces = reference.faces
        crops = [] if field in self._fallbacks else [align(picture, face, RECOGNISED) for face in faces]
        squares = [self._squares(field, file, each, self._size) for each in inputs if self._size]
        whole = EncoderInput(file.digest, crop, given.box)
        wholes = [each[0] for each in squares if each] or crops or self._squares(field, file, whole, USUAL_SIZE)
        shown = crops + [square for each in squares for square in each]
        measures = dict(self._measures(picture, used, file, crop, inputs or [whole], wholes))
        found = {"faces": len(self._found[field])} if field in self._found else {}
        return {
            "width": picture.width,
            "height": picture.height,
            **found,
            **{name: round(measures[name], 3) for name in REPORTED if name in measures},
            "advice": [*self._advice_on_faces(field), *advice_on(measures)],
            "seen": [picture_url(each) for each in shown[:MAX_VIEWS]],
        }

    def _squares(self, field: str, file: ImageFile, given: EncoderInput, size: int) -> list[Image.Image]:
        """Return the views of an input as the encoder sees them; none where a portrait cannot be made."""
        portraits = self._preparation.portraits(self._adapter.recognised.family)
        try:
            return [to_picture(pixels) for pixels in views(field, file, size, given, portraits)]
        except UnitError as error:  # facexlib finds no face
            self._faults[field] = error.sentence
        except IPAdapterError as error:
            self._note_missing(error)
        return []

    def _advice_on_faces(self, field: str) -> Iterator[str]:
        """Yield advice on the number of faces in an image."""
        found = self._found.get(field)
        if found is not None and not found:
            yield NO_FACE
        if found and field in self._fallbacks:
            yield BY_FACEXLIB
        if field in self._faults:
            yield self._faults[field]
        if found and len(found) > 1 and self._unit.face == "largest":
            yield MANY.format(len(found))

    def _measures(
        self,
        picture: Image.Image,
        used: Image.Image,
        file: ImageFile,
        crop: str,
        inputs: Sequence[EncoderInput],
        wholes: Sequence[Image.Image],
    ) -> Iterator[tuple[str, float]]:
        """Yield the metrics of an image, of which `used` is its box; `wholes` are the encoder's views of its inputs."""
        size = self._size or USUAL_SIZE
        faces = [each.face for each in inputs if each.face]
        yield from measures_of_faces(faces)
        if self._takes_faces:
            yield "shading", self._preparation.pictures.shading("image", file)
        else:
            yield from measures_of_framing(used, crop, self._unit.tiles, size)
            if crop == "pad" and not self._unit.tiles:
                wholes = [each.crop(padded_box(used, each.width)) for each in wholes]
        yield from measures_of_views(wholes, min if faces else max)  # every face matters, but a tile may show only sky
        if max(pixels_seen(used, each, size) for each in inputs) >= SHOWN_BLOCKS:
            yield from measures_of_compression(picture, file)

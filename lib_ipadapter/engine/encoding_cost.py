"""What a unit still has to encode before it can run, as far as the caches show; nothing is encoded to find out."""

from collections.abc import Sequence
from dataclasses import replace

from ..faces.insightface_models import PACKS
from ..pictures.image_file import ImageFile
from ..unit.picture_fields import Picture
from ..unit.unit import PICTURE_FIELDS, Unit
from ..weights.adapter_file import AdapterFile
from ..weights.encoders import Encoder
from .prepare import Preparation
from .token_plan import AnyInput, EncoderInput, plan_of, whole_pictures

Read = Sequence[tuple[str, Picture, ImageFile]]


def pictures_to_encode(preparation: Preparation, unit: Unit, adapter: AdapterFile, encoder: Encoder | None) -> int:
    """Return how many of a unit's pictures are not encoded yet; one that was never read counts too.

    Stand-ins may be given for pictures. Raises `IPAdapterError` for a subject that cannot be used.
    """
    unread, new = 0, set[str]()
    for name in PICTURE_FIELDS:
        read = read_pictures(preparation, unit, name)
        unread += len([each for each in unit.pictures_on(name).values() if each.weight])
        unread -= len([field for field, *_ in read if field.startswith(name)])
        if adapter.recognised.family.face_embedding:
            new |= _without_faces(preparation, unit, adapter, encoder, read)
        elif encoder and read:
            new |= preparation.unencoded(adapter, encoder, _squares(preparation, unit, name, read))
    return unread + len(new)


def read_pictures(preparation: Preparation, unit: Unit, name: str) -> Read:
    """Return the pictures in one of a unit's fields that were read before, without masks, and those of its subject."""
    given = {field: each for field, each in unit.pictures_on(name).items() if each.weight}
    files = {field: preparation.pictures.seen(each.image) for field, each in given.items()}
    read = [(field, replace(given[field], mask=None), file) for field, file in files.items() if file]
    return [*read, *(preparation.pictures_of_subject(unit) if name == "images" else ())]


def _squares(preparation: Preparation, unit: Unit, name: str, read: Read) -> Sequence[AnyInput]:
    """Return what an encoder gets of the pictures in one of a unit's fields."""
    bare = replace(
        unit, images=(), composition_images=(), negative_images=(), mask=None, region="", unfold=False, noise=0.0
    )
    if name == "negative_images":
        bare = replace(bare, tiles=False, enhance=1, noise=unit.noise)
    elif name == "images" and not unit.negative_images:
        bare = replace(bare, noise=unit.noise)
    plan = plan_of(bare, preparation.pictures, whole_pictures(bare), more=read)
    return plan.unconditional.inputs if name == "negative_images" and unit.noise else plan.inputs


def _without_faces(
    preparation: Preparation, unit: Unit, adapter: AdapterFile, encoder: Encoder | None, read: Read
) -> set[str]:
    """Return the pictures, by digest, in which faces must be found, or whose chosen faces must be encoded.

    Raises `UnitError` for a picture without the face that the unit chooses.
    """
    pack, new, inputs = PACKS[adapter.recognised.pack], set[str](), list[EncoderInput]()
    for field, picture, file in read:
        if not preparation.faces.known_faces_of(file, pack):
            new.add(file.digest)
        elif encoder:
            faces = preparation.chosen_faces(unit, adapter, field, picture, file)
            inputs += [EncoderInput(file.digest, "center", face=face) for face in faces]
    return new | preparation.unencoded(adapter, encoder, inputs) if encoder else new


def slowness(preparation: Preparation, adapter: AdapterFile, encoder: Encoder | None) -> str:
    """Return why a unit's pictures will be encoded more slowly than they could be, or ""."""
    if adapter.recognised.family.face_embedding and (why := preparation.faces.will_fall_back):
        return f"The face models run on the CPU: {why}."
    if encoder and preparation.host.compute_device().type == "cpu":
        return f"{encoder.path.name} runs on the CPU."
    if encoder and preparation.ran_on_cpu(encoder):
        return f"{encoder.path.name} may run on the CPU again, because the device had too little memory for it."
    return ""

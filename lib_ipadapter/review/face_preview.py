"""The faces found in a picture, numbered, for choosing one of them."""

from collections.abc import Sequence
from typing import Any

from PIL import Image

from ..base.errors import IPAdapterError, UnitError
from ..base.json_objects import read_object
from ..engine.features import FACE_SIZE
from ..engine.prepare import Preparation
from ..engine.session import Session
from ..faces.face_finder import FaceFinder, faces_inside
from ..faces.insightface_models import PACKS, RECOGNISED, Face, Pack, align, model_paths, refuse_missing_packages
from ..pictures.image_file import ImageFile, decode, picture_url
from ..pictures.preprocess import to_picture
from ..unit.field_kinds import Text
from ..unit.picture_fields import Mask, read_box
from ..weights.adapter_file import AdapterFile
from .reference_metrics import measures_of_face
from .thresholds import advice_on

MOST_FACES = 100
"""Faces of one picture that are shown: as many as a unit's `face` can number."""

MOST_PORTRAITS = 4
"""Faces that are shown as portraits, because each takes a run of a network; the others are shown aligned."""

PORTRAIT_SIZE = 336
"""Side in pixels of the portrait that PuLID's image encoder gets."""

NO_FACE = "No face was found: use a picture where the face is larger, sharper or seen from the front."
BY_FACEXLIB = (
    "insightface finds no face here, so the unit uses the middle one of those that facexlib finds. The likeness may be "
    "weaker: a face that is larger, sharper or seen from the front is better."
)


def faces(session: Session, asked: Any) -> dict[str, Any]:
    """Return the faces in `image`, numbered as in a unit's `face`, each with the crop that the model sees.

    `model` is optional and names the adapter whose face models are used; with `box`, faces outside it are left out.
    Raises `IPAdapterError` where face models are missing.
    """
    given = read_object("The request", asked, ("image", "model", "box"))
    preparation, name = session.preparation, Text().read("model", given.get("model", ""))
    text = Mask().read("image", given.get("image"))
    if text is None:
        raise UnitError("image", None, "is required: a picture as base64 text.")
    file = preparation.pictures.reference("image", text)
    picture = decode("image", file.content)
    adapter = preparation.files.adapter(name) if name else None
    found, fallback = usable_faces(preparation.faces, "image", file, _pack(preparation, adapter), _portrait(adapter))
    box = read_box("box", given.get("box"))
    found = (faces_inside(found, box, picture.size) if box else found)[:MOST_FACES]
    measured = [measures_of_face(face) for face in found]
    advice = [f"Face {number}: {words}" for number, each in enumerate(measured) for words in advice_on(each)]
    return {
        "width": picture.width,
        "height": picture.height,
        "faces": [
            {
                "number": number,
                **_position(face),
                "width": round(each.pop("face_width"), 1),
                **{angle: round(degrees, 1) for angle, degrees in each.items()},
                "crop": picture_url(_crop(preparation.faces, picture, face, adapter, number)),
            }
            for number, (face, each) in enumerate(zip(found, measured, strict=True))
        ],
        "advice": [*([BY_FACEXLIB] if fallback and found else []), *(advice if found else [NO_FACE])],
    }


def usable_faces(
    finder: FaceFinder, field: str, file: ImageFile, pack: Pack, portrait: bool
) -> tuple[Sequence[Face], bool]:
    """Return the faces in a picture that a unit can use, and whether only facexlib finds one, which PuLID then uses.

    Raises `IPAdapterError` where a package or a model is missing.
    """
    found = finder.faces_of(field, file, pack)
    if found or not portrait:
        return found, False
    try:
        return finder.faces_or_portrait(field, file, pack), True
    except UnitError:  # facexlib finds none either
        return (), False


def _crop(
    finder: FaceFinder, picture: Image.Image, face: Face, adapter: AdapterFile | None, number: int
) -> Image.Image:
    """Return a face as the adapter's image encoder sees it; without one, as the recognition model does."""
    if _portrait(adapter) and number < MOST_PORTRAITS:
        try:
            return to_picture(finder.portrait("image", picture, face, PORTRAIT_SIZE))
        except IPAdapterError:  # readiness and the reference check say what is missing
            pass
    encodes = adapter and adapter.recognised.family.face_embedding and adapter.recognised.width
    return align(picture, face, FACE_SIZE if encodes else RECOGNISED)


def _portrait(adapter: AdapterFile | None) -> bool:
    return adapter is not None and adapter.recognised.family.portrait


def _position(face: Face) -> dict[str, Any]:
    return {
        "box": [round(edge, 1) for edge in face.box],
        "points": [[round(x, 1), round(y, 1)] for x, y in face.points],
        "score": round(face.score, 3),
    }


def _pack(preparation: Preparation, adapter: AdapterFile | None) -> Pack:
    """Return the adapter's face models or, where it has none, the first pack that is installed."""
    if adapter and adapter.recognised.family.face_embedding:
        return PACKS[adapter.recognised.pack]
    first, *others = PACKS.values()
    return next((pack for pack in (first, *others) if _is_installed(preparation, pack)), first)


def finds_faces(preparation: Preparation) -> bool:
    """Return whether the packages and models that find faces are installed."""
    try:
        refuse_missing_packages()
    except IPAdapterError:
        return False
    return any(_is_installed(preparation, pack) for pack in PACKS.values())


def _is_installed(preparation: Preparation, pack: Pack) -> bool:
    try:
        model_paths(pack, preparation.host.folders().faces)
    except IPAdapterError:
        return False
    return True

"""The faces found in a picture, numbered, for choosing one of them."""

from typing import Any

from ..base.errors import IPAdapterError, UnitError
from ..base.json_objects import read_object
from ..engine.features import FACE_SIZE
from ..engine.prepare import Preparation
from ..engine.session import Session
from ..faces.face_finder import faces_inside
from ..faces.insightface_models import PACKS, RECOGNISED, Face, Pack, align, model_paths, refuse_missing_packages
from ..pictures.image_file import decode, picture_url
from ..unit.field_kinds import Text
from ..unit.picture_fields import Mask, read_box
from ..weights.adapter_file import AdapterFile
from .reference_metrics import measures_of_face
from .thresholds import advice_on

MOST_FACES = 100
"""Faces of one picture that are shown: as many as a unit's `face` can number."""

NO_FACE = "No face was found: use a picture where the face is larger, sharper or seen from the front."


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
    found, box = (
        preparation.faces.faces_of("image", file, _pack(preparation, adapter)),
        read_box("box", given.get("box")),
    )
    found = (faces_inside(found, box, picture.size) if box else found)[:MOST_FACES]
    size = (
        FACE_SIZE if adapter and adapter.recognised.family.face_embedding and adapter.recognised.width else RECOGNISED
    )
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
                "crop": picture_url(align(picture, face, size)),
            }
            for number, (face, each) in enumerate(zip(found, measured, strict=True))
        ],
        "advice": advice if found else [NO_FACE],
    }


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

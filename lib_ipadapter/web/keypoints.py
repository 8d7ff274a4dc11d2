"""The request for a key point picture of a face."""

from collections.abc import Mapping
from typing import Any

from ..base.errors import UnitError, brief
from ..base.json_objects import refuse_unknown
from ..engine.session import Session
from ..faces.face_finder import choose
from ..faces.insightface_models import PACKS
from ..faces.keypoints import Place, draw_keypoints, fitted, placed
from ..pictures.image_file import decode, picture_url, read_image_file
from ..unit.field_kinds import Face as FaceKind
from ..unit.field_kinds import Number, Whole
from ..unit.picture_fields import Mask
from ..weights.family import ANTELOPE

SIDE = Whole(64, 4096)
FRACTION = Number(0, 1)
HEIGHT = Number(0.02, 2)
WHICH = FaceKind(tuple(place for place in FaceKind.places if place != "all"))


def keypoints(session: Session, asked: Any) -> dict[str, Any]:
    """Draw the key points of a face in `image` as a picture of `width` by `height` pixels.

    Returns the picture as a data URL in `image`, and the number of `faces` found. `face` selects one, as in a unit.
    `place` [x, y, height] moves the face to that position, in fractions of the picture; without it, the whole photo is
    fitted in. Raises `IPAdapterError` for invalid values.
    """
    if not isinstance(asked, Mapping):
        raise UnitError("keypoints", asked, f"must be an object, not {brief(asked)}.")
    refuse_unknown("", dict(asked), ("image", "width", "height", "face", "place"))
    width, height = SIDE.read("width", asked.get("width")), SIDE.read("height", asked.get("height"))
    size = height, width
    which = WHICH.read("face", asked.get("face", "largest"))
    place = None if asked.get("place") is None else _place(asked["place"])
    file = read_image_file("image", Mask().read("image", asked.get("image", "")) or "")
    found = session.preparation.faces.required_faces_of("image", file, PACKS[ANTELOPE])
    (face,) = choose("image", found, which)
    photo = decode("image", file.content)
    points = placed(face, place, size) if place else fitted(face, (photo.height, photo.width), size)
    return {"image": picture_url(draw_keypoints(points, size)), "faces": len(found)}


def _place(given: Any) -> Place:
    if not isinstance(given, (list, tuple)) or len(given) != 3:
        raise UnitError("place", given, f"must be three numbers, x, y and height of the face; not {brief(given)}.")
    x, y = (FRACTION.read(f"place[{i}]", each) for i, each in enumerate(given[:2]))
    return Place(x, y, HEIGHT.read("place[2]", given[2]))

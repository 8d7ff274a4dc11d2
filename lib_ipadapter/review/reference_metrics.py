"""A reference in numbers: of its faces, its framing, what is seen of it, and its compression; each by its name."""

from collections.abc import Callable, Iterable, Iterator, Sequence

from PIL import Image

from ..engine.token_plan import EncoderInput
from ..faces.insightface_models import RECOGNISED, Face
from ..faces.pose import pose_of
from ..pictures.image_file import ImageFile
from ..pictures.image_metrics import blockiness, contrast, jpeg_quality, levels_of, sharpness

FACE_PART = 84 / RECOGNISED
"""Part of an aligned crop's side that a face has: arcface's template has the eyes 35 of 112 pixels apart."""

SHOWN_BLOCKS = 0.5
"""Pixels seen for each of a picture's, below which the blocks of its compression, 8 pixels wide, are shrunk away."""

Measured = Iterator[tuple[str, float]]


def measures_of_face(face: Face) -> dict[str, float]:
    """Return a face's width in pixels, and how its head is turned, in degrees."""
    pose = pose_of(face.points)
    return {"face_width": face.box[2] - face.box[0], "turn": pose.turn, "nod": pose.nod, "tilt": pose.tilt}


def measures_of_faces(faces: Sequence[Face]) -> Measured:
    """Yield the least width and the largest angles of several faces."""
    each = [measures_of_face(face) for face in faces]
    if each:
        yield "face_width", min(one["face_width"] for one in each)
        yield "turn", max((one["turn"] for one in each), key=abs)
        yield "nod", max((one["nod"] for one in each), key=abs)


def measures_of_views(views: Sequence[Image.Image], of_several: Callable[[Iterable[float]], float]) -> Measured:
    """Yield how sharp and how contrasty what is seen is."""
    levels = [levels_of(view) for view in views]
    yield "sharpness", of_several(map(sharpness, levels))
    yield "contrast", of_several(map(contrast, levels))


def measures_of_framing(picture: Image.Image, crop: str, tiles: bool, size: int) -> Measured:
    """Yield what becoming a square of `size` pixels does to a whole picture."""
    short, long = sorted(picture.size)
    yield "enlarged", size / short
    if not tiles and crop != "pad":
        yield ("squashed" if crop == "squash" else "lost"), 1 - short / long


def measures_of_compression(picture: Image.Image, file: ImageFile) -> Measured:
    """Yield a JPEG file's quality, or how far the blocks of an earlier compression stand out of any other."""
    quality = jpeg_quality(file.content)
    yield ("compression", quality) if quality else ("blockiness", blockiness(levels_of(picture)))


def pixels_seen(picture: Image.Image, given: EncoderInput, size: int) -> float:
    """Return how many pixels an encoder, whose square has `size` a side, sees for each of a picture's."""
    if given.face:
        return FACE_PART * size / (given.face.box[2] - given.face.box[0])
    if given.tile:
        return size / ((given.tile.source[2] - given.tile.source[0]) * picture.width)
    return size / min(picture.size)

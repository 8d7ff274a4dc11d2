"""Metrics of a reference, by name: its faces, its framing, what the encoder sees of it, and its compression."""

from collections.abc import Callable, Iterable, Iterator, Sequence

from PIL import Image

from ..engine.token_plan import EncoderInput
from ..faces.insightface_models import RECOGNISED, Face
from ..faces.pose import pose_of
from ..pictures.image_file import ImageFile
from ..pictures.image_metrics import blockiness, contrast, jpeg_quality, levels_of, sharpness

FACE_PART = 84 / RECOGNISED
"""Fraction of an aligned crop that a face fills: arcface's template puts the eyes 35 of 112 pixels apart."""

SHOWN_BLOCKS = 0.5
"""Scale from picture to encoder input below which 8-pixel compression blocks are too small to be visible."""

Measured = Iterator[tuple[str, float]]


def measures_of_face(face: Face) -> dict[str, float]:
    """Return a face's width in pixels and the angles of the head in degrees."""
    pose = pose_of(face.points)
    return {"face_width": face.box[2] - face.box[0], "turn": pose.turn, "nod": pose.nod, "tilt": pose.tilt}


def measures_of_faces(faces: Sequence[Face]) -> Measured:
    """Yield the smallest width and the largest angles of several faces."""
    each = [measures_of_face(face) for face in faces]
    if each:
        yield "face_width", min(one["face_width"] for one in each)
        yield "turn", max((one["turn"] for one in each), key=abs)
        yield "nod", max((one["nod"] for one in each), key=abs)


def measures_of_views(views: Sequence[Image.Image], of_several: Callable[[Iterable[float]], float]) -> Measured:
    """Yield the sharpness and contrast of the encoder's views."""
    levels = [levels_of(view) for view in views]
    yield "sharpness", of_several(map(sharpness, levels))
    yield "contrast", of_several(map(contrast, levels))


def measures_of_framing(picture: Image.Image, crop: str, tiles: bool, size: int) -> Measured:
    """Yield how far a whole picture is upscaled, cropped or squashed to make a square of `size` pixels."""
    short, long = sorted(picture.size)
    yield "enlarged", size / short
    if not tiles and crop != "pad":
        yield ("squashed" if crop == "squash" else "lost"), 1 - short / long


def measures_of_compression(picture: Image.Image, file: ImageFile) -> Measured:
    """Yield the quality of a JPEG file, or the blockiness of any other file."""
    quality = jpeg_quality(file.content)
    yield ("compression", quality) if quality else ("blockiness", blockiness(levels_of(picture)))


def pixels_seen(picture: Image.Image, given: EncoderInput, size: int) -> float:
    """Return the scale from a picture's pixels to those of the encoder's input, a square of `size` pixels."""
    if given.face:
        return FACE_PART * size / (given.face.box[2] - given.face.box[0])
    if given.tile:
        return size / ((given.tile.source[2] - given.tile.source[0]) * picture.width)
    return size / min(picture.size)

"""How a reference becomes square for the encoder: its box is cut out, then made square by an option of `crop`."""

from collections.abc import Callable, Mapping

from PIL import Image

from ..base.boxes import Box

MAX_ASPECT = 16
"""Aspect ratio above which the ends of a reference are cut off before resizing."""

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
"""Mean colour of CLIP's training images, as fractions of full red, green and blue."""


def cut(picture: Image.Image, box: Box) -> Image.Image:
    """Return a box of a picture, at least a pixel wide and high."""
    return picture.crop(pixels_of(box, *picture.size))


def pixels_of(box: Box, width: int, height: int) -> tuple[int, int, int, int]:
    """Return the edges of a box in whole pixels of a picture of this size."""
    (left, right), (upper, lower) = _edges(box[::2], width), _edges(box[1::2], height)
    return left, upper, right, lower


def _edges(edges: tuple[float, ...], size: int) -> tuple[int, int]:
    first = min(round(edges[0] * size), size - 1)
    return first, max(round(edges[1] * size), first + 1)


def resize_for(picture: Image.Image, size: int, crop: str) -> Image.Image:
    """Return `picture` as a square of `size` pixels, cropped, padded or squashed by `crop`, a name in `CROPS`."""
    return CROPS[crop](picture, size)


def _cover(picture: Image.Image, size: int) -> Image.Image:
    """Resize so that the shorter side is `size`, as CLIP's own preprocessing does."""
    width, height = picture.size
    short, long = min(width, height), max(width, height)
    longer = max(size, int(size * long / short))
    return picture.resize((size, longer) if width <= height else (longer, size), Image.Resampling.BICUBIC)


def _crop_at(horizontal: float, vertical: float) -> Callable[[Image.Image, int], Image.Image]:
    def crop(picture: Image.Image, size: int) -> Image.Image:
        covered = _cover(_shorten(picture, horizontal, vertical), size)
        left = int((covered.width - size) * horizontal)
        upper = int((covered.height - size) * vertical)
        return covered.crop((left, upper, left + size, upper + size))

    return crop


def _shorten(picture: Image.Image, horizontal: float, vertical: float) -> Image.Image:
    """Cut the ends off a strip that would become huge when resized; they would be cropped anyway."""
    limit = MAX_ASPECT * min(picture.size)
    width, height = min(picture.width, limit), min(picture.height, limit)
    left, upper = int((picture.width - width) * horizontal), int((picture.height - height) * vertical)
    return picture.crop((left, upper, left + width, upper + height))


def _pad(picture: Image.Image, size: int) -> Image.Image:
    """Shrink the longer side to `size` and centre on the mean colour, which normalisation turns into zero."""
    left, upper, right, lower = padded_box(picture, size)
    square = Image.new("RGB", (size, size), tuple(round(255 * mean) for mean in CLIP_MEAN))
    square.paste(picture.resize((right - left, lower - upper), Image.Resampling.BICUBIC), (left, upper))
    return square


def padded_box(picture: Image.Image, size: int) -> tuple[int, int, int, int]:
    """Return the box of a picture inside the square of `size` pixels that it is padded to."""
    scale = size / max(picture.size)
    width, height = (max(1, round(side * scale)) for side in picture.size)
    left, upper = (size - width) // 2, (size - height) // 2
    return left, upper, left + width, upper + height


def _squash(picture: Image.Image, size: int) -> Image.Image:
    return picture.resize((size, size), Image.Resampling.BICUBIC)


CROPS: Mapping[str, Callable[[Image.Image, int], Image.Image]] = {
    "center": _crop_at(0.5, 0.5),
    "pad": _pad,
    "squash": _squash,
    "top": _crop_at(0.5, 0.0),
    "bottom": _crop_at(0.5, 1.0),
    "left": _crop_at(0.0, 0.5),
    "right": _crop_at(1.0, 0.5),
}
"""(picture, size in pixels) -> a square picture of that size."""

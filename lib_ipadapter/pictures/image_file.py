"""Reads one picture: from base64 text to an upright RGB picture."""

import base64
import binascii
import hashlib
import io
import struct
import warnings
from dataclasses import dataclass

import numpy as np
from PIL import Image, UnidentifiedImageError

from ..base.errors import UnitError

MAX_PIXELS = 100_000_000
"""Maximum pixels of a reference: more than any consumer camera has, and 300 MB once decoded."""

MAX_MASK_SIDE = 1024
"""Masks are reduced to this longer side in pixels: four times the finest grid of a picture 2048 pixels wide."""

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "HEIF", "JXL")
"""Pillow's names of accepted formats; the last three need a plugin, which some web UIs have. Pillow's other readers are
rarely used and tested, and the one for EPS starts Ghostscript."""

DAMAGES = (
    OSError,
    ValueError,
    SyntaxError,
    EOFError,
    LookupError,
    TypeError,
    ArithmeticError,
    RuntimeError,
    struct.error,
)
"""Exceptions that Pillow's readers raise for damaged files."""

ORIENTATION = 0x0112
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""The transpose operation for each EXIF orientation (Exif 2.32, 4.6.4)."""

NOTHING = (123, 117, 104)
"""Background for transparent parts of a reference: CLIP's mean colour, which normalisation turns into zeros, so that
those parts have little influence."""
BLACK = (0, 0, 0)
"""Background for transparent parts of a mask: the unit is off there."""


STARTS = {
    b"\x89PNG": ("png", "image/png"),
    b"\xff\xd8\xff": ("jpg", "image/jpeg"),
    b"RIFF": ("webp", "image/webp"),
    b"GIF8": ("gif", "image/gif"),
    b"BM": ("bmp", "image/bmp"),
}
"""First bytes of a picture file -> its extension and media type. Other files are stored too, but a browser may not show
them."""
OTHER = ("picture", "application/octet-stream")


@dataclass(frozen=True)
class ImageFile:
    """A picture file exactly as the user gave it."""

    content: bytes
    digest: str
    """SHA-256 of the file, in hexadecimal."""


def read_image_file(field: str, text: str) -> ImageFile:
    """Return the picture file that `text` holds as base64, with or without a `data:` header.

    Raises `UnitError` for anything else; paths and URLs are never followed.
    """
    if text.startswith("data:"):
        header, comma, text = text.partition(",")
        if not comma or not header.endswith(";base64"):
            raise UnitError(field, header, "must be a data URL with base64, such as data:image/png;base64,….")
    if text[:8].lower().startswith(("http://", "https://", "file:")):
        raise UnitError(field, text, "must be the picture itself as base64; URLs are not fetched.")
    try:
        content = base64.b64decode("".join(text.split()) if "\n" in text else text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise UnitError(
            field, text, f"must be a picture as base64, which this is not ({error}); files are not read by path."
        ) from error
    if not content:
        raise UnitError(field, text, "is empty; it must be a picture as base64.")
    return image_file_of(content)


def image_file_of(content: bytes) -> ImageFile:
    return ImageFile(content, hashlib.sha256(content).hexdigest())


def file_format(content: bytes) -> tuple[str, str]:
    """Return the extension and the media type of a picture file."""
    return next((names for start, names in STARTS.items() if content.startswith(start)), OTHER)


def data_url(content: bytes) -> str:
    """Return a picture file as a data URL, for a browser or a unit."""
    return f"data:{file_format(content)[1]};base64,{base64.b64encode(content).decode()}"


def picture_url(picture: Image.Image) -> str:
    """Return a picture as a PNG data URL."""
    kept = io.BytesIO()
    picture.save(kept, "PNG")
    return data_url(kept.getvalue())


def decode(field: str, content: bytes) -> Image.Image:
    """Return a file's first frame as RGB, with EXIF orientation applied and transparent parts filled with `NOTHING`.

    16-bit greyscale is scaled to 8 bits. Raises `UnitError` for damaged and oversized files.
    """
    return _open(field, content, NOTHING)


def decode_mask(field: str, content: bytes) -> Image.Image:
    """Return the brightness of a picture file as floats from 0 to 1, with at most `MAX_MASK_SIDE` pixels a side.

    Raises `UnitError` as `decode` does.
    """
    mask = _open(field, content, BLACK).convert("L")
    mask.thumbnail((MAX_MASK_SIDE, MAX_MASK_SIDE), Image.Resampling.BOX)
    return mask.convert("F").point(lambda level: level * (1 / 255) + 0)


def _open(field: str, content: bytes, ground: tuple[int, int, int]) -> Image.Image:
    """Return a picture file's first frame as upright RGB, with `ground` behind its transparent parts."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the limit below replaces it
            Image.init()
            picture = Image.open(io.BytesIO(content), formats=[name for name in FORMATS if name in Image.OPEN])
            width, height = picture.size
            if width * height > MAX_PIXELS:
                raise UnitError(
                    field,
                    f"{width}×{height}",
                    f"has {width}×{height} pixels; at most {MAX_PIXELS:,} are read. Send a smaller picture.",
                )
            picture.seek(0)
            return _on(ground, _to_colours(_upright(picture)))
    except (Image.DecompressionBombError, MemoryError) as error:
        raise UnitError(field, f"{len(content)} bytes", "has far too many pixels. Send a smaller picture.") from error
    except UnidentifiedImageError as error:
        raise UnitError(
            field, f"{len(content)} bytes", "is not a supported picture format. Send a PNG, JPEG or WebP file."
        ) from error
    except DAMAGES as error:
        raise UnitError(
            field, f"{len(content)} bytes", f"is a damaged picture ({error}). Save it again, for example as PNG."
        ) from error


def _upright(picture: Image.Image) -> Image.Image:
    """Apply a picture's EXIF orientation, if readable.

    `PIL.ImageOps.exif_transpose` also writes the EXIF back, and fails if any other tag is malformed.
    """
    if picture.format == "TIFF":  # Pillow applies it while loading
        return picture
    try:
        turn = TURNS.get(picture.getexif().get(ORIENTATION, 1))
    except (SyntaxError, ValueError, TypeError, struct.error):
        return picture
    return picture if turn is None else picture.transpose(turn)


def _to_colours(picture: Image.Image) -> Image.Image:
    """Return a picture as RGB, or as RGBA where it has transparent parts."""
    if picture.mode in ("I;16", "I;16B", "I;16L", "I", "F"):
        return _to_eight_bits(picture).convert("RGB")
    if picture.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in picture.info:
        return picture.convert("RGBA")
    return picture.convert("RGB")


def _on(ground: tuple[int, int, int], picture: Image.Image) -> Image.Image:
    """Return a picture as RGB, with `ground` behind its transparent parts."""
    if picture.mode == "RGB":
        return picture
    return Image.alpha_composite(Image.new("RGBA", picture.size, (*ground, 255)), picture).convert("RGB")


def _to_eight_bits(picture: Image.Image) -> Image.Image:
    """Return a high bit depth greyscale picture in 8 bits: integers have 16 bits, floats a maximum of 1, else 255."""
    deep = picture.convert("F")
    scale = 255.0 / 65535.0
    if picture.mode == "F":
        brightest = np.asarray(deep).max()
        scale = 255.0 if brightest <= 1.0 else 1.0
    return deep.point(lambda value: value * scale + 0.5).convert("L")

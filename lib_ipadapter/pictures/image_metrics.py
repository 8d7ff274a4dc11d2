"""Image quality metrics: sharpness, contrast, compression and shading.

Sharpness and contrast are measured at the encoder's input size, so that they are comparable for pictures of all sizes.
"""

import io

import numpy as np
from PIL import Image

BLUR = 9
"""Width in pixels of the blur that sharpness is measured with."""

BLOCK = 8
"""Width in pixels of the blocks that JPEG and similar formats compress separately."""

SHADED_SIDE = 128
"""Longer side in pixels at which shading is measured: noise and the traces of compression are mostly gone there."""

FLAT, GENTLE = 1, 20
"""Largest steps between neighbouring pixels, of 255 levels, inside flat and inside gently shaded areas."""

SAME_COLOUR = 12
"""Largest difference to the most common colour, of 255 levels, that still counts as that colour."""

LEAST_SHOWN = 0.01
"""Smallest fraction of a picture in other colours that says anything about it."""

JPEG_STARTS = b"\xff\xd8\xff"

LUMINANCE = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)
"""Luminance quantisation table of JPEG quality 50 (ITU-T T.81, table K.1); libjpeg scales it for other qualities."""

Levels = np.ndarray
"""Brightness from 0 to 255: (height, width), floats."""


def levels_of(picture: Image.Image) -> Levels:
    """Return a picture's brightness."""
    return np.asarray(picture.convert("L"), dtype=np.float64)


def sharpness(levels: Levels) -> float:
    """Return how much detail a blur would remove from a picture: 0 (none, it is already blurred) to 1.

    Independent of contrast, and nearly independent of content. Source: 1 minus the metric of Crété-Roffet, Dolmière,
    Ladret and Nicolas, "The blur effect: perception and estimation with a new no-reference perceptual blur metric"
    (SPIE 6492, 2007).
    """
    return 1.0 - max(_blur(levels), _blur(levels.T))


def _blur(levels: Levels) -> float:
    """Return the fraction of vertical differences that remains after a blur; 1 for a picture without differences."""
    around = np.pad(levels, ((BLUR // 2, BLUR // 2), (0, 0)), mode="symmetric")
    blurred = np.lib.stride_tricks.sliding_window_view(around, BLUR, axis=0).mean(axis=-1)
    differences, left = np.abs(np.diff(levels, axis=0)), np.abs(np.diff(blurred, axis=0))
    return float(np.minimum(differences, left).sum() / differences.sum()) if differences.any() else 1.0


def contrast(levels: Levels) -> float:
    """Return the RMS contrast, 0 to 0.5: the standard deviation of brightness, as a fraction of white.

    Source: Peli, "Contrast in complex images" (JOSA A 7, 1990).
    """
    return float(levels.std() / 255)


def blockiness(levels: Levels) -> float:
    """Return the ratio of differences across block edges to differences inside blocks; 1 means no visible blocks.

    All block offsets are tried, because the picture may have been cropped. Compression shows at nearly every block
    edge; flat drawings, where only a few edges match a block edge by chance, are left out.

    Based on Wang, Sheikh and Bovik, "No-reference perceptual quality assessment of JPEG compressed images" (ICIP 2002),
    who assume an offset of 0.
    """
    if min(levels.shape) <= BLOCK:
        return 1.0
    return (_steps(levels) + _steps(levels.T)) / 2


def _steps(levels: Levels) -> float:
    rows = np.abs(np.diff(levels, axis=0)).mean(axis=1)
    phases = np.array([rows[first::BLOCK].mean() for first in range(BLOCK)])
    others = phases.sum() - phases.max()
    if not others:
        return 1.0
    ratio = float(phases.max() / (others / (BLOCK - 1)))
    return 1.0 + (ratio - 1.0) * _weight_of(_standing_out(rows, int(phases.argmax())))


def _standing_out(rows: np.ndarray, first: int) -> float:
    """Return the fraction of block edges where the picture changes more than on both sides of them."""
    around = np.arange(-BLOCK // 2, BLOCK // 2)
    edges = np.arange(first, len(rows), BLOCK)
    edges = edges[(edges >= BLOCK // 2) & (edges < len(rows) - BLOCK // 2 + 1)]
    changes = rows[edges[:, None] + around]  # (edges, BLOCK), the edge itself in the middle
    changes = changes[changes.sum(axis=1) > 0]
    others = (changes.sum(axis=1) - changes[:, BLOCK // 2]) / (BLOCK - 1)
    return float((changes[:, BLOCK // 2] > others).mean()) if len(changes) else 0.0


def _weight_of(part: float) -> float:
    """Return the weight of a fraction of edges as evidence of compression: 0 up to one half, 1 from three quarters.

    Flat drawings have 0.1 to 0.7; photographs at JPEG quality 50 or less have 0.95 or more.
    """
    return min(max(4.0 * part - 2.0, 0.0), 1.0)


def shading(picture: Image.Image) -> float:
    """Return which fraction of a picture's pixels changes gently, as shaded surfaces do in photographs: 0 to 1.

    Flat areas and hard edges, of which most drawings consist, do not count, nor does anything of the most common
    colour, which may be a plain background. 1 if there is hardly anything else.
    """
    small = picture.convert("RGB")
    small.thumbnail((SHADED_SIDE, SHADED_SIDE), Image.Resampling.BOX)
    colours = np.asarray(small, dtype=np.int16)
    away = np.abs(colours - _commonest(colours)).max(axis=-1)[:-1, :-1] > SAME_COLOUR
    down, right = (np.abs(np.diff(colours, axis=axis)).max(axis=-1) for axis in (0, 1))
    steps = np.maximum(down[:, :-1], right[:-1])[away]
    if steps.size < LEAST_SHOWN * away.size:
        return 1.0
    return float(((steps > FLAT) & (steps <= GENTLE)).mean())


def _commonest(colours: np.ndarray) -> np.ndarray:
    """Return the mean of the colours in the fullest cell of a grid with cells of eight levels: (3,)."""
    cells = colours.reshape(-1, 3) // 8 @ np.array([1 << 10, 1 << 5, 1])
    return colours.reshape(-1, 3)[cells == np.bincount(cells).argmax()].mean(axis=0)


def jpeg_quality(content: bytes) -> int | None:
    """Return a JPEG file's quality, 1 to 100, from its luminance quantisation table, or None for any other file.

    Source: libjpeg, `jpeg_quality_scaling` and `jpeg_add_quant_table`. For custom tables the nearest quality is
    returned.
    """
    if not content.startswith(JPEG_STARTS):
        return None
    with Image.open(io.BytesIO(content), formats=["JPEG"]) as picture:
        tables = getattr(picture, "quantization", None)
    if not tables:
        return None
    own = np.asarray(tables[0]).reshape(BLOCK, BLOCK)
    return min(range(1, 101), key=lambda quality: int(np.abs(_table(quality) - own).sum()))


def _table(quality: int) -> np.ndarray:
    """Return libjpeg's table for a quality."""
    scale = 5000 // quality if quality < 50 else 200 - 2 * quality
    return ((np.asarray(LUMINANCE) * scale + 50) // 100).clip(1, 255)

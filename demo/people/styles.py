"""The styles of pictures: how colours are applied, and what is done with the finished drawing."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from .pen import SIZE, Colour, Ink, mix

Pixels = NDArray[np.float32]
"""(rows, columns, rgb), 0..255"""

PAPER = (250, 247, 240)


def luminance(colour: Colour) -> float:
    return (0.3 * colour[0] + 0.59 * colour[1] + 0.11 * colour[2]) / 255


def _pale(colour: Colour) -> Colour:
    """Keep black and nearly black as ink, and fade other colours towards the paper."""
    if luminance(colour) < 0.25 and max(colour) - min(colour) <= 20:
        return colour
    return mix(colour, PAPER, 0.6)


def _shown(drawing: Image.Image) -> Image.Image:
    return drawing.resize((SIZE, SIZE), Image.Resampling.BOX)


def _flat(drawing: Image.Image, seed: int) -> Image.Image:
    return _shown(drawing)


def _noise(dice: np.random.Generator, cells: int) -> Pixels:
    """Return smooth noise with a standard deviation of about one: (rows, columns)."""
    coarse = dice.standard_normal((cells, cells)).astype(np.float32)
    return np.asarray(Image.fromarray(coarse).resize((SIZE, SIZE), Image.Resampling.BICUBIC))


def _watercolour(drawing: Image.Image, seed: int) -> Image.Image:
    """Make outlines waver and colours pool: paler inside, darker where a wash ends, white paper at the border."""
    dice = np.random.default_rng(seed)
    washed = np.asarray(_shown(_wavering(drawing, dice)), np.float32)
    blurred = np.asarray(Image.fromarray(washed.astype(np.uint8)).filter(ImageFilter.GaussianBlur(2.5)), np.float32)
    pooled = washed + 0.5 * (washed - blurred)
    strength = 0.78 + 0.09 * _noise(dice, 8) + 0.04 * _noise(dice, 32)
    rows, columns = np.mgrid[0:SIZE, 0:SIZE]
    border = np.minimum.reduce([rows, columns, SIZE - 1 - rows, SIZE - 1 - columns]) + 2.0 * _noise(dice, 12)
    strength = np.clip(strength, 0.5, 1.0) * np.clip((border - 3) / 3, 0, 1)
    return _picture(PAPER + (pooled - PAPER) * strength[..., None])


def _wavering(drawing: Image.Image, dice: np.random.Generator) -> Image.Image:
    """Move each pixel of the drawing a little, neighbouring pixels together."""
    size = 2 * SIZE
    fine = np.asarray(drawing.resize((size, size), Image.Resampling.BILINEAR))
    rows, columns = np.mgrid[0:size, 0:size]
    shifts = [_noise(dice, 14).repeat(2, 0).repeat(2, 1) * 1.5 for _ in range(2)]
    rows, columns = (
        np.clip(at + shift, 0, size - 1).round().astype(int) for at, shift in zip((rows, columns), shifts, strict=True)
    )
    return Image.fromarray(fine[rows, columns])


BLOCK = 4
"""Pixels along each side of a block of pixel art."""


def _pixels(drawing: Image.Image, seed: int) -> Image.Image:
    """Give each block the colour of its middle, reduced to a small palette, without soft edges."""
    blocks = SIZE // BLOCK
    fine = drawing.resize((blocks * 3, blocks * 3), Image.Resampling.BOX)
    few = fine.resize((blocks, blocks), Image.Resampling.NEAREST).quantize(
        28, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE
    )
    return few.convert("RGB").resize((SIZE, SIZE), Image.Resampling.NEAREST)


MIDNIGHT = np.array([(16, 14, 52), (50, 40, 122), (126, 62, 160), (236, 112, 150), (255, 214, 150)], np.float32)
"""Colours of the night palette from dark to light."""


def _midnight(drawing: Image.Image, seed: int) -> Image.Image:
    """Map lightness to the night palette, and keep a little of the original colours."""
    pixels = np.asarray(_shown(drawing), np.float32)
    light = pixels @ np.array([0.3, 0.59, 0.11], np.float32) / 255
    steps = np.linspace(0, 1, len(MIDNIGHT))
    mapped = np.stack([np.interp(light, steps, MIDNIGHT[:, c]) for c in range(3)], -1)
    return _picture(0.66 * mapped + 0.34 * pixels)


def _picture(pixels: Pixels) -> Image.Image:
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


@dataclass(frozen=True)
class Style:
    """How colours are applied, and the function that turns a drawing and a seed into the finished picture."""

    ink: Ink
    finish: Callable[[Image.Image, int], Image.Image]


STYLES: dict[str, Style] = {
    "flat": Style(Ink(), _flat),
    "line": Style(Ink(_pale, (48, 42, 60), 0.8), _flat),
    "watercolour": Style(Ink(), _watercolour),
    "pixels": Style(Ink(thinnest=3.2), _pixels),
    "night": Style(Ink(), _midnight),
}

"""Noise pictures made from a reference, used as negative references.

The options of the field `noise_type` are those of ComfyUI_IPAdapter_plus's noise node. They use their own random
generator, so the web UI's seed is not affected.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Generator, Tensor

ALPHA = 75.0
"""Strength of the shuffling displacement."""
MAX_SIGMA = 3.5
"""Blur of the displacement at strength 0, in pixels; at strength 1 it is not blurred."""
GRAIN = 0.75
"""Standard deviation of the grain added by shuffling at strength 1."""


def _uniform(levels: Tensor, generator: Generator) -> Tensor:
    return levels.new_empty(levels.shape).uniform_(generator=generator)


def _normal(levels: Tensor, generator: Generator) -> Tensor:
    return levels.new_empty(levels.shape).normal_(generator=generator)


def _fade(levels: Tensor, strength: float, generator: Generator) -> Tensor:
    return levels * (1 - strength) + _uniform(levels, generator) * strength


def _dissolve(levels: Tensor, strength: float, generator: Generator) -> Tensor:
    replaced = _uniform(levels, generator) < strength
    return _uniform(levels, generator).where(replaced, levels)


def _gaussian(levels: Tensor, strength: float, generator: Generator) -> Tensor:
    return levels + _normal(levels, generator) * strength


def _shuffle(levels: Tensor, strength: float, generator: Generator) -> Tensor:
    warped = _warp(levels, (1 - strength) * MAX_SIGMA, generator).flip(-1, -2)
    grain = _normal(levels, generator) * (strength * GRAIN)
    return warped * (1 - grain) + grain


def _warp(levels: Tensor, sigma: float, generator: Generator) -> Tensor:
    """Move every pixel by a blurred random vector (torchvision, `ElasticTransform`)."""
    from torchvision.transforms import functional

    height, width = levels.shape[-2:]
    shifts = levels.new_empty(2, height, width).uniform_(generator=generator) * 2 - 1
    if sigma > 0:
        size = int(8 * sigma + 1)
        shifts = functional.gaussian_blur(shifts, [size + 1 - size % 2] * 2, [sigma, sigma])
    shifts = shifts * ALPHA / levels.new_tensor([width, height]).view(2, 1, 1)
    return functional.elastic_transform(levels, shifts.permute(1, 2, 0)[None], fill=[0.0])


NOISES: Mapping[str, Callable[[Tensor, float, Generator], Tensor]] = {
    "fade": _fade,
    "dissolve": _dissolve,
    "gaussian": _gaussian,
    "shuffle": _shuffle,
}
"""(pixels 0..1 (3, height, width), strength 0..1, generator) -> pixels with noise."""


def add_noise(kind: str, strength: float, levels: Tensor, seed: int) -> Tensor:
    """Return pixels 0..1 (3, height, width) with noise of this kind and strength 0..1, from a seed."""
    from torch import Generator

    return NOISES[kind](levels, strength, Generator().manual_seed(seed)).clamp(0.0, 1.0)

"""Converts a square picture to the normalised pixels that an encoder takes."""

import torch
from PIL import Image
from torch import Tensor

from .crops import CLIP_MEAN

CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
"""Standard deviation of the colours of CLIP's training images."""


def to_levels(picture: Image.Image) -> Tensor:
    """Return an RGB picture as pixels from 0 to 1: (3, height, width), float32."""
    levels = torch.frombuffer(bytearray(picture.tobytes()), dtype=torch.uint8)
    return levels.view(picture.height, picture.width, 3).permute(2, 0, 1).float() / 255.0


def to_picture(levels: Tensor) -> Image.Image:
    """Return pixels as an RGB picture; what a filter shoots beyond 0 and 1 is cut off."""
    return Image.fromarray((levels.clamp(0, 1) * 255.0).round().byte().permute(1, 2, 0).contiguous().numpy())


def normalise(levels: Tensor) -> Tensor:
    """Return pixels normalised with CLIP's mean and standard deviation."""
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (CLIP_MEAN, CLIP_STD))
    return (levels - mean) / std


def to_pixels(picture: Image.Image) -> Tensor:
    """Return an RGB picture as CLIP's normalised input: (3, height, width), float32."""
    return normalise(to_levels(picture))

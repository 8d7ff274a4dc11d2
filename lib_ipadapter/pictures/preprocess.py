"""From a square picture to the normalised pixels that an encoder takes."""

import torch
from PIL import Image
from torch import Tensor

from .crops import CLIP_MEAN

CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
"""Deviation of the colours of CLIP's training pictures."""


def to_levels(picture: Image.Image) -> Tensor:
    """Return an RGB picture as levels from 0 to 1: (3, height, width), float32."""
    levels = torch.frombuffer(bytearray(picture.tobytes()), dtype=torch.uint8)
    return levels.view(picture.height, picture.width, 3).permute(2, 0, 1).float() / 255.0


def to_picture(levels: Tensor) -> Image.Image:
    """Return the RGB picture of levels from 0 to 1."""
    return Image.fromarray((levels * 255.0).round().byte().permute(1, 2, 0).contiguous().numpy())


def normalise(levels: Tensor) -> Tensor:
    """Return levels as CLIP takes them, less its mean and over its deviation."""
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (CLIP_MEAN, CLIP_STD))
    return (levels - mean) / std


def to_pixels(picture: Image.Image) -> Tensor:
    """Return an RGB picture as CLIP takes it: (3, height, width), float32, normalised by mean and deviation."""
    return normalise(to_levels(picture))

"""What the engine needs of any image encoder: CLIP's vision towers, and EVA's."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor


class ImageFeatures(Protocol):
    """An encoder's output for one picture, in float32 on the CPU."""

    @property
    def bytes(self) -> int: ...

    def taken(self, takes: str) -> tuple[Tensor, ...]:
        """Return the features that a family of adapters takes, each (1, ...)."""
        ...


class Encoder(Protocol):
    """An image encoder in a file, with its architecture as read from the shapes."""

    @property
    def path(self) -> Path: ...

    @property
    def parameters(self) -> int: ...

    @property
    def identity(self) -> tuple[object, ...]:
        """Identifies the file and its current content."""
        ...

    @property
    def name(self) -> str:
        """The architecture's usual name, such as ViT-H/14."""
        ...

    @property
    def image_size(self) -> int:
        """Side of its square input in pixels."""
        ...

    def width_of(self, takes: str) -> int:
        """Return the width of the features that a family of adapters takes from an encoder."""
        ...

    def encode(self, pictures: Iterable[Tensor], device: torch.device, dtype: torch.dtype) -> Sequence[ImageFeatures]:
        """Return the features of each normalised picture (3, size, size); nothing stays on the device."""
        ...


def encode(
    encoder: Encoder, pictures: Iterable[Tensor], device: torch.device, dtype: torch.dtype
) -> Sequence[ImageFeatures]:
    """Return the features of each normalised picture (3, size, size), encoded in `dtype` on `device`."""
    return encoder.encode(pictures, device, dtype)

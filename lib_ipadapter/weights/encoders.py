"""What the engine needs of any image encoder, and what CLIP's vision towers and EVA's have in common."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from ..base.errors import UnrecognisedError
from .shapes import Shape, Shapes
from .tensor_file import refuse_mismatch, refuse_unusable


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


@dataclass(frozen=True)
class Tower:
    """The part of an encoder's architecture that every vision transformer has."""

    path: Path
    width: int
    patch: int
    """Side of a patch in pixels."""
    states: int
    """Number of hidden states: patches and the class token."""
    projection: int
    """Width of the image embedding."""
    parameters: int
    """Number of parameters in the tower."""
    identity: tuple[object, ...]
    """Identifies the file and its current content."""

    @property
    def image_size(self) -> int:
        """Side of the tower's square input in pixels."""
        return self.patch * math.isqrt(self.states - 1)


def read_shape(path: Path, kind: str, shapes: Shapes, name: str, axes: int) -> Shape:
    """Return a tensor's shape; raises `UnrecognisedError`, naming the kind of encoder, where it is missing."""
    shape = shapes.get(name, ())
    if len(shape) != axes or 0 in shape:
        raise UnrecognisedError(f"{path.name} is not {kind} encoder: {name} is missing or misshapen.")
    return shape


def load_checked(
    path: Path,
    of_shapes: Callable[[Shapes], nn.Module],
    tensors: Mapping[str, Tensor],
    device: torch.device,
    dtype: torch.dtype,
) -> nn.Module:
    """Load a tower of our own, which is built from the shapes; raises `IPAdapterError` also for unusable numbers."""
    refuse_unusable(path, tensors)
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    return load_tower(path, lambda: of_shapes(shapes), tensors, device, dtype)


def run_each(tower: nn.Module, pictures: Iterable[Tensor], device: torch.device, dtype: torch.dtype) -> list[Any]:
    """Return what a tower makes of each picture (3, size, size).

    Pictures are encoded one by one, because rounding would otherwise depend on the other pictures in the batch.
    """
    with torch.no_grad():
        return [tower(picture[None].to(device, dtype)) for picture in pictures]


def load_tower(
    path: Path, build: Callable[[], nn.Module], tensors: Mapping[str, Tensor], device: torch.device, dtype: torch.dtype
) -> nn.Module:
    """Build a tower with the tensors of a file, in `dtype` on `device`; raises `IPAdapterError` where they differ."""
    with torch.device("meta"):
        tower = build()
    expected = {name: tuple(tensor.shape) for name, tensor in tower.state_dict().items()}
    refuse_mismatch(path, expected, {name: tuple(tensor.shape) for name, tensor in tensors.items()})
    tower.load_state_dict({name: tensor.to(device, dtype) for name, tensor in tensors.items()}, assign=True)
    return tower.eval()

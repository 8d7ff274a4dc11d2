"""Image encoders: the vision towers of CLIP, built by open_clip, in whatever file and layout users have them.

A tower is on the device for the length of one `encode` and nowhere else; its file stays a memory map.
"""

import hashlib
import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..base.errors import UnrecognisedError
from ..base.files import file_identity
from ..pictures.preprocess import normalise
from .bases import encoder_name
from .clip_keys import named_shapes, named_tensors, vision_part
from .family import EMBED, HIDDEN
from .shapes import Shape, Shapes
from .tensor_file import read_shapes, read_tensors, refuse_mismatch, refuse_unusable

HEADS = {1280: 16, 1408: 16, 1664: 16, 1024: 16}
"""Attention heads by width, for the published towers H, g, bigG and L (shapes do not show it). Others: heads of 64."""

QUICK_GELU = {(1024, 24)}
"""(width, layers) of OpenAI's towers, whose activation is x * sigmoid(1.702 x); shapes do not show it."""

LAYER = re.compile(r"transformer\.resblocks\.(\d+)\.")


@dataclass(frozen=True)
class Features:
    """What an encoder returns of one picture, in float32 on the CPU."""

    embed: Tensor
    """(1, projection): the image embedding, not normalised."""
    hidden: Tensor
    """(1, states, width): the second last block's output, class token first, without any norm after it."""

    @property
    def bytes(self) -> int:
        return sum(tensor.numel() * tensor.element_size() for tensor in (self.embed, self.hidden))

    def of(self, takes: str) -> Tensor:
        """Return the features that a family of adapters takes from an encoder."""
        return self.embed if takes == EMBED else self.hidden


@dataclass(frozen=True)
class EncoderFile:
    """A CLIP vision tower in a file, whose architecture was read from the shapes."""

    path: Path
    width: int
    layers: int
    mlp: int
    """Width inside a block's feed-forward layer."""
    patch: int
    """Side of a patch in pixels."""
    states: int
    """Hidden states: patches and the class token."""
    projection: int
    """Width of the image embedding."""
    parameters: int
    """Numbers in the tower's own tensors."""
    identity: tuple[object, ...]
    """What distinguishes this state of the file from any other."""

    @property
    def image_size(self) -> int:
        """Side of the square picture that the tower takes, in pixels."""
        return self.patch * math.isqrt(self.states - 1)

    @property
    def name(self) -> str:
        """The architecture's usual name, or its width where it has none."""
        return encoder_name(HIDDEN, self.width) + (f"-{self.image_size}" if self.image_size != 224 else "")

    def width_of(self, takes: str) -> int:
        """Return the width of the features that a family of adapters takes from an encoder."""
        return self.projection if takes == EMBED else self.width


def open_encoder(path: Path) -> EncoderFile:
    """Read an encoder's architecture from its header; raises `UnrecognisedError` where there is no tower."""
    identity = file_identity(path)  # before the first look, so that a later change is never taken for this state
    shapes = named_shapes(read_shapes(path))
    width, _, patch, _ = _shape(path, shapes, "conv1.weight", 4)
    states, _ = _shape(path, shapes, "positional_embedding", 2)
    mlp, _ = _shape(path, shapes, "transformer.resblocks.0.mlp.c_fc.weight", 2)
    _, projection = _shape(path, shapes, "proj", 2)
    layers = len({match[1] for name in shapes if (match := LAYER.match(name))})
    if layers < 2 or width % _heads(width):
        raise UnrecognisedError(f"{path.name} is no vision encoder that is known: {layers} layers, {width} wide.")
    parameters = sum(math.prod(shape) for shape in shapes.values())
    return EncoderFile(path, width, layers, mlp, patch, states, projection, parameters, identity)


def _shape(path: Path, shapes: Shapes, name: str, axes: int) -> Shape:
    shape = shapes.get(name, ())
    if len(shape) != axes or 0 in shape:
        raise UnrecognisedError(f"{path.name} is no CLIP vision encoder: {name} is missing or misshapen.")
    return shape


def _heads(width: int) -> int:
    return HEADS.get(width) or max(1, width // 64)


@lru_cache(maxsize=32)
def fingerprint(encoder: EncoderFile) -> str:
    """Return what distinguishes a tower from others that are built alike: the SHA-256 of its biases and norms.

    They are enough, and take no time to read. They are rounded to half precision, so that a tower in another
    layout, container or precision (save bfloat16) has the same.
    """
    own = {key: tensor for key, tensor in vision_part(read_tensors(encoder.path)).items() if tensor.dim() == 1}
    digest = hashlib.sha256()
    for name, tensor in sorted(named_tensors(encoder.path, encoder.width, own).items()):
        digest.update(name.encode() + tensor.half().numpy().tobytes())
    return digest.hexdigest()


def encode(
    encoder: EncoderFile, pictures: Iterable[Tensor], device: torch.device, dtype: torch.dtype
) -> list[Features]:
    """Return the features of each normalised picture (3, size, size).

    The tower computes in `dtype` on `device` and is gone when this returns. Pictures go through it one by one, so that
    the features of one do not depend, in the last digits, on which others were new at the same time.
    """
    tower: Any = _load_tower(encoder, device, dtype)
    kept: list[Tensor] = []
    tower.transformer.resblocks[-2].register_forward_hook(lambda _module, _args, output: kept.append(output))
    with torch.no_grad():
        embeds = [tower(picture[None].to(device, dtype)) for picture in pictures]
    # open_clip's blocks have the batch second, until a version whose transformer says otherwise
    batch_first = getattr(tower.transformer, "batch_first", False)
    states = [hidden if batch_first else hidden.transpose(0, 1) for hidden in kept]
    return [Features(embed.float().cpu(), hidden.float().cpu()) for embed, hidden in zip(embeds, states, strict=True)]


def zero_pixels(encoder: EncoderFile) -> Tensor:
    """Return the unconditional picture of IP-Adapter's authors: (3, size, size), zeros after normalisation."""
    return torch.zeros(3, encoder.image_size, encoder.image_size)


def black_pixels(encoder: EncoderFile) -> Tensor:
    """Return the unconditional picture of ComfyUI and Forge: (3, size, size), black before normalisation."""
    return normalise(zero_pixels(encoder))


UNCONDITIONAL: Mapping[str, Callable[[EncoderFile], Tensor]] = {"mean": zero_pixels, "black": black_pixels}
"""Conventions for what the unconditional rows see where no negative reference is given."""


def _load_tower(encoder: EncoderFile, device: torch.device, dtype: torch.dtype) -> nn.Module:
    own = vision_part(read_tensors(encoder.path))
    refuse_unusable(encoder.path, own)
    tensors = named_tensors(encoder.path, encoder.width, own)
    with torch.device("meta"):
        tower = _build(encoder)
    expected = {name: tuple(tensor.shape) for name, tensor in tower.state_dict().items()}
    refuse_mismatch(encoder.path, expected, {name: tuple(tensor.shape) for name, tensor in tensors.items()})
    tower.load_state_dict({name: tensor.to(device, dtype) for name, tensor in tensors.items()}, assign=True)
    return tower.eval()


def _build(encoder: EncoderFile) -> nn.Module:
    """Build open_clip's tower, with no argument but those that open_clip 2.20 and the current one have in common."""
    from open_clip.transformer import QuickGELU, VisionTransformer

    return VisionTransformer(
        image_size=encoder.image_size,
        patch_size=encoder.patch,
        width=encoder.width,
        layers=encoder.layers,
        heads=_heads(encoder.width),
        mlp_ratio=(encoder.mlp + 0.5) / encoder.width,  # open_clip multiplies by the width and rounds down
        output_dim=encoder.projection,
        act_layer=QuickGELU if (encoder.width, encoder.layers) in QUICK_GELU else nn.GELU,
    )

"""Image encoders: CLIP vision towers, built with open_clip from files in any common layout.

A tower is on the device only during `encode`; its file stays a memory map.
"""

import hashlib
import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..base.errors import UnrecognisedError
from ..base.files import file_identity
from ..pictures.preprocess import normalise
from .bases import encoder_name
from .clip_keys import named_shapes, named_tensors, vision_part
from .encoders import Encoder, Tower, load_tower, read_shape
from .family import EMBED, HIDDEN
from .tensor_file import read_shapes, read_tensors, refuse_unusable

KIND = "a CLIP vision"

HEADS = {1280: 16, 1408: 16, 1664: 16, 1024: 16}
"""Attention heads by width for ViT-H, g, bigG and L, because shapes do not show them; others have heads of 64."""

QUICK_GELU = {(1024, 24)}
"""(width, layers) of OpenAI's towers, which use QuickGELU, x * sigmoid(1.702 x); shapes do not show it."""

POSITIONS = "positional_embedding"
"""The tensor with a row for the class token and one for each patch."""

LAYER = re.compile(r"transformer\.resblocks\.(\d+)\.")


@dataclass(frozen=True)
class Features:
    """An encoder's output for one picture, in float32 on the CPU."""

    embed: Tensor
    """(1, projection): the image embedding, not normalised."""
    hidden: Tensor
    """(1, states, width): output of the second last block, class token first, without a final norm."""

    @property
    def bytes(self) -> int:
        return sum(tensor.numel() * tensor.element_size() for tensor in (self.embed, self.hidden))

    def of(self, takes: str) -> Tensor:
        """Return the features of the kind that a family of adapters takes."""
        return self.embed if takes == EMBED else self.hidden

    def taken(self, takes: str) -> tuple[Tensor, ...]:
        """Return the features that a family of adapters takes, as other encoders do, which give several."""
        return (self.of(takes),)


@dataclass(frozen=True)
class EncoderFile(Tower):
    """A CLIP vision tower in a file, with its architecture as read from the shapes."""

    layers: int
    mlp: int
    """Width inside a block's feed-forward layer."""

    @property
    def name(self) -> str:
        """The architecture's usual name, such as ViT-H/14, or its width where it has none."""
        return encoder_name(HIDDEN, self.width) + (f"-{self.image_size}" if self.image_size != 224 else "")

    def width_of(self, takes: str) -> int:
        """Return the width of the features that a family of adapters takes from an encoder."""
        return self.projection if takes == EMBED else self.width

    def at_size(self, size: int) -> "EncoderFile":
        """Return the same tower for input of `size` pixels, a multiple of `patch`; its positions are interpolated."""
        states = (size // self.patch) ** 2 + 1
        return self if states == self.states else replace(self, states=states, identity=(*self.identity, states))

    def encode(self, pictures: Iterable[Tensor], device: torch.device, dtype: torch.dtype) -> list[Features]:
        """Return the features of each normalised picture (3, size, size).

        The tower runs in `dtype` on `device` and is freed afterwards. Pictures are encoded one by one, because rounding
        would otherwise depend on the other pictures in the batch.
        """
        tower: Any = self._load(device, dtype)
        kept: list[Tensor] = []
        tower.transformer.resblocks[-2].register_forward_hook(lambda _module, _args, output: kept.append(output))
        with torch.no_grad():
            embeds = [tower(picture[None].to(device, dtype)) for picture in pictures]
        # Older versions of open_clip expect the batch in the second axis; newer ones have the attribute batch_first.
        batch_first = getattr(tower.transformer, "batch_first", False)
        states = [hidden if batch_first else hidden.transpose(0, 1) for hidden in kept]
        return [
            Features(embed.float().cpu(), hidden.float().cpu()) for embed, hidden in zip(embeds, states, strict=True)
        ]

    def _load(self, device: torch.device, dtype: torch.dtype) -> nn.Module:
        own = vision_part(read_tensors(self.path))
        refuse_unusable(self.path, own)
        tensors = named_tensors(self.path, self.width, own)
        tensors[POSITIONS] = resized_positions(tensors[POSITIONS], self.states)
        return load_tower(self.path, lambda: _build(self), tensors, device, dtype)


def open_encoder(path: Path) -> EncoderFile:
    """Read an encoder's architecture from its header; raises `UnrecognisedError` for any other file."""
    identity = file_identity(path)  # before reading, so that a change while reading gives another identity
    shapes = named_shapes(read_shapes(path))
    width, _, patch, _ = read_shape(path, KIND, shapes, "conv1.weight", 4)
    states, _ = read_shape(path, KIND, shapes, POSITIONS, 2)
    mlp, _ = read_shape(path, KIND, shapes, "transformer.resblocks.0.mlp.c_fc.weight", 2)
    _, projection = read_shape(path, KIND, shapes, "proj", 2)
    layers = len({match[1] for name in shapes if (match := LAYER.match(name))})
    if layers < 2 or width % _heads(width):
        raise UnrecognisedError(f"{path.name} is an unknown vision encoder: {layers} layers, width {width}.")
    parameters = sum(math.prod(shape) for shape in shapes.values())
    return EncoderFile(path, width, patch, states, projection, parameters, identity, layers, mlp)


def _heads(width: int) -> int:
    return HEADS.get(width) or max(1, width // 64)


@lru_cache(maxsize=32)
def fingerprint(encoder: EncoderFile) -> str:
    """Return the SHA-256 of a tower's biases and norms, which distinguishes towers of the same architecture.

    These tensors are small, so this is fast. They are rounded to half precision, so that the same tower in another
    layout, container or precision (except bfloat16) has the same fingerprint.
    """
    own = {key: tensor for key, tensor in vision_part(read_tensors(encoder.path)).items() if tensor.dim() == 1}
    digest = hashlib.sha256()
    for name, tensor in sorted(named_tensors(encoder.path, encoder.width, own).items()):
        digest.update(name.encode() + tensor.half().numpy().tobytes())
    return digest.hexdigest()


def zero_pixels(encoder: Encoder) -> Tensor:
    """Return the unconditional picture of IP-Adapter's authors: (3, size, size), zeros after normalisation."""
    return torch.zeros(3, encoder.image_size, encoder.image_size)


def black_pixels(encoder: Encoder) -> Tensor:
    """Return the unconditional picture of ComfyUI and Forge: (3, size, size), black before normalisation."""
    return normalise(zero_pixels(encoder))


UNCONDITIONAL: Mapping[str, Callable[[Encoder], Tensor]] = {"mean": zero_pixels, "black": black_pixels}
"""Conventions for the unconditional picture where no negative reference is given."""


def resized_positions(table: Tensor, states: int) -> Tensor:
    """Return a table of positions (states, width) for another number of patches; the class token's row stays.

    The grid is interpolated as in vahlok-alunmid's reForge-preprocessor_bigG_448, for adapters trained at 448 pixels.
    """
    if len(table) == states:
        return table
    old, new = math.isqrt(len(table) - 1), math.isqrt(states - 1)
    precise = table.to(torch.promote_types(table.dtype, torch.float32))  # CPUs do not interpolate in half precision
    grid = precise[1:].T.reshape(1, -1, old, old)
    resized = functional.interpolate(grid, size=(new, new), mode="bicubic", align_corners=True)
    return torch.cat((precise[:1], resized.reshape(-1, new * new).T)).to(table.dtype)


def _build(encoder: EncoderFile) -> nn.Module:
    """Build open_clip's tower, using only arguments that exist in open_clip 2.20 and in current versions."""
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

"""EVA02-CLIP's vision tower, PuLID's image encoder, in torch alone, and files with it.

Neither timm nor open_clip can be relied on for it: timm has it since 0.9, and AUTOMATIC1111's ControlNet pins 0.6.7.
A tower is on the device only during `encode`; its file stays a memory map.

Source: EVA-CLIP, `eva_vit_model.py` and `rope.py`, with the configuration EVA02-CLIP-L-14-336.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..base.errors import UnrecognisedError
from ..base.files import file_identity
from .bases import EVA
from .encoders import Tower, load_checked, read_shape, run_each
from .eva_keys import BLOCK, eva_part
from .shapes import Shapes
from .tensor_file import read_shapes, read_tensors

KIND = "an EVA02-CLIP"

HEAD = 64
"""Width of an attention head."""

EPSILON = 1e-6
"""Added to the variance in every norm."""

GRID = 16
"""Patches along a side in pretraining; positions of finer grids are scaled to it."""

THETA = 10000.0
"""Base of the frequencies of rotary positions."""

TAPPED = (4, 8, 12, 16, 20)
"""Blocks whose input is one of the hidden states that PuLID takes (PuLID, `eva_vit_model.py`, `forward_features`)."""


@dataclass(frozen=True)
class EvaFeatures:
    """The tower's output for one picture, in float32 on the CPU."""

    embed: Tensor
    """(1, projection): the image embedding, divided by its length."""
    hidden: tuple[Tensor, ...]
    """The input of each block in `TAPPED`, class token first, without a norm: (1, states, width) each."""

    @property
    def bytes(self) -> int:
        return sum(tensor.numel() * tensor.element_size() for tensor in self.taken(""))

    def taken(self, takes: str) -> tuple[Tensor, ...]:
        """Return what a family of adapters takes: all of it, the embedding first."""
        return (self.embed, *self.hidden)


@dataclass(frozen=True)
class EvaFile(Tower):
    """An EVA02-CLIP vision tower in a file, with its architecture as read from the shapes."""

    @property
    def name(self) -> str:
        """The architecture's usual name, or its sizes where it has none."""
        known = (self.width, self.image_size, self.projection) == (1024, 336, 768)
        return EVA if known else f"EVA02-CLIP of width {self.width}, {self.image_size} pixels"

    def width_of(self, takes: str) -> int:
        """Return the width of the features that a family of adapters takes from the encoder."""
        return self.width

    def encode(self, pictures: Iterable[Tensor], device: torch.device, dtype: torch.dtype) -> list[EvaFeatures]:
        """Return the features of each normalised picture (3, size, size).

        The tower runs in `dtype` on `device` and is freed afterwards.
        """
        tower = load_checked(self.path, EvaTower.of_shapes, eva_part(read_tensors(self.path)), device, dtype)
        return [
            EvaFeatures(functional.normalize(embed.float()).cpu(), tuple(each.float().cpu() for each in hidden))
            for embed, hidden in run_each(tower, pictures, device, dtype)
        ]


def open_eva(path: Path) -> EvaFile:
    """Read an EVA02-CLIP tower's architecture from its header; raises `UnrecognisedError` for any other file."""
    identity = file_identity(path)  # before reading, so that a change while reading gives another identity
    shapes = eva_part(read_shapes(path))
    width, _, patch, _ = read_shape(path, KIND, shapes, "patch_embed.proj.weight", 4)
    _, states, _ = read_shape(path, KIND, shapes, "pos_embed", 3)
    (projection,) = read_shape(path, KIND, shapes, "head.bias", 1)
    read_shape(path, KIND, shapes, "blocks.0.mlp.w1.weight", 2)
    if width % HEAD or f"blocks.{TAPPED[-1]}.norm1.weight" not in shapes:
        raise UnrecognisedError(f"{path.name} is an unknown EVA02-CLIP: width {width}, fewer than {TAPPED[-1]} blocks.")
    parameters = sum(math.prod(shape) for shape in shapes.values())
    return EvaFile(path, width, patch, states, projection, parameters, identity)


class EvaTower(nn.Module):
    """The tower, with the tensor names of its authors' file.

    Pixels (n, 3, size, size) -> the image embedding (n, projection), and the input of each block in `TAPPED`
    (n, states, width).
    """

    def __init__(self, width: int, layers: int, mlp: int, patch: int, states: int, projection: int) -> None:
        super().__init__()
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv2d(3, width, patch, patch)})
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(torch.zeros(1, states, width))
        self.blocks = nn.ModuleList(_Block(width, mlp) for _ in range(layers))
        self.norm = nn.LayerNorm(width, EPSILON)
        self.head = nn.Linear(width, projection)

    @classmethod
    def of_shapes(cls, shapes: Shapes) -> "EvaTower":
        """Return the tower for weights of these shapes, by the authors' names."""
        layers = len({match[1] for name in shapes if (match := BLOCK.match(name))})
        width, _, patch, _ = shapes["patch_embed.proj.weight"]
        mlp, states, projection = shapes["blocks.0.mlp.w1.weight"][0], shapes["pos_embed"][1], shapes["head.bias"][0]
        return cls(width, layers, mlp, patch, states, projection)

    def forward(self, pixels: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        patches = self.patch_embed["proj"](pixels).flatten(2).transpose(1, 2)
        x = torch.cat((self.cls_token.expand(len(patches), -1, -1), patches), 1) + self.pos_embed
        angles = rotary_angles(math.isqrt(patches.shape[1])).to(x.device)
        entering = list[Tensor]()
        for block in self.blocks:
            entering.append(x)
            x = block(x, angles)
        return self.head(self.norm(x[:, 0])), tuple(entering[number] for number in TAPPED)


class _Block(nn.Module):
    def __init__(self, width: int, mlp: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width, EPSILON), nn.LayerNorm(width, EPSILON)
        self.attn, self.mlp = _Attention(width), _Mlp(width, mlp)

    def forward(self, x: Tensor, angles: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x), angles)
        return x + self.mlp(self.norm2(x))


class _Attention(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.q_proj, self.k_proj, self.v_proj = (nn.Linear(width, width, bias=False) for _ in range(3))
        self.q_bias, self.v_bias = nn.Parameter(torch.zeros(width)), nn.Parameter(torch.zeros(width))
        self.inner_attn_ln = nn.LayerNorm(width, EPSILON)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor, angles: Tensor) -> Tensor:
        whole = (self.q_proj(x) + self.q_bias, self.k_proj(x), self.v_proj(x) + self.v_bias)
        q, k, v = (each.unflatten(-1, (-1, HEAD)).transpose(1, 2) for each in whole)
        made = functional.scaled_dot_product_attention(_rotated(q, angles), _rotated(k, angles), v)
        return self.proj(self.inner_attn_ln(made.transpose(1, 2).flatten(2)))


class _Mlp(nn.Module):
    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.w1, self.w2 = nn.Linear(width, inner), nn.Linear(width, inner)
        self.ffn_ln = nn.LayerNorm(inner, EPSILON)
        self.w3 = nn.Linear(inner, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.w3(self.ffn_ln(functional.silu(self.w1(x)) * self.w2(x)))


def rotary_angles(side: int) -> Tensor:
    """Return the rotation of each pair of numbers in a head, for a square of `side` patches: (patches, HEAD / 2).

    The first half of the pairs rotates with the patch's row, the second half with its column.
    """
    frequencies = THETA ** -(torch.arange(0, HEAD // 2, 2) / (HEAD // 2))
    places = torch.arange(side) / side * GRID
    along = torch.outer(places, frequencies)
    down, across = along[:, None].expand(-1, side, -1), along[None].expand(side, -1, -1)
    return torch.cat((down, across), -1).flatten(0, 1)


def _rotated(x: Tensor, angles: Tensor) -> Tensor:
    """Rotate neighbouring pairs of every patch, but not of the class token: (n, heads, states, HEAD)."""
    first, patches = x[:, :, :1], x[:, :, 1:].float()
    even, odd = patches[..., ::2], patches[..., 1::2]
    cos, sin = angles.cos(), angles.sin()
    turned = torch.stack((even * cos - odd * sin, odd * cos + even * sin), -1).flatten(-2)
    return torch.cat((first, turned.to(x.dtype)), 2)

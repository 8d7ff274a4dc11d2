"""SigLIP's vision tower, the image encoder of adapters for FLUX, in torch alone, and files with it.

A tower is on the device only during `encode`; its file stays a memory map.

Source: transformers, `modeling_siglip.py`, whose tensor names every published file has.
"""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..base.errors import UnrecognisedError
from ..base.files import file_identity
from ..pictures.crops import CLIP_MEAN
from ..pictures.preprocess import CLIP_STD
from .bases import SIGLIP
from .encoders import Tower, load_checked, read_shape, run_each
from .family import EMBED
from .shapes import Shapes
from .tensor_file import read_shapes, read_tensors

KIND = "a SigLIP vision"

PREFIX = "vision_model."

HEAD = 72
"""Width of an attention head of so400m, the only tower that adapters were trained with."""

EPSILON = 1e-6
"""Added to the variance in every norm."""

MIDDLE = 0.5
"""Mean and standard deviation of the pixels that the tower takes."""

UNSEEN = {(14, 729): 6}
"""Pixels at the right and lower edge that no patch covers, by patch and number of patches: 384 is not 27 x 14."""

LAYER = re.compile(r"encoder\.layers\.(\d+)\.")

Value = TypeVar("Value")


@dataclass(frozen=True)
class SiglipFeatures:
    """The tower's output for one picture, in float32 on the CPU."""

    embed: Tensor
    """(1, width): what the tower's last attention pools from all patches."""
    hidden: Tensor
    """(1, patches, width): every patch after the final norm."""

    @property
    def bytes(self) -> int:
        return sum(tensor.numel() * tensor.element_size() for tensor in (self.embed, self.hidden))

    def taken(self, takes: str) -> tuple[Tensor, ...]:
        """Return the features of the kind that a family of adapters takes."""
        return (self.embed if takes == EMBED else self.hidden,)


@dataclass(frozen=True)
class SiglipFile(Tower):
    """A SigLIP vision tower in a file, with its architecture as read from the shapes."""

    @property
    def name(self) -> str:
        """The architecture's usual name, or its sizes where it has none."""
        known = (self.width, self.image_size, self.patch) == (1152, 384, 14)
        return SIGLIP if known else f"SigLIP of width {self.width}, {self.image_size} pixels"

    @property
    def image_size(self) -> int:
        """Side of the tower's square input in pixels."""
        return math.isqrt(self.states) * self.patch + UNSEEN.get((self.patch, self.states), 0)

    def width_of(self, takes: str) -> int:
        """Return the width of the features that a family of adapters takes from the encoder."""
        return self.width

    def encode(self, pictures: Iterable[Tensor], device: torch.device, dtype: torch.dtype) -> list[SiglipFeatures]:
        """Return the features of each picture (3, size, size), normalised as for CLIP.

        The tower runs in `dtype` on `device` and is freed afterwards.
        """
        tower = load_checked(self.path, SiglipTower.of_shapes, vision_part(read_tensors(self.path)), device, dtype)
        made = run_each(tower, map(own_pixels, pictures), device, dtype)
        return [SiglipFeatures(embed.float().cpu(), hidden.float().cpu()) for embed, hidden in made]


def open_siglip(path: Path) -> SiglipFile:
    """Read a SigLIP tower's architecture from its header; raises `UnrecognisedError` for any other file."""
    identity = file_identity(path)  # before reading, so that a change while reading gives another identity
    shapes = vision_part(read_shapes(path))
    width, _, patch, _ = read_shape(path, KIND, shapes, "embeddings.patch_embedding.weight", 4)
    read_shape(path, KIND, shapes, "embeddings.patch_embedding.bias", 1)
    states, _ = read_shape(path, KIND, shapes, "embeddings.position_embedding.weight", 2)
    read_shape(path, KIND, shapes, "head.probe", 3)
    if width % HEAD or math.isqrt(states) ** 2 != states:
        raise UnrecognisedError(f"{path.name} is an unknown SigLIP: width {width}, {states} patches.")
    parameters = sum(math.prod(shape) for shape in shapes.values())
    return SiglipFile(path, width, patch, states, width, parameters, identity)


def vision_part(named: Mapping[str, Value]) -> dict[str, Value]:
    """Return a vision tower's entries without their prefix; a whole SigLIP also has a text tower."""
    own = {name[len(PREFIX) :]: value for name, value in named.items() if name.startswith(PREFIX)}
    return {name: value for name, value in own.items() if not name.endswith("position_ids")}


def own_pixels(picture: Tensor) -> Tensor:
    """Return pixels that were normalised as for CLIP in the range of this tower, -1 to 1."""
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (CLIP_MEAN, CLIP_STD))
    return (picture * std + mean - MIDDLE) / MIDDLE


class SiglipTower(nn.Module):
    """The tower, with the tensor names of transformers.

    Pixels (n, 3, size, size) -> the image embedding (n, width), and the patches (n, patches, width).
    """

    def __init__(self, width: int, layers: int, mlp: int, patch: int, states: int) -> None:
        super().__init__()
        self.embeddings = nn.ModuleDict(
            {
                "patch_embedding": nn.Conv2d(3, width, patch, patch),
                "position_embedding": nn.Embedding(states, width),
            }
        )
        self.encoder = nn.ModuleDict({"layers": nn.ModuleList(_Layer(width, mlp) for _ in range(layers))})
        self.post_layernorm = nn.LayerNorm(width, EPSILON)
        self.head = _Pooling(width, mlp)

    @classmethod
    def of_shapes(cls, shapes: Shapes) -> "SiglipTower":
        """Return the tower for weights of these shapes."""
        layers = len({match[1] for name in shapes if (match := LAYER.match(name))})
        width, _, patch, _ = shapes["embeddings.patch_embedding.weight"]
        (mlp,) = shapes["head.mlp.fc1.bias"]
        return cls(width, layers, mlp, patch, shapes["embeddings.position_embedding.weight"][0])

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        x = self.embeddings["patch_embedding"](pixels).flatten(2).transpose(1, 2)
        x = x + self.embeddings["position_embedding"].weight
        for layer in self.encoder["layers"]:  # pyright: ignore
            x = layer(x)
        x = self.post_layernorm(x)
        return self.head(x), x


class _Layer(nn.Module):
    def __init__(self, width: int, mlp: int) -> None:
        super().__init__()
        self.layer_norm1, self.layer_norm2 = nn.LayerNorm(width, EPSILON), nn.LayerNorm(width, EPSILON)
        self.self_attn, self.mlp = _Attention(width), _Mlp(width, mlp)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.self_attn(self.layer_norm1(x))
        return x + self.mlp(self.layer_norm2(x))


class _Attention(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.q_proj, self.k_proj, self.v_proj, self.out_proj = (nn.Linear(width, width) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (_heads(each(x)) for each in (self.q_proj, self.k_proj, self.v_proj))
        return self.out_proj(functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class _Mlp(nn.Module):
    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(width, inner), nn.Linear(inner, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(functional.gelu(self.fc1(x), approximate="tanh"))


class _Pooling(nn.Module):
    """A learned probe attends all patches."""

    def __init__(self, width: int, mlp: int) -> None:
        super().__init__()
        self.probe = nn.Parameter(torch.empty(1, 1, width))
        self.attention = nn.MultiheadAttention(width, width // HEAD, batch_first=True)
        self.layernorm = nn.LayerNorm(width, EPSILON)
        self.mlp = _Mlp(width, mlp)

    def forward(self, x: Tensor) -> Tensor:
        made, _ = self.attention(self.probe.expand(len(x), -1, -1), x, x, need_weights=False)
        return (made + self.mlp(self.layernorm(made)))[:, 0]


def _heads(x: Tensor) -> Tensor:
    return x.unflatten(-1, (-1, HEAD)).transpose(1, 2)

"""FLUX.1's network with random weights, in torch alone: for tests, and for machines without a web UI or diffusers.

Modules have the names that every checkpoint has, so that the extension finds the blocks in them. `Flux` restates the
network in the order in which the web UIs compute it. Source: black-forest-labs/flux, `model.py` and `layers.py`.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

HEAD_DIM = 128
AXES = (16, 56, 56)
MLP = 4


@dataclass(frozen=True)
class FluxShape:
    """What distinguishes a narrow or shallow network from the real one, which this is by itself."""

    heads: int = 24
    text: int = 4096
    """Width of T5's text."""
    pooled: int = 768
    """Width of CLIP's pooled text."""
    channels: int = 16
    """Of latent images."""
    doubles: int = 19
    singles: int = 38

    @property
    def width(self) -> int:
        return self.heads * HEAD_DIM


Extra = Callable[[Tensor], Tensor]
"""Query (rows, heads, tokens, dim) -> what InstantX's adapter adds to the attention: (rows, tokens, width)."""


class RMSNorm(nn.Module):
    def __init__(self, dim: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(dim))

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.rsqrt(x.square().mean(dim=-1, keepdim=True) + 1e-6) * self.scale


class QKNorm(nn.Module):
    def __init__(self, dim: int) -> None:
        super().__init__()
        self.query_norm, self.key_norm = RMSNorm(dim), RMSNorm(dim)

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        return self.query_norm(q), self.key_norm(k)


class SelfAttention(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.norm = QKNorm(width // heads)


class Modulation(nn.Module):
    def __init__(self, width: int, parts: int) -> None:
        super().__init__()
        self.parts, self.lin = parts, nn.Linear(width, parts * width)

    def forward(self, vec: Tensor) -> tuple[Tensor, ...]:
        return self.lin(functional.silu(vec))[:, None].chunk(self.parts, dim=-1)


def heads_of(qkv: Tensor, heads: int) -> Tensor:
    return qkv.unflatten(-1, (3, heads, -1)).permute(2, 0, 3, 1, 4)


def norm(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    return (1 + scale) * functional.layer_norm(x, x.shape[-1:], eps=1e-6) + shift


def rotated(x: Tensor, angles: Tensor) -> Tensor:
    even, odd = x[..., ::2], x[..., 1::2]
    cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
    return torch.stack((even * cos - odd * sin, odd * cos + even * sin), -1).flatten(-2)


def attention(q: Tensor, k: Tensor, v: Tensor, angles: Tensor) -> Tensor:
    made = functional.scaled_dot_product_attention(rotated(q, angles), rotated(k, angles), v)
    return made.transpose(1, 2).flatten(2)


def mlp(width: int, inner: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width, inner), nn.GELU(approximate="tanh"), nn.Linear(inner, width))


class DoubleBlock(nn.Module):
    def __init__(self, width: int, heads: int, inner: int) -> None:
        super().__init__()
        self.heads = heads
        self.extra: Extra | None = None
        self.img_mod, self.txt_mod = Modulation(width, 6), Modulation(width, 6)
        self.img_attn, self.txt_attn = SelfAttention(width, heads), SelfAttention(width, heads)
        self.img_mlp, self.txt_mlp = mlp(width, inner), mlp(width, inner)

    def forward(self, img: Tensor, txt: Tensor, vec: Tensor, pe: Tensor) -> tuple[Tensor, Tensor]:
        image, text = self.img_mod(vec), self.txt_mod(vec)
        iq, ik, iv = heads_of(self.img_attn.qkv(norm(img, *image[:2])), self.heads)
        iq, ik = self.img_attn.norm(iq, ik, iv)
        tq, tk, tv = heads_of(self.txt_attn.qkv(norm(txt, *text[:2])), self.heads)
        tq, tk = self.txt_attn.norm(tq, tk, tv)
        made = attention(*(torch.cat(pair, 2) for pair in ((tq, iq), (tk, ik), (tv, iv))), pe)
        count = txt.shape[1]
        if self.extra:
            made = torch.cat((made[:, :count], made[:, count:] + self.extra(iq)), 1)
        img = img + image[2] * self.img_attn.proj(made[:, count:])
        txt = txt + text[2] * self.txt_attn.proj(made[:, :count])
        img = img + image[5] * self.img_mlp(norm(img, *image[3:5]))
        return img, txt + text[5] * self.txt_mlp(norm(txt, *text[3:5]))


class SingleBlock(nn.Module):
    def __init__(self, width: int, heads: int, inner: int) -> None:
        super().__init__()
        self.heads, self.width, self.inner = heads, width, inner
        self.extra: Extra | None = None
        self.modulation = Modulation(width, 3)
        self.linear1, self.linear2 = nn.Linear(width, 3 * width + inner), nn.Linear(width + inner, width)
        self.norm = QKNorm(width // heads)

    def forward(self, x: Tensor, vec: Tensor, pe: Tensor) -> Tensor:
        shift, scale, gate = self.modulation(vec)
        qkv, inner = self.linear1(norm(x, shift, scale)).split((3 * self.width, self.inner), -1)
        q, k, v = heads_of(qkv, self.heads)
        q, k = self.norm(q, k, v)
        made = attention(q, k, v, pe)
        made = made + self.extra(q) if self.extra else made
        return x + gate * self.linear2(torch.cat((made, functional.gelu(inner, approximate="tanh")), 2))


class Embedder(nn.Module):
    def __init__(self, width: int, out: int) -> None:
        super().__init__()
        self.in_layer, self.out_layer = nn.Linear(width, out), nn.Linear(out, out)

    def forward(self, x: Tensor) -> Tensor:
        return self.out_layer(functional.silu(self.in_layer(x)))


class LastLayer(nn.Module):
    def __init__(self, width: int, out: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, out)
        self.adaLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(width, 2 * width))

    def forward(self, x: Tensor, vec: Tensor) -> Tensor:
        return self.linear(norm(x, *self.adaLN_modulation(vec)[:, None].chunk(2, dim=-1)))


def wave(t: Tensor) -> Tensor:
    angles = 1000.0 * t[:, None].float() * torch.exp(-math.log(10000.0) * torch.arange(128.0, device=t.device) / 128)
    return torch.cat((angles.cos(), angles.sin()), -1)


def angles_of(sizes: Sequence[Sequence[int]], text: int) -> Tensor:
    """Return the rotation of each token of text and of latent images of these sizes: (tokens, half a head)."""
    places = []
    for i, size in enumerate(sizes):
        sides = (torch.arange(float((side + 1) // 2)) for side in size)
        places.append(torch.cartesian_prod(torch.tensor([float(i)]), *sides))
    ids = torch.cat([torch.zeros(text, 3), *places])
    each = [ids[:, i, None] * 10000.0 ** (-torch.arange(0, axis, 2) / axis) for i, axis in enumerate(AXES)]
    return torch.cat(each, -1)


class Flux(nn.Module):
    """`forward` takes what the web UIs pass; `references` are latents of further pictures, as with Kontext."""

    def __init__(self, shape: FluxShape) -> None:
        super().__init__()
        self.hidden_size = width = shape.width
        self.img_in, self.txt_in = nn.Linear(4 * shape.channels, width), nn.Linear(shape.text, width)
        self.time_in, self.guidance_in = Embedder(256, width), Embedder(256, width)
        self.vector_in = Embedder(shape.pooled, width)
        sizes = width, shape.heads, MLP * width
        self.double_blocks = nn.ModuleList(DoubleBlock(*sizes) for _ in range(shape.doubles))
        self.single_blocks = nn.ModuleList(SingleBlock(*sizes) for _ in range(shape.singles))
        self.final_layer = LastLayer(width, 4 * shape.channels)

    def forward(
        self, x: Tensor, timestep: Tensor, context: Tensor, y: Tensor, guidance: Tensor, references=(), **_: Any
    ) -> Tensor:
        height, width = ((side + 1) // 2 for side in x.shape[-2:])
        pictures = [patches(each) for each in (x, *references)]
        img, txt = self.img_in(torch.cat(pictures, 1)), self.txt_in(context)
        time, strength = (wave(each).to(x.dtype) for each in (timestep, guidance))
        vec = self.time_in(time) + self.guidance_in(strength) + self.vector_in(y)
        pe = angles_of([each.shape[-2:] for each in (x, *references)], txt.shape[1]).to(x.device)
        for block in self.double_blocks:
            img, txt = block(img=img, txt=txt, vec=vec, pe=pe)
        x = torch.cat((txt, img), 1)
        for block in self.single_blocks:
            x = block(x, vec=vec, pe=pe)
        return picture_of(self.final_layer(x[:, txt.shape[1] :][:, : height * width], vec), height, width)


def picture_of(tokens: Tensor, height: int, width: int) -> Tensor:
    """Return patches as latents: (rows, channels, 2 * height, 2 * width)."""
    cells = tokens.unflatten(1, (height, width)).unflatten(-1, (-1, 2, 2))
    return cells.permute(0, 3, 1, 4, 2, 5).flatten(2, 3).flatten(3)


def patches(latents: Tensor) -> Tensor:
    """Return patches of 2 x 2: (rows, tokens, 4 * channels)."""
    padded = functional.pad(latents, (0, latents.shape[-1] % 2, 0, latents.shape[-2] % 2), mode="circular")
    cells = padded.unflatten(-1, (-1, 2)).unflatten(-3, (-1, 2))  # (rows, channels, height, 2, width, 2)
    return cells.permute(0, 2, 4, 1, 3, 5).flatten(3).flatten(1, 2)

"""Image-projection networks: features → image tokens. Parameter names equal the files' keys after `image_proj.`.

Sources: tencent-ailab/IP-Adapter, `ip_adapter/ip_adapter.py` (ImageProjModel, MLPProjModel) and `resampler.py`.
"""

import torch
from einops import rearrange
from torch import Tensor, nn

from .families import Shapes

HEAD_DIM = 64


class LinearProjector(nn.Module):
    """Base adapters: one linear layer makes all tokens from the image embedding.

    (images, width) -> (images, tokens, context dim)
    """

    def __init__(self, width: int, tokens: int, context_dim: int) -> None:
        super().__init__()
        self.tokens = tokens
        self.proj = nn.Linear(width, tokens * context_dim)
        self.norm = nn.LayerNorm(context_dim)

    @classmethod
    def of_shapes(cls, shapes: Shapes) -> "LinearProjector":
        rows, width = shapes["image_proj.proj.weight"]
        (context_dim,) = shapes["image_proj.norm.weight"]
        return cls(width, rows // context_dim, context_dim)

    def forward(self, features: Tensor) -> Tensor:
        tokens = rearrange(self.proj(features), "images (tokens dim) -> images tokens dim", tokens=self.tokens)
        return self.norm(tokens)


class FullFaceProjector(nn.Module):
    """Full Face: each hidden state becomes a token of its own.

    (images, states, width) -> (images, states, context dim)
    """

    def __init__(self, width: int, context_dim: int) -> None:
        super().__init__()
        self.proj = nn.Sequential(
            nn.Linear(width, width), nn.GELU(), nn.Linear(width, context_dim), nn.LayerNorm(context_dim)
        )

    @classmethod
    def of_shapes(cls, shapes: Shapes) -> "FullFaceProjector":
        context_dim, width = shapes["image_proj.proj.2.weight"]
        return cls(width, context_dim)

    def forward(self, features: Tensor) -> Tensor:
        return self.proj(features)


class Resampler(nn.Module):
    """Plus adapters: learned latents attend the hidden states (a perceiver).

    (images, states, width) -> (images, latents, context dim)
    """

    def __init__(self, width: int, latents: int, inner: int, heads: int, context_dim: int, depth: int) -> None:
        super().__init__()
        self.latents = nn.Parameter(torch.empty(1, latents, inner))
        self.proj_in = nn.Linear(width, inner)
        self.proj_out = nn.Linear(inner, context_dim)
        self.norm_out = nn.LayerNorm(context_dim)
        self.layers = nn.ModuleList(
            nn.ModuleList([PerceiverAttention(inner, heads), feed_forward(inner)]) for _ in range(depth)
        )

    @classmethod
    def of_shapes(cls, shapes: Shapes) -> "Resampler":
        _, latents, inner = shapes["image_proj.latents"]
        _, width = shapes["image_proj.proj_in.weight"]
        context_dim, _ = shapes["image_proj.proj_out.weight"]
        heads = shapes["image_proj.layers.0.0.to_q.weight"][0] // HEAD_DIM
        depth = sum(key.startswith("image_proj.layers.") and key.endswith(".0.to_q.weight") for key in shapes)
        return cls(width, latents, inner, heads, context_dim, depth)

    def forward(self, features: Tensor) -> Tensor:
        states = self.proj_in(features)  # (images, states, inner)
        latents = self.latents.expand(len(features), -1, -1)  # (images, latents, inner)
        for attention, feed in self.layers:  # pyright: ignore
            latents = latents + attention(states, latents)
            latents = latents + feed(latents)
        return self.norm_out(self.proj_out(latents))


class PerceiverAttention(nn.Module):
    """Latents attend the hidden states and themselves (Flamingo, Alayrac et al. 2022, figure 5)."""

    def __init__(self, inner: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1 = nn.LayerNorm(inner)
        self.norm2 = nn.LayerNorm(inner)
        self.to_q = nn.Linear(inner, heads * HEAD_DIM, bias=False)
        self.to_kv = nn.Linear(inner, 2 * heads * HEAD_DIM, bias=False)
        self.to_out = nn.Linear(heads * HEAD_DIM, inner, bias=False)

    def forward(self, states: Tensor, latents: Tensor) -> Tensor:
        states, latents = self.norm1(states), self.norm2(latents)
        q = self._split(self.to_q(latents))  # (images, heads, latents, dim)
        both = torch.cat([states, latents], dim=1)  # (images, states + latents, inner)
        k, v = map(self._split, self.to_kv(both).chunk(2, dim=-1))  # (images, heads, states + latents, dim)
        scale = HEAD_DIM**-0.25  # on both sides of the product, so that half precision holds it
        weights = ((q * scale) @ (k * scale).transpose(-2, -1)).float().softmax(dim=-1).to(v.dtype)
        return self.to_out(rearrange(weights @ v, "images heads latents dim -> images latents (heads dim)"))

    def _split(self, tensor: Tensor) -> Tensor:
        return rearrange(tensor, "images tokens (heads dim) -> images heads tokens dim", heads=self.heads)


def feed_forward(inner: int) -> nn.Sequential:
    """Return the latents' feed-forward layer: four times as wide inside, no biases."""
    return nn.Sequential(
        nn.LayerNorm(inner), nn.Linear(inner, 4 * inner, bias=False), nn.GELU(), nn.Linear(4 * inner, inner, bias=False)
    )


PROJECTORS = {"base": LinearProjector, "plus": Resampler, "full-face": FullFaceProjector}
"""Projector by family; the others are recognised and refused."""

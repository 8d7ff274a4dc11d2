"""Image projection networks: features → image tokens. Parameter names are the files' keys after `image_proj.`.

Sources: tencent-ailab/IP-Adapter, `ip_adapter/ip_adapter.py` (ImageProjModel, MLPProjModel), `resampler.py`, and
`ip_adapter_faceid.py` (MLPProjModel, ProjPlusModel, FacePerceiverResampler).
"""

import torch
from einops import rearrange
from torch import Tensor, nn

from .shapes import Shapes

HEAD_DIM = 64


class LinearProjector(nn.Module):
    """Base adapters: one linear layer maps the image embedding to all tokens.

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
    """Full Face: each hidden state becomes a token.

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


class Perceiver(nn.Module):
    """Latents that attend the hidden states in several layers and become tokens.

    (images, states, width) and (images, latents, inner) -> (images, latents, context dim)
    """

    def __init__(self, width: int, inner: int, heads: int, context_dim: int, depth: int) -> None:
        super().__init__()
        self.proj_in = nn.Linear(width, inner)
        self.proj_out = nn.Linear(inner, context_dim)
        self.norm_out = nn.LayerNorm(context_dim)
        self.layers = nn.ModuleList(
            nn.ModuleList([PerceiverAttention(inner, heads), feed_forward(inner)]) for _ in range(depth)
        )

    def attend(self, states: Tensor, latents: Tensor) -> Tensor:
        states = self.proj_in(states)  # (images, states, inner)
        for attention, feed in self.layers:  # pyright: ignore
            latents = latents + attention(states, latents)
            latents = latents + feed(latents)
        return self.norm_out(self.proj_out(latents))


def perceiver_sizes(shapes: Shapes, prefix: str) -> tuple[int, int, int, int, int]:
    """Return the arguments of a perceiver from the shapes of tensors whose names start with `prefix`."""
    inner, width = shapes[f"{prefix}proj_in.weight"]
    context_dim, _ = shapes[f"{prefix}proj_out.weight"]
    heads = shapes[f"{prefix}layers.0.0.to_q.weight"][0] // HEAD_DIM
    depth = sum(key.startswith(f"{prefix}layers.") and key.endswith(".0.to_q.weight") for key in shapes)
    return width, inner, heads, context_dim, depth


class Resampler(Perceiver):
    """Plus adapters: learned latents attend the hidden states.

    (images, states, width) -> (images, latents, context dim)
    """

    def __init__(self, width: int, latents: int, inner: int, heads: int, context_dim: int, depth: int) -> None:
        super().__init__(width, inner, heads, context_dim, depth)
        self.latents = nn.Parameter(torch.empty(1, latents, inner))

    @classmethod
    def of_shapes(cls, shapes: Shapes) -> "Resampler":
        width, *sizes = perceiver_sizes(shapes, "image_proj.")
        return cls(width, shapes["image_proj.latents"][1], *sizes)

    def forward(self, features: Tensor) -> Tensor:
        return self.attend(features, self.latents.expand(len(features), -1, -1))


class FaceResampler(Resampler):
    """InstantID and FaceID Portrait unnorm: learned latents attend a face embedding.

    (faces, width) -> (faces, latents, context dim)
    """

    def forward(self, features: Tensor) -> Tensor:
        return super().forward(features[:, None, :])


class FaceTokens(nn.Module):
    """First part of every FaceID projector: tokens from a face embedding.

    (faces, width) -> (faces, tokens, context dim)
    """

    def __init__(self, width: int, tokens: int, context_dim: int) -> None:
        super().__init__()
        self.tokens = tokens
        self.proj = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, tokens * context_dim))
        self.norm = nn.LayerNorm(context_dim)

    def tokens_of(self, embeddings: Tensor) -> Tensor:
        return self.norm(rearrange(self.proj(embeddings), "faces (tokens dim) -> faces tokens dim", tokens=self.tokens))


def face_sizes(shapes: Shapes) -> tuple[int, int, int]:
    """Return the width of a face embedding, the number of tokens and their width."""
    _, width = shapes["image_proj.proj.0.weight"]
    (context_dim,) = shapes["image_proj.norm.weight"]
    return width, shapes["image_proj.proj.2.weight"][0] // context_dim, context_dim


class FaceProjector(FaceTokens):
    """FaceID, FaceID Portrait, and InstantX's for FLUX: only the tokens of a face's or a picture's embedding.

    (embeddings, width) -> (embeddings, tokens, context dim)
    """

    @classmethod
    def of_shapes(cls, shapes: Shapes) -> "FaceProjector":
        return cls(*face_sizes(shapes))

    def forward(self, embeddings: Tensor) -> Tensor:
        return self.tokens_of(embeddings)


class FacePlusProjector(FaceTokens):
    """FaceID Plus v1: the tokens of a face embedding attend the CLIP hidden states of the face crop.

    (faces, width) and (faces, states, clip width) -> (faces, tokens, context dim)
    """

    def __init__(self, width: int, tokens: int, context_dim: int, clip_width: int, heads: int, depth: int) -> None:
        super().__init__(width, tokens, context_dim)
        self.perceiver_resampler = Perceiver(clip_width, context_dim, heads, context_dim, depth)

    @classmethod
    def of_shapes(cls, shapes: Shapes) -> "FacePlusProjector":
        clip_width, _, heads, _, depth = perceiver_sizes(shapes, "image_proj.perceiver_resampler.")
        return cls(*face_sizes(shapes), clip_width, heads, depth)

    def forward(self, embeddings: Tensor, states: Tensor) -> Tensor:
        return self.perceiver_resampler.attend(states, self.tokens_of(embeddings))


class FacePlusV2Projector(FacePlusProjector):
    """FaceID Plus v2: the result of attending the hidden states is added to the tokens of the face embedding."""

    def forward(self, embeddings: Tensor, states: Tensor, structure_weight: float = 1.0) -> Tensor:
        tokens = self.tokens_of(embeddings)
        return tokens + structure_weight * self.perceiver_resampler.attend(states, tokens)


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
        scale = HEAD_DIM**-0.25  # applied to both q and k, so that the product does not overflow in half precision
        weights = ((q * scale) @ (k * scale).transpose(-2, -1)).float().softmax(dim=-1).to(v.dtype)
        return self.to_out(rearrange(weights @ v, "images heads latents dim -> images latents (heads dim)"))

    def _split(self, tensor: Tensor) -> Tensor:
        return rearrange(tensor, "images tokens (heads dim) -> images heads tokens dim", heads=self.heads)


def feed_forward(inner: int) -> nn.Sequential:
    """Return the latents' feed-forward layer, with four times the width inside and no biases."""
    return nn.Sequential(
        nn.LayerNorm(inner), nn.Linear(inner, 4 * inner, bias=False), nn.GELU(), nn.Linear(4 * inner, inner, bias=False)
    )

"""The two towers of CLIP, written out, so nothing here depends on the version of transformers.

Parameters have the names of transformers' `CLIPTextModel` and `CLIPVisionModelWithProjection`.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..tokenizer import TOKENS
from .unet import CONTEXT

EMBED = 128
"""Width of the image and text embeddings."""
PATCH = 16


@dataclass(frozen=True)
class Sizes:
    width: int
    heads: int
    mlp: int
    layers: int


TEXT = Sizes(CONTEXT, 3, 384, 3)
VISION = Sizes(128, 2, 512, 4)
"""Its heads are 64 wide, which is what loaders assume if nothing says how many there are."""


class Attention(nn.Module):
    """(rows, tokens, width) -> the same"""

    def __init__(self, sizes: Sizes, causal: bool) -> None:
        super().__init__()
        self.heads, self.causal = sizes.heads, causal
        self.q_proj, self.k_proj, self.v_proj, self.out_proj = (nn.Linear(sizes.width, sizes.width) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (
            project(x).unflatten(2, (self.heads, -1)).transpose(1, 2)  # (rows, heads, tokens, dim)
            for project in (self.q_proj, self.k_proj, self.v_proj)
        )
        attended = functional.scaled_dot_product_attention(q, k, v, is_causal=self.causal)
        return self.out_proj(attended.transpose(1, 2).flatten(2))


class FeedForward(nn.Module):
    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(sizes.width, sizes.mlp), nn.Linear(sizes.mlp, sizes.width)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(functional.gelu(self.fc1(x)))


class Layer(nn.Module):
    def __init__(self, sizes: Sizes, causal: bool) -> None:
        super().__init__()
        self.self_attn, self.mlp = Attention(sizes, causal), FeedForward(sizes)
        self.layer_norm1, self.layer_norm2 = nn.LayerNorm(sizes.width), nn.LayerNorm(sizes.width)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.self_attn(self.layer_norm1(x))
        return x + self.mlp(self.layer_norm2(x))


def _layers(sizes: Sizes, causal: bool) -> nn.Module:
    return nn.ModuleDict({"layers": nn.ModuleList(Layer(sizes, causal) for _ in range(sizes.layers))})


class TextModel(nn.Module):
    """(rows, tokens) numbers -> (rows, tokens, width), after the final norm; at most 77 tokens"""

    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        self.embeddings = nn.ModuleDict(
            {
                "token_embedding": nn.Embedding(vocabulary, TEXT.width),
                "position_embedding": nn.Embedding(TOKENS, TEXT.width),
            }
        )
        for name, embedding in self.embeddings.items():
            nn.init.normal_(embedding.weight, std=0.5 if name == "token_embedding" else 0.1)
        self.encoder = _layers(TEXT, causal=True)
        self.final_layer_norm = nn.LayerNorm(TEXT.width)

    def forward(self, tokens: Tensor) -> Tensor:
        places = self.embeddings["position_embedding"].weight[: tokens.shape[1]]
        x = self.embeddings["token_embedding"](tokens) + places
        for layer in self.encoder["layers"]:
            x = layer(x)
        return self.final_layer_norm(x)


class TextTower(nn.Module):
    """The text model, and the projection of the first end token to an embedding: (rows, tokens) -> (rows, 128)"""

    def __init__(self, vocabulary: int, end: int) -> None:
        super().__init__()
        self.end = end
        self.text_model = TextModel(vocabulary)
        self.text_projection = nn.Linear(TEXT.width, EMBED, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        states = self.text_model(tokens)
        last = (tokens == self.end).int().argmax(1)
        return self.text_projection(states[torch.arange(len(tokens), device=tokens.device), last])


class VisionEmbeddings(nn.Module):
    """Patches and the class token, with their positions: (pictures, 3, size, size) -> (pictures, states, width)"""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.class_embedding = nn.Parameter(torch.randn(VISION.width) * VISION.width**-0.5)
        self.patch_embedding = nn.Conv2d(3, VISION.width, PATCH, PATCH, bias=False)
        self.position_embedding = nn.Embedding((size // PATCH) ** 2 + 1, VISION.width)
        nn.init.normal_(self.position_embedding.weight, std=0.1)

    def forward(self, pixels: Tensor) -> Tensor:
        patches = self.patch_embedding(pixels).flatten(2).transpose(1, 2)
        first = self.class_embedding.expand(len(pixels), 1, -1)
        return torch.cat([first, patches], 1) + self.position_embedding.weight


class VisionModel(nn.Module):
    """Pixels -> pooled class token (pictures, width); second-to-last layer's states (pictures, states, width)"""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.embeddings = VisionEmbeddings(size)
        self.pre_layrnorm = nn.LayerNorm(VISION.width)
        self.encoder = _layers(VISION, causal=False)
        self.post_layernorm = nn.LayerNorm(VISION.width)

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        x = self.pre_layrnorm(self.embeddings(pixels))
        *before, last = self.encoder["layers"]
        for layer in before:
            x = layer(x)
        return self.post_layernorm(last(x)[:, 0]), x


class VisionTower(nn.Module):
    """Normalised pixels (pictures, 3, size, size) -> image embeddings (pictures, 128) and hidden states"""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.vision_model = VisionModel(size)
        self.visual_projection = nn.Linear(VISION.width, EMBED, bias=False)

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        pooled, hidden = self.vision_model(pixels)
        return self.visual_projection(pooled), hidden


CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


def for_clip(pixels: Tensor) -> Tensor:
    """Normalise pixels -1..1 as CLIP's preprocessing does: (pictures, 3, size, size)."""
    mean, std = (torch.tensor(each, device=pixels.device).view(3, 1, 1) for each in (CLIP_MEAN, CLIP_STD))
    return ((pixels + 1) / 2 - mean) / std

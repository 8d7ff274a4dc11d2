"""CLIP's vision tower in torch alone, with open_clip's tensor names.

open_clip and torchvision have the same tower, but importing them takes seconds at the first generation.

Source: open_clip, `transformer.py`, VisionTransformer and ResidualAttentionBlock.
"""

from collections import OrderedDict

import torch
from torch import Tensor, nn


class QuickGELU(nn.Module):
    """OpenAI's approximation of GELU."""

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(1.702 * x)


class Block(nn.Module):
    """Attention and a feed-forward layer, each after a norm and beside a shortcut."""

    def __init__(self, width: int, heads: int, mlp: int, activation: type[nn.Module]) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(width)
        self.attn = nn.MultiheadAttention(width, heads, batch_first=True)
        self.ln_2 = nn.LayerNorm(width)
        layers: list[tuple[str, nn.Module]] = [
            ("c_fc", nn.Linear(width, mlp)),
            ("gelu", activation()),
            ("c_proj", nn.Linear(mlp, width)),
        ]
        self.mlp = nn.Sequential(OrderedDict(layers))

    def forward(self, x: Tensor) -> Tensor:
        normed = self.ln_1(x)
        x = x + self.attn(normed, normed, normed, need_weights=False)[0]
        return x + self.mlp(self.ln_2(x))


class Blocks(nn.Module):
    """The blocks, of which the output of the second last is kept."""

    def __init__(self, blocks: list[Block]) -> None:
        super().__init__()
        self.resblocks = nn.ModuleList(blocks)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        *before, last = self.resblocks
        for block in before:
            x = block(x)
        return last(x), x


class ClipTower(nn.Module):
    """Normalised pixels (n, 3, size, size) -> image embedding (n, projection), and the output of the second last block.

    The latter is (n, states, width), class token first, without a final norm.
    """

    def __init__(self, width: int, patch: int, states: int, projection: int, blocks: list[Block]) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, patch, patch, bias=False)
        self.class_embedding = nn.Parameter(torch.empty(width))
        self.positional_embedding = nn.Parameter(torch.empty(states, width))
        self.ln_pre = nn.LayerNorm(width)
        self.transformer = Blocks(blocks)
        self.ln_post = nn.LayerNorm(width)
        self.proj = nn.Parameter(torch.empty(width, projection))

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        patches = self.conv1(pixels).flatten(2).transpose(1, 2)  # (n, states - 1, width)
        classes = self.class_embedding.expand(len(pixels), 1, -1)
        x = torch.cat([classes, patches], dim=1) + self.positional_embedding
        last, hidden = self.transformer(self.ln_pre(x))
        return self.ln_post(last[:, 0]) @ self.proj, hidden

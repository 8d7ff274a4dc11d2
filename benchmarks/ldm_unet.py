"""The U-Nets of SD1.5 and SDXL with random weights, in torch alone, for machines without a web UI or diffusers.

Modules have ldm's names, so that the extension finds the sites in them. SDXL's size conditioning, which takes no time,
is left out. Source: Stability-AI/stablediffusion, `ldm/modules/diffusionmodules/openaimodel.py` and
`ldm/modules/attention.py`.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

RES_BLOCKS = 2
"""ResBlocks of a level on the way down; there is one more on the way up."""


@dataclass(frozen=True)
class Shape:
    """What distinguishes one U-Net from another."""

    multiples: tuple[int, ...]
    """Width of each level, in multiples of `channels`."""
    depths: tuple[int, ...]
    """Transformer blocks after each ResBlock of a level; the middle has as many as the last level that has some."""
    context_dim: int
    heads: int | None = None
    """Number of heads; None for heads of 64."""
    channels: int = 320
    linear: bool = False
    """Whether the transformers' outer projections are linear instead of convolutions."""


SD15 = Shape((1, 2, 4, 4), (1, 1, 1, 0), 768, heads=8)
SDXL = Shape((1, 2, 4), (0, 2, 10), 2048, linear=True)


class ResBlock(nn.Module):
    def __init__(self, channels: int, out: int, embedding: int) -> None:
        super().__init__()
        self.in_layers = nn.Sequential(nn.GroupNorm(32, channels), nn.SiLU(), nn.Conv2d(channels, out, 3, padding=1))
        self.emb_layers = nn.Sequential(nn.SiLU(), nn.Linear(embedding, out))
        self.out_layers = nn.Sequential(
            nn.GroupNorm(32, out), nn.SiLU(), nn.Identity(), nn.Conv2d(out, out, 3, padding=1)
        )
        self.skip_connection = nn.Identity() if channels == out else nn.Conv2d(channels, out, 1)

    def forward(self, hidden: Tensor, embedded: Tensor) -> Tensor:
        inner = self.in_layers(hidden) + self.emb_layers(embedded)[:, :, None, None]
        return self.skip_connection(hidden) + self.out_layers(inner)


class Attention(nn.Module):
    def __init__(self, width: int, context_dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.to_q = nn.Linear(width, width, bias=False)
        self.to_k, self.to_v = (nn.Linear(context_dim, width, bias=False) for _ in range(2))
        self.to_out = nn.Sequential(nn.Linear(width, width), nn.Identity())

    def forward(self, hidden: Tensor, context: Tensor | None = None) -> Tensor:
        context = hidden if context is None else context
        q, k, v = self.to_q(hidden), self.to_k(context), self.to_v(context)
        q, k, v = (each.unflatten(-1, (self.heads, -1)).transpose(1, 2) for each in (q, k, v))
        attended = functional.scaled_dot_product_attention(q, k, v)
        return self.to_out(attended.transpose(1, 2).flatten(2))


class GEGLU(nn.Module):
    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.proj = nn.Linear(width, 2 * inner)

    def forward(self, hidden: Tensor) -> Tensor:
        hidden, gate = self.proj(hidden).chunk(2, dim=-1)
        return hidden * functional.gelu(gate)


class FeedForward(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.net = nn.Sequential(GEGLU(width, 4 * width), nn.Identity(), nn.Linear(4 * width, width))

    def forward(self, hidden: Tensor) -> Tensor:
        return self.net(hidden)


class TransformerBlock(nn.Module):
    def __init__(self, width: int, context_dim: int, heads: int) -> None:
        super().__init__()
        self.attn1 = Attention(width, width, heads)
        self.ff = FeedForward(width)
        self.attn2 = Attention(width, context_dim, heads)
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(width) for _ in range(3))

    def forward(self, hidden: Tensor, context: Tensor) -> Tensor:
        hidden = hidden + self.attn1(self.norm1(hidden))
        hidden = hidden + self.attn2(self.norm2(hidden), context)
        return hidden + self.ff(self.norm3(hidden))


class SpatialTransformer(nn.Module):
    def __init__(self, width: int, depth: int, shape: Shape) -> None:
        super().__init__()
        self.linear = shape.linear
        self.norm = nn.GroupNorm(32, width, eps=1e-6)
        self.proj_in, self.proj_out = (
            nn.Linear(width, width) if shape.linear else nn.Conv2d(width, width, 1) for _ in range(2)
        )
        heads = shape.heads or width // 64
        self.transformer_blocks = nn.ModuleList(TransformerBlock(width, shape.context_dim, heads) for _ in range(depth))

    def forward(self, entering: Tensor, context: Tensor) -> Tensor:
        hidden = self.norm(entering)
        if not self.linear:
            hidden = self.proj_in(hidden)
        hidden = hidden.flatten(2).transpose(1, 2).contiguous()
        if self.linear:
            hidden = self.proj_in(hidden)
        for block in self.transformer_blocks:
            hidden = block(hidden, context)
        if self.linear:
            hidden = self.proj_out(hidden)
        hidden = hidden.transpose(1, 2).unflatten(2, entering.shape[2:]).contiguous()
        if not self.linear:
            hidden = self.proj_out(hidden)
        return entering + hidden


class Downsample(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.op = nn.Conv2d(width, width, 3, stride=2, padding=1)

    def forward(self, hidden: Tensor) -> Tensor:
        return self.op(hidden)


class Upsample(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, hidden: Tensor) -> Tensor:
        return self.conv(functional.interpolate(hidden, scale_factor=2, mode="nearest"))


class Block(nn.Sequential):
    """Layers that each take what they need of the embedded time and the text."""

    def forward(self, hidden: Tensor, embedded: Tensor, context: Tensor) -> Tensor:
        for layer in self:
            if isinstance(layer, ResBlock):
                hidden = layer(hidden, embedded)
            elif isinstance(layer, SpatialTransformer):
                hidden = layer(hidden, context)
            else:
                hidden = layer(hidden)
        return hidden


class UNet(nn.Module):
    """Takes latents (rows, 4, height, width), timesteps (rows,) and text (rows, tokens, context width)."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.channels = channels = shape.channels
        embedding = 4 * channels
        self.time_embed = nn.Sequential(nn.Linear(channels, embedding), nn.SiLU(), nn.Linear(embedding, embedding))

        def layers(before: int, width: int, depth: int) -> list[nn.Module]:
            transformer = [SpatialTransformer(width, depth, shape)] if depth else []
            return [ResBlock(before, width, embedding), *transformer]

        self.input_blocks = nn.ModuleList([Block(nn.Conv2d(4, channels, 3, padding=1))])
        widths, width = [channels], channels
        levels = [(channels * multiple, depth) for multiple, depth in zip(shape.multiples, shape.depths, strict=True)]
        for level, (here, depth) in enumerate(levels):
            for _ in range(RES_BLOCKS):
                self.input_blocks.append(Block(*layers(width, here, depth)))
                width = here
                widths.append(width)
            if level < len(levels) - 1:
                self.input_blocks.append(Block(Downsample(width)))
                widths.append(width)
        deepest = [depth for depth in shape.depths if depth][-1]
        self.middle_block = Block(*layers(width, width, deepest), ResBlock(width, width, embedding))
        self.output_blocks = nn.ModuleList()
        for level, (here, depth) in reversed(list(enumerate(levels))):
            for number in range(RES_BLOCKS + 1):
                last = [Upsample(here)] if level and number == RES_BLOCKS else []
                self.output_blocks.append(Block(*layers(width + widths.pop(), here, depth), *last))
                width = here
        self.out = nn.Sequential(nn.GroupNorm(32, width), nn.SiLU(), nn.Conv2d(width, 4, 3, padding=1))

    def forward(self, hidden: Tensor, timesteps: Tensor, context: Tensor) -> Tensor:
        embedded = self.time_embed(embed_time(timesteps, self.channels).to(hidden.dtype))
        kept: list[Tensor] = []
        for block in self.input_blocks:
            hidden = block(hidden, embedded, context)
            kept.append(hidden)
        hidden = self.middle_block(hidden, embedded, context)
        for block in self.output_blocks:
            hidden = block(torch.cat([hidden, kept.pop()], dim=1), embedded, context)
        return self.out(hidden)


def embed_time(timesteps: Tensor, width: int) -> Tensor:
    """Return the sinusoidal embedding of each timestep, (rows, width)."""
    half = width // 2
    frequencies = torch.exp(-math.log(10_000) * torch.arange(half, device=timesteps.device) / half)
    angles = timesteps[:, None].float() * frequencies
    return torch.cat([angles.cos(), angles.sin()], dim=-1)

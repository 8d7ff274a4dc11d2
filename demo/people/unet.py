"""A narrower U-Net of Stable Diffusion 1, with all 16 cross-attentions; parameters have the original's names.

Norms have 32 groups. With 32 channels they would remove each channel's mean, and with it the colour of a plain area, so
the narrowest level has 64.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from .autoencoder import LATENT

CONTEXT = 96
"""Width of the text context."""
WIDTH = 64
WIDTHS = (1, 2, 1, 1)
"""Channels of each level, in units of `WIDTH`."""
BLOCKS = 2
HEADS = 2
TIMES = 4 * WIDTH
"""Width of the time step's embedding."""

CONFIG = {
    "image_size": 16,
    "in_channels": LATENT,
    "out_channels": LATENT,
    "model_channels": WIDTH,
    "attention_resolutions": [4, 2, 1],
    "num_res_blocks": BLOCKS,
    "channel_mult": list(WIDTHS),
    "num_heads": HEADS,
    "use_spatial_transformer": True,
    "transformer_depth": 1,
    "context_dim": CONTEXT,
    "use_checkpoint": False,
    "legacy": False,
}
"""The same in the format of the checkpoint's configuration."""


class ResidualBlock(nn.Module):
    def __init__(self, inner: int, outer: int) -> None:
        super().__init__()
        self.in_layers = nn.Sequential(nn.GroupNorm(32, inner), nn.SiLU(), nn.Conv2d(inner, outer, 3, padding=1))
        self.emb_layers = nn.Sequential(nn.SiLU(), nn.Linear(TIMES, outer))
        last = nn.Conv2d(outer, outer, 3, padding=1)
        self.out_layers = nn.Sequential(nn.GroupNorm(32, outer), nn.SiLU(), nn.Identity(), _zero(last))
        self.skip_connection = nn.Identity() if inner == outer else nn.Conv2d(inner, outer, 1)

    def forward(self, x: Tensor, times: Tensor, context: Tensor) -> Tensor:
        inside = self.in_layers(x) + self.emb_layers(times)[..., None, None]
        return self.skip_connection(x) + self.out_layers(inside)


def _zero(module: nn.Module) -> nn.Module:
    for parameter in module.parameters():
        nn.init.zeros_(parameter)
    return module


class CrossAttention(nn.Module):
    """(rows, queries, width) and (rows, keys, context) -> (rows, queries, width)"""

    def __init__(self, width: int, context: int) -> None:
        super().__init__()
        self.heads = HEADS
        self.to_q = nn.Linear(width, width, bias=False)
        self.to_k = nn.Linear(context, width, bias=False)
        self.to_v = nn.Linear(context, width, bias=False)
        self.to_out = nn.Sequential(nn.Linear(width, width), nn.Identity())

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        q, k, v = (
            part.unflatten(2, (HEADS, -1)).transpose(1, 2)  # (rows, heads, tokens, dim)
            for part in (self.to_q(x), self.to_k(context), self.to_v(context))
        )
        attended = functional.scaled_dot_product_attention(q, k, v)
        return self.to_out(attended.transpose(1, 2).flatten(2))


class Gated(nn.Module):
    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.proj = nn.Linear(width, 2 * inner)

    def forward(self, x: Tensor) -> Tensor:
        value, gate = self.proj(x).chunk(2, -1)
        return value * functional.gelu(gate)


class FeedForward(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.net = nn.Sequential(Gated(width, 4 * width), nn.Identity(), nn.Linear(4 * width, width))

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)


class TransformerBlock(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.attn1, self.attn2 = CrossAttention(width, width), CrossAttention(width, CONTEXT)
        self.ff = FeedForward(width)
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(width) for _ in range(3))

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        normed = self.norm1(x)
        x = x + self.attn1(normed, normed)
        x = x + self.attn2(self.norm2(x), context)
        return x + self.ff(self.norm3(x))


class SpatialTransformer(nn.Module):
    """(rows, width, cells down, cells across) and the context -> the same shape"""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(32, width, eps=1e-6)
        self.proj_in = nn.Conv2d(width, width, 1)
        self.transformer_blocks = nn.ModuleList([TransformerBlock(width)])
        self.proj_out = _zero(nn.Conv2d(width, width, 1))

    def forward(self, x: Tensor, times: Tensor, context: Tensor) -> Tensor:
        cells = self.proj_in(self.norm(x)).flatten(2).transpose(1, 2)  # (rows, cells, width)
        for block in self.transformer_blocks:
            cells = block(cells, context)
        return x + self.proj_out(cells.transpose(1, 2).unflatten(2, x.shape[2:]))


class Down(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.op = nn.Conv2d(width, width, 3, stride=2, padding=1)

    def forward(self, x: Tensor, times: Tensor, context: Tensor) -> Tensor:
        return self.op(x)


class Up(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor, times: Tensor, context: Tensor) -> Tensor:
        return self.conv(functional.interpolate(x, scale_factor=2.0, mode="nearest"))


class First(nn.Conv2d):
    """The convolution at the latents' input, called like all other blocks."""

    def forward(self, x: Tensor, times: Tensor, context: Tensor) -> Tensor:
        return super().forward(x)


class Steps(nn.Sequential):
    def forward(self, x: Tensor, times: Tensor, context: Tensor) -> Tensor:
        for step in self:
            x = step(x, times, context)
        return x


def wave(times: Tensor) -> Tensor:
    """Return sinusoids of the time steps 0..999: (rows,) -> (rows, WIDTH)"""
    half = WIDTH // 2
    rates = torch.exp(-math.log(10000) * torch.arange(half, device=times.device) / half)
    angles = times[:, None].float() * rates
    return torch.cat([angles.cos(), angles.sin()], 1)


class UNet(nn.Module):
    """Noisy latents (rows, 4, 16, 16), time steps 0..999 and the context (rows, tokens, 96) -> velocities"""

    def __init__(self) -> None:
        super().__init__()
        self.time_embed = nn.Sequential(nn.Linear(WIDTH, TIMES), nn.SiLU(), nn.Linear(TIMES, TIMES))
        widths = [WIDTH * times for times in WIDTHS]
        self.input_blocks, kept = _way_down(widths)
        self.middle_block = Steps(
            ResidualBlock(widths[-1], widths[-1]), SpatialTransformer(widths[-1]), ResidualBlock(widths[-1], widths[-1])
        )
        self.output_blocks = _way_up(widths, kept)
        self.out = nn.Sequential(nn.GroupNorm(32, WIDTH), nn.SiLU(), _zero(nn.Conv2d(WIDTH, LATENT, 3, padding=1)))

    def forward(self, x: Tensor, times: Tensor, context: Tensor) -> Tensor:
        moment = self.time_embed(wave(times).to(self.out[-1].weight.dtype))
        kept = []
        for block in self.input_blocks:
            x = block(x, moment, context)
            kept.append(x)
        x = self.middle_block(x, moment, context)
        for block in self.output_blocks:
            x = block(torch.cat([x, kept.pop()], 1), moment, context)
        return self.out(x)


def _attends(level: int) -> bool:
    """Return whether a level has attention: all but the coarsest."""
    return level < len(WIDTHS) - 1


def _way_down(widths: list[int]) -> tuple[nn.ModuleList, list[int]]:
    """Return the input blocks, and the widths of the outputs that are kept for the way up."""
    blocks, kept = nn.ModuleList([Steps(First(LATENT, WIDTH, 3, padding=1))]), [WIDTH]
    for level, width in enumerate(widths):
        for _ in range(BLOCKS):
            attention = [SpatialTransformer(width)] if _attends(level) else []
            blocks.append(Steps(ResidualBlock(kept[-1], width), *attention))
            kept.append(width)
        if level < len(widths) - 1:
            blocks.append(Steps(Down(width)))
            kept.append(width)
    return blocks, kept


def _way_up(widths: list[int], kept: list[int]) -> nn.ModuleList:
    """Return the output blocks, each of which also takes the kept output of an input block."""
    blocks, kept, inner = nn.ModuleList(), list(kept), widths[-1]
    for level, width in reversed(list(enumerate(widths))):
        for number in range(BLOCKS + 1):
            attention = [SpatialTransformer(width)] if _attends(level) else []
            up = [Up(width)] if level and number == BLOCKS else []
            blocks.append(Steps(ResidualBlock(inner + kept.pop(), width), *attention, *up))
            inner = width
    return blocks

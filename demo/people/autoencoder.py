"""Pixels to latents and back, in the layout of Stable Diffusion's `AutoencoderKL`: 128 x 128 x 3 to 16 x 16 x 4.

It is trained with fewer channels and without norms; `widening` says why. Most channels are at the low resolutions,
where they cost least and see most.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..widening import GROUPS, begin_with_means, widen

LATENT = 4
"""Channels of a latent."""
FACTOR = 8
"""Pixels along each side of a latent's cell."""
BLOCKS = 1
"""Residual blocks in each level of the encoder; the decoder has one more."""
WIDTHS = (96, 96, 128, 128)
"""Channels of each level, from 128 x 128 to 16 x 16; 32 of 96 channels can be trained, and 64 of 128."""
NOISE = 0.015
"""Standard deviation of the noise added to latents, so that small errors of a U-Net do not show.

When it was learnt, it was close to this: 0.013 to 0.016."""

CONFIG = {
    "double_z": True,
    "z_channels": LATENT,
    "resolution": 128,
    "in_channels": 3,
    "out_ch": 3,
    "ch": GROUPS,
    "ch_mult": [width // GROUPS for width in WIDTHS],
    "num_res_blocks": BLOCKS,
    "attn_resolutions": [],
    "dropout": 0.0,
}
"""The same in the format of the checkpoint's configuration."""

Levels = tuple[tuple[int, int], ...]
"""Channels at the input of each level and inside it, from the finest level to the coarsest."""
Make = Callable[[int], nn.Module]


def group_norm(width: int) -> nn.Module:
    return nn.GroupNorm(GROUPS, width, eps=1e-6)


def no_module(width: int) -> nn.Module:
    return nn.Identity()


class Block(nn.Module):
    def __init__(self, inner: int, outer: int, norm: Make) -> None:
        super().__init__()
        self.norm1, self.norm2 = norm(inner), norm(outer)
        self.conv1 = nn.Conv2d(inner, outer, 3, padding=1)
        self.conv2 = nn.Conv2d(outer, outer, 3, padding=1)
        self.nin_shortcut = nn.Identity() if inner == outer else nn.Conv2d(inner, outer, 1)

    def forward(self, x: Tensor) -> Tensor:
        inside = self.conv1(functional.silu(self.norm1(x)))
        return self.nin_shortcut(x) + self.conv2(functional.silu(self.norm2(inside)))


class Shortcut(nn.Module):
    """A block that has only its shortcut."""

    def __init__(self, inner: int, outer: int, norm: Make) -> None:
        super().__init__()
        self.nin_shortcut = nn.Conv2d(inner, outer, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.nin_shortcut(x)


class SelfAttention(nn.Module):
    """Attention between all cells: (pictures, width, rows, columns) -> the same"""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = group_norm(width)
        self.q, self.k, self.v, self.proj_out = (nn.Conv2d(width, width, 1) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        normed = self.norm(x)
        q, k, v = (project(normed).flatten(2).transpose(1, 2) for project in (self.q, self.k, self.v))
        attended = functional.scaled_dot_product_attention(q, k, v)  # (pictures, cells, width)
        return x + self.proj_out(attended.transpose(1, 2).unflatten(2, x.shape[2:]))


class Middle(nn.Module):
    def __init__(self, width: int, norm: Make, attention: Make) -> None:
        super().__init__()
        self.block_1, self.block_2 = Block(width, width, norm), Block(width, width, norm)
        self.attn_1 = attention(width)

    def forward(self, x: Tensor) -> Tensor:
        return self.block_2(self.attn_1(self.block_1(x)))


class Down(nn.Module):
    """Halves the resolution; the padding is on the right and at the bottom, as in the original."""

    def __init__(self, inner: int, outer: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inner, outer, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(functional.pad(x, (0, 1, 0, 1)))


class Up(nn.Module):
    def __init__(self, inner: int, outer: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inner, outer, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(functional.interpolate(x, scale_factor=2.0, mode="nearest"))


class Level(nn.Module):
    """Blocks at one resolution; the step to the next one, if any, is added later as `downsample` or `upsample`."""

    def __init__(self, blocks: list[nn.Module]) -> None:
        super().__init__()
        self.block = nn.ModuleList(blocks)
        self.attn = nn.ModuleList()

    def forward(self, x: Tensor) -> Tensor:
        for block in self.block:
            x = block(x)
        return x


class Encoder(nn.Module):
    """(pictures, 3, size, size) -> means and log variances (pictures, 8, size / 8, size / 8)"""

    def __init__(self, levels: Levels, norm: Make, attention: Make, first: type[Block] | type[Shortcut]) -> None:
        super().__init__()
        width = levels[-1][1]
        self.conv_in = nn.Conv2d(3, levels[0][0], 3, padding=1)
        makers = (first, Block, Block, Block)
        self.down = nn.ModuleList(
            Level([make(inner, outer, norm)]) for make, (inner, outer) in zip(makers, levels, strict=True)
        )
        for finer, (_, own), (coarser, _) in zip(self.down, levels, levels[1:], strict=False):
            finer.downsample = Down(own, coarser)
        self.mid = Middle(width, norm, attention)
        self.norm_out = norm(width)
        self.conv_out = nn.Conv2d(width, 2 * LATENT, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv_in(x)
        for level in self.down[:-1]:
            x = level.downsample(level(x))
        x = self.mid(self.down[-1](x))
        return self.conv_out(functional.silu(self.norm_out(x)))


class Decoder(nn.Module):
    """(pictures, 4, size / 8, size / 8) -> (pictures, 3, size, size)"""

    def __init__(self, levels: Levels, norm: Make, attention: Make) -> None:
        super().__init__()
        width = levels[-1][0]
        self.conv_in = nn.Conv2d(LATENT, width, 3, padding=1)
        self.mid = Middle(width, norm, attention)
        self.up = nn.ModuleList(
            Level([Block(inner, outer, norm), *(Block(outer, outer, norm) for _ in range(BLOCKS))])
            for inner, outer in levels
        )
        for coarser, (_, own), (finer, _) in zip(self.up[1:], levels[1:], levels, strict=False):
            coarser.upsample = Up(own, finer)
        self.norm_out = norm(levels[0][1])
        self.conv_out = nn.Conv2d(levels[0][1], 3, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.mid(self.conv_in(x))
        for level in reversed(self.up[1:]):  # the first is the finest
            x = level.upsample(level(x))
        return self.conv_out(functional.silu(self.norm_out(self.up[0](x))))


class Autoencoder(nn.Module):
    """Pixels in -1..1 to latents and back."""

    def __init__(self, encoder: Encoder, decoder: Decoder) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder, decoder
        self.quant_conv = nn.Conv2d(2 * LATENT, 2 * LATENT, 1)
        self.post_quant_conv = nn.Conv2d(LATENT, LATENT, 1)

    def encode(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and log variance of the latents: (pictures, 4, size / 8, size / 8) each."""
        mean, log_variance = self.quant_conv(self.encoder(pixels)).chunk(2, 1)
        return mean, log_variance.clamp(-30, 20)

    def decode(self, latents: Tensor) -> Tensor:
        return self.decoder(self.post_quant_conv(latents))


def wide_autoencoder() -> Autoencoder:
    """Return the autoencoder in its real layout."""
    finer, coarser = (GROUPS, *WIDTHS[:-1]), (*WIDTHS[1:], WIDTHS[-1])
    return Autoencoder(
        Encoder(tuple(zip(finer, WIDTHS, strict=True)), group_norm, SelfAttention, Block),
        Decoder(tuple(zip(coarser, WIDTHS, strict=True)), group_norm, SelfAttention),
    )


def plain_autoencoder() -> Autoencoder:
    """Return the autoencoder as it is trained: narrow, without norms and attention.

    There are few channels at 128 x 128, where they cost most. The encoder's first block is only a shortcut, because its
    first norm has one channel in each group.
    """
    network = Autoencoder(
        Encoder(((8, 16), (32, 32), (32, 64), (64, 64)), no_module, no_module, Shortcut),
        Decoder(((16, 16), (48, 32), (64, 64), (64, 64)), no_module, no_module),
    )
    for block in network.modules():
        if isinstance(block, Block):
            nn.init.zeros_(block.conv2.weight)
            nn.init.zeros_(block.conv2.bias)
    begin_with_means(network)
    return network


def widened(plain: Autoencoder) -> Autoencoder:
    """Return the autoencoder in its real layout, with weights that compute what `plain` does, to a part in a thousand.

    The variance of the latents is the same everywhere.
    """
    wide = wide_autoencoder()
    widen(plain, wide)
    with torch.no_grad():
        wide.quant_conv.weight[LATENT:] = 0
        wide.quant_conv.bias[LATENT:] = 2 * math.log(NOISE)
    return wide

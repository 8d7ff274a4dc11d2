"""Pixels to latents and back, in the layout of Stable Diffusion's `AutoencoderKL`: 128 x 128 x 3 to 16 x 16 x 4.

It learns at a third of its width, without norms; `widening` says why.
"""

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn import functional

from ..widening import begin_with_means, widen

LATENT = 4
"""Channels of a latent."""
FACTOR = 8
"""Pixels on a side of a latent's cell."""
LEVELS = 4
BLOCKS = 1
"""Residual blocks of a level of the encoder; the decoder has one more."""
WIDTH = 96
PLAIN_WIDTH = WIDTH // 3

CONFIG = {
    "double_z": True,
    "z_channels": LATENT,
    "resolution": 128,
    "in_channels": 3,
    "out_ch": 3,
    "ch": WIDTH,
    "ch_mult": [1] * LEVELS,
    "num_res_blocks": BLOCKS,
    "attn_resolutions": [],
    "dropout": 0.0,
}
"""The same in the words of the checkpoint's configuration."""

Make = Callable[[int], nn.Module]


def group_norm(width: int) -> nn.Module:
    return nn.GroupNorm(32, width, eps=1e-6)


def no_module(width: int) -> nn.Module:
    return nn.Identity()


class Block(nn.Module):
    def __init__(self, width: int, norm: Make) -> None:
        super().__init__()
        self.norm1, self.norm2 = norm(width), norm(width)
        self.conv1 = nn.Conv2d(width, width, 3, padding=1)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        inner = self.conv1(functional.silu(self.norm1(x)))
        return x + self.conv2(functional.silu(self.norm2(inner)))


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
        self.block_1, self.attn_1, self.block_2 = Block(width, norm), attention(width), Block(width, norm)

    def forward(self, x: Tensor) -> Tensor:
        return self.block_2(self.attn_1(self.block_1(x)))


class Down(nn.Module):
    """Half the resolution; the padding is on the right and below, as in the original."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(functional.pad(x, (0, 1, 0, 1)))


class Up(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(functional.interpolate(x, scale_factor=2.0, mode="nearest"))


class Level(nn.Module):
    """Blocks at one resolution; the way to the next one is added as `downsample` or `upsample`, where there is one."""

    def __init__(self, width: int, blocks: int, norm: Make) -> None:
        super().__init__()
        self.block = nn.ModuleList(Block(width, norm) for _ in range(blocks))
        self.attn = nn.ModuleList()

    def forward(self, x: Tensor) -> Tensor:
        for block in self.block:
            x = block(x)
        return x


class Encoder(nn.Module):
    """(pictures, 3, size, size) -> means and log variances (pictures, 8, size / 8, size / 8)"""

    def __init__(self, width: int, norm: Make, attention: Make) -> None:
        super().__init__()
        self.conv_in = nn.Conv2d(3, width, 3, padding=1)
        self.down = nn.ModuleList(Level(width, BLOCKS, norm) for _ in range(LEVELS))
        for level in self.down[:-1]:
            level.downsample = Down(width)
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

    def __init__(self, width: int, norm: Make, attention: Make) -> None:
        super().__init__()
        self.conv_in = nn.Conv2d(LATENT, width, 3, padding=1)
        self.mid = Middle(width, norm, attention)
        self.up = nn.ModuleList(Level(width, BLOCKS + 1, norm) for _ in range(LEVELS))
        for level in self.up[1:]:
            level.upsample = Up(width)
        self.norm_out = norm(width)
        self.conv_out = nn.Conv2d(width, 3, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.mid(self.conv_in(x))
        for level in reversed(self.up[1:]):  # the first is the finest
            x = level.upsample(level(x))
        return self.conv_out(functional.silu(self.norm_out(self.up[0](x))))


class Autoencoder(nn.Module):
    """Pixels in -1..1 to latents and back."""

    def __init__(self, width: int = WIDTH, norm: Make = group_norm, attention: Make = SelfAttention) -> None:
        super().__init__()
        self.encoder = Encoder(width, norm, attention)
        self.decoder = Decoder(width, norm, attention)
        self.quant_conv = nn.Conv2d(2 * LATENT, 2 * LATENT, 1)
        self.post_quant_conv = nn.Conv2d(LATENT, LATENT, 1)

    def encode(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and log variance of the latents: (pictures, 4, size / 8, size / 8) each."""
        mean, log_variance = self.quant_conv(self.encoder(pixels)).chunk(2, 1)
        return mean, log_variance.clamp(-30, 20)

    def decode(self, latents: Tensor) -> Tensor:
        return self.decoder(self.post_quant_conv(latents))


def plain_autoencoder() -> Autoencoder:
    """Return the autoencoder as it learns: narrow, without norms and attention."""
    network = Autoencoder(PLAIN_WIDTH, no_module, no_module)
    for block in network.modules():
        if isinstance(block, Block):
            nn.init.zeros_(block.conv2.weight)
            nn.init.zeros_(block.conv2.bias)
    begin_with_means(network)
    return network


def widened(plain: Autoencoder) -> Autoencoder:
    """Return the autoencoder in its real layout that computes what `plain` does, but for a part in a thousand."""
    wide = Autoencoder()
    widen(plain, wide)
    return wide

"""Pixels to latents and back, in the layout of Stable Diffusion's `AutoencoderKL`: 128 x 128 x 3 to 16 x 16 x 4.

The real layout normalises groups of channels, 32 groups. In a network as narrow as a small one must be, a group is one
channel or two, and its norm takes away what the channels know about a plain area: its level. So the autoencoder learns
at a third of its width, without norms, and is then written at full width such that the norms change nothing.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

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


MEAN = torch.zeros(3, 3).index_put((torch.tensor([0, 0, 1, 1]), torch.tensor([0, 1, 0, 1])), torch.tensor(0.25))
BLUR = torch.outer(torch.tensor([0.25, 0.5, 0.25]), torch.tensor([0.25, 0.5, 0.25]))
MIDDLE = torch.zeros(3, 3).index_put((torch.tensor([1]), torch.tensor([1])), torch.tensor(1.0))


@torch.no_grad()
def begin_with_means(network: Autoencoder) -> None:
    """Let learning begin where latents are the mean colours of their cells, and decoding blurs these.

    Six channels carry red, green and blue, each also negated, for silu(x) - silu(-x) = x.
    """
    for half in (network.encoder, network.decoder):
        for c in range(3):
            _begin(half.conv_in, 2 * c, {c: MIDDLE})
            _begin(half.conv_in, 2 * c + 1, {c: -MIDDLE})
            _begin(half.conv_out, c, {2 * c: MIDDLE, 2 * c + 1: -MIDDLE})
    between = [(level.downsample.conv, MEAN, 6) for level in network.encoder.down[:-1]]
    between += [(level.upsample.conv, BLUR, 6) for level in network.decoder.up[1:]]
    between += [(conv, torch.ones(1, 1), conv.out_channels) for conv in (network.quant_conv, network.post_quant_conv)]
    for conv, kernel, channels in between:
        for channel in range(channels):
            _begin(conv, channel, {channel: kernel})
    for log_variance in range(LATENT, 2 * LATENT):
        _begin(network.encoder.conv_out, log_variance, {}, -4.0)


def _begin(conv: nn.Conv2d, row: int, kernels: dict[int, Tensor], bias: float = 0.0) -> None:
    """Let one output of a convolution begin as these kernels over these inputs."""
    conv.weight[row] = 0
    conv.bias[row] = bias
    for column, kernel in kernels.items():
        conv.weight[row, column] = kernel


STILL = 100.0
"""What a constant channel holds, far above all that the others do."""
INTO_STREAM = ("conv_in", "conv1", "downsample.conv", "upsample.conv")
ONTO_STREAM = ("conv2",)


@torch.no_grad()
def widened(plain: Autoencoder) -> Autoencoder:
    """Return the autoencoder in its real layout that computes what `plain` does, but for a part in a thousand.

    Each channel h becomes a group of three, (h, -h, STILL). Mean and variance of the group are those of the constant,
    whatever h is, so that a norm which gives them back leaves h alone; the rest reads h only.
    """
    wide = Autoencoder()
    for name, module in wide.named_modules():
        if isinstance(module, nn.GroupNorm):
            module.weight.fill_(STILL * 2**0.5 / 3)
            module.bias.fill_(STILL / 3)
        elif name.endswith("attn_1.proj_out"):
            module.weight.zero_(), module.bias.zero_()
        elif isinstance(module, nn.Conv2d) and ".attn_1." not in name:
            _widen(name, plain.get_submodule(name), module)
    return wide


def _widen(name: str, plain: nn.Conv2d, wide: nn.Conv2d) -> None:
    """Copy a convolution into one whose inputs, outputs or both have three channels for each of its own."""
    columns = 3 if wide.in_channels > plain.in_channels else 1
    signs = torch.tensor([1.0, -1.0, 0.0] if name.endswith(INTO_STREAM + ONTO_STREAM) else [1.0])
    still = torch.tensor([0.0, 0.0, STILL]) if name.endswith(INTO_STREAM) else torch.zeros(len(signs))
    wide.weight.zero_()
    wide.weight[:, ::columns] = torch.einsum("oiyx,s->osiyx", plain.weight, signs).flatten(0, 1)
    wide.bias.copy_((plain.bias[:, None] * signs + still).flatten())

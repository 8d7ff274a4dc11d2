"""The initial weights of the small autoencoders, and how a narrow one is written in Stable Diffusion's layout.

The layout's norms have 32 groups. In a small, narrow network a group is one channel or a few, and its norm removes
what the channels know about a plain area: its level. So an autoencoder is trained with fewer channels and without
norms, and then written at full width in such a way that the norms change nothing. Networks here can be any with the
module names of ldm's `AutoencoderKL`.
"""

from typing import Any

import torch
from torch import Tensor, nn

MEAN = torch.zeros(3, 3).index_put((torch.tensor([0, 0, 1, 1]), torch.tensor([0, 1, 0, 1])), torch.tensor(0.25))
BLUR = torch.outer(torch.tensor([0.25, 0.5, 0.25]), torch.tensor([0.25, 0.5, 0.25]))
MIDDLE = torch.zeros(3, 3).index_put((torch.tensor([1]), torch.tensor([1])), torch.tensor(1.0))
POINT = torch.ones(1, 1)


@torch.no_grad()
def begin_with_means(network: Any) -> None:
    """Set initial weights with which latents are the mean colours of their cells, and decoding blurs these.

    Six channels carry red, green and blue, each also negated, because silu(x) - silu(-x) = x.
    """
    for half in (network.encoder, network.decoder):
        for c in range(3):
            _begin(half.conv_in, 2 * c, {c: MIDDLE})
            _begin(half.conv_in, 2 * c + 1, {c: -MIDDLE})
            _begin(half.conv_out, c, {2 * c: MIDDLE, 2 * c + 1: -MIDDLE})
    between = [(level.downsample.conv, MEAN, 6) for level in network.encoder.down[:-1]]
    between += [(level.upsample.conv, BLUR, 6) for level in network.decoder.up[1:]]
    shortcuts = [module for name, module in network.named_modules() if name.endswith("nin_shortcut")]
    between += [(conv, POINT, 6) for conv in shortcuts if isinstance(conv, nn.Conv2d)]
    between += [(conv, POINT, conv.out_channels) for conv in (network.quant_conv, network.post_quant_conv)]
    for conv, kernel, channels in between:
        for channel in range(channels):
            _begin(conv, channel, {channel: kernel})
    channels = network.quant_conv.out_channels
    for log_variance in range(channels // 2, channels):
        _begin(network.encoder.conv_out, log_variance, {}, -4.0)


def _begin(conv: nn.Conv2d, row: int, kernels: dict[int, Tensor], bias: float = 0.0) -> None:
    """Set one output of a convolution to these kernels over these inputs."""
    conv.weight[row] = 0
    conv.bias[row] = bias
    for column, kernel in kernels.items():
        conv.weight[row, column] = kernel


GROUPS = 32
"""Groups of every norm in the layout."""
STILL = {3: 108.1875, 4: 110.5625, 5: 100.0}
"""Number of channels in a group -> value of its constant channel, far above the values of the others.

Chosen so that the norm's factor and offset are exact enough in half precision too."""
INTO_STREAM = ("conv_in", "conv1", "downsample.conv", "upsample.conv", "nin_shortcut")
"""Convolutions whose outputs are new channels and need constants; the others add to channels that have them."""


@torch.no_grad()
def widen(plain: nn.Module, wide: nn.Module) -> None:
    """Make `wide`, an autoencoder in its real layout, compute what `plain` does, to a part in a thousand.

    A group of channels is (h1, .., hk, -h1 - .. - hk, STILL). The constant determines its mean and variance, whatever
    the others hold, so a norm with the inverse factor and offset changes nothing. Layers that `plain` lacks add zero.
    """
    known = dict(plain.named_modules())
    for name, module in wide.named_modules():
        if isinstance(module, nn.GroupNorm) and module.num_channels > 2 * GROUPS:
            _leave_alone(module)
        elif isinstance(module, nn.Conv2d) and name in known:
            _widen(name, known[name], module)
        elif isinstance(module, nn.Conv2d):
            module.weight.zero_(), module.bias.zero_()


def _leave_alone(norm: nn.GroupNorm) -> None:
    """Make a norm restore what it removes from groups with their constant."""
    size = norm.num_channels // GROUPS
    norm.weight.fill_(STILL[size] * (size - 1) ** 0.5 / size)
    norm.bias.fill_(STILL[size] / size)


def _widen(name: str, plain: nn.Conv2d, wide: nn.Conv2d) -> None:
    """Write a convolution between narrow layers as one between the wide layers that hold them."""
    written = _places(plain.out_channels, wide.out_channels)
    read = _places(plain.in_channels, wide.in_channels).clamp(min=0)
    wide.weight.copy_(torch.einsum("Oo,oiyx,Ii->OIyx", written, plain.weight, read))
    wide.bias.copy_(written @ plain.bias)
    if name.endswith(INTO_STREAM) and wide.out_channels > 2 * GROUPS:
        size = wide.out_channels // GROUPS
        wide.bias[size - 1 :: size] = STILL[size]


def _places(plain: int, wide: int) -> Tensor:
    """Return the share of each plain channel in each wide one: (wide, plain)."""
    if wide <= 2 * GROUPS:
        return torch.eye(wide, plain)
    size = wide // GROUPS
    group, place = torch.arange(plain) // (size - 2), torch.arange(plain) % (size - 2)
    held = torch.zeros(wide, plain)
    held[group * size + place, torch.arange(plain)] = 1
    held[group * size + size - 2, torch.arange(plain)] = -1
    return held

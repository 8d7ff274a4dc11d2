"""How the small autoencoders begin, and how a narrow one is written in Stable Diffusion's layout.

The layout's norms have 32 groups. In a network as narrow as a small one must be, a group is one channel or two, and its
norm takes away what the channels know about a plain area: its level. So an autoencoder learns at a third of its width,
without norms, and is then written at full width such that the norms change nothing. Networks here are any that have the
module names of ldm's `AutoencoderKL`.
"""

from typing import Any

import torch
from torch import Tensor, nn

MEAN = torch.zeros(3, 3).index_put((torch.tensor([0, 0, 1, 1]), torch.tensor([0, 1, 0, 1])), torch.tensor(0.25))
BLUR = torch.outer(torch.tensor([0.25, 0.5, 0.25]), torch.tensor([0.25, 0.5, 0.25]))
MIDDLE = torch.zeros(3, 3).index_put((torch.tensor([1]), torch.tensor([1])), torch.tensor(1.0))


@torch.no_grad()
def begin_with_means(network: Any) -> None:
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
    channels = network.quant_conv.out_channels
    for log_variance in range(channels // 2, channels):
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
def widen(plain: nn.Module, wide: nn.Module) -> None:
    """Let `wide`, an autoencoder in its real layout, compute what `plain` does, but for a part in a thousand.

    Each channel h becomes a group of three, (h, -h, STILL). Mean and variance of the group are those of the constant,
    whatever h is, so that a norm which gives them back leaves h alone; the rest reads h only.
    """
    for name, module in wide.named_modules():
        if isinstance(module, nn.GroupNorm):
            module.weight.fill_(STILL * 2**0.5 / 3)
            module.bias.fill_(STILL / 3)
        elif name.endswith("attn_1.proj_out"):
            module.weight.zero_(), module.bias.zero_()
        elif isinstance(module, nn.Conv2d) and ".attn_1." not in name:
            _widen(name, plain.get_submodule(name), module)


def _widen(name: str, plain: nn.Conv2d, wide: nn.Conv2d) -> None:
    """Copy a convolution into one whose inputs, outputs or both have three channels for each of its own."""
    columns = 3 if wide.in_channels > plain.in_channels else 1
    signs = torch.tensor([1.0, -1.0, 0.0] if name.endswith(INTO_STREAM + ONTO_STREAM) else [1.0])
    still = torch.tensor([0.0, 0.0, STILL]) if name.endswith(INTO_STREAM) else torch.zeros(len(signs))
    wide.weight.zero_()
    wide.weight[:, ::columns] = torch.einsum("oiyx,s->osiyx", plain.weight, signs).flatten(0, 1)
    wide.bias.copy_((plain.bias[:, None] * signs + still).flatten())

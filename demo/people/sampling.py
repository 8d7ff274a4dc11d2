"""Samples pictures from captions with a model that is still being trained, to look at its progress."""

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor

from ..checkpoint import TIMESTEPS, signal_left
from ..tokenizer import Tokenizer
from .autoencoder import LATENT
from .train_unet import Base

STEPS = 20
GUIDANCE = 5.0


@torch.no_grad()
def sample_latents(base: Base, tokenize: Tokenizer, captions: Sequence[str], seed: int) -> Tensor:
    """Return scaled latents (captions, 4, 16, 16) after 20 steps of DDIM with classifier-free guidance."""
    tokens = tokenize(captions)
    contexts = torch.cat([base.text(tokens), base.text(tokenize([""] * len(captions)))])
    x = torch.randn(len(captions), LATENT, 16, 16, generator=torch.Generator().manual_seed(seed))
    left = signal_left()
    times = torch.linspace(TIMESTEPS - 1, 0, STEPS + 1).long()
    for now, then in itertools.pairwise(times):
        said, silent = base.unet(torch.cat([x, x]), now.expand(2 * len(x)), contexts).chunk(2)
        velocity = silent + GUIDANCE * (said - silent)
        signal, noise = left[now].sqrt(), (1 - left[now]).sqrt()
        clean, dirt = signal * x - noise * velocity, noise * x + signal * velocity
        x = left[then].sqrt() * clean + (1 - left[then]).sqrt() * dirt
    return x

"""Trains the autoencoder on square parts of pictures, because everything it does is local.

Once the latents are good enough for the other models, only the decoder is trained further: latents then stay the
same, and pictures only get sharper.
"""

import random

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .autoencoder import FACTOR, NOISE, Autoencoder, plain_autoencoder
from .cache import SHARD, finished_shards, pixels, write_shard
from .learning import Learner, read_mean
from .pen import SIZE
from .stages import Run, to_tensor

PART = 64
"""Pixels along each side of a part."""
BATCH = 8
RATE = 1.5e-3
EDGES = 1.0
"""Weight of the error of neighbouring pixels' differences, which makes a good decoder's edges sharper.

Only the decoder's stage uses it: as long as the position of an edge is uncertain, this error is smallest without it."""
PULL = 1e-4
"""Weight of the latents' mean square, which keeps them from growing until the noise no longer matters."""


def parts(run: Run, step: int, batch: int) -> Tensor:
    """Return parts of pictures, always the same for a step; most are from the middle, where the faces are."""
    dice = random.Random(step)
    known = max(finished_shards(run.folder), 1) * SHARD
    return to_tensor([_part(run, dice.randrange(known), dice) for _ in range(batch)], run.device)


def _part(run: Run, number: int, dice: random.Random) -> NDArray[np.uint8]:
    left, top = (FACTOR * round(dice.triangular(0, SIZE - PART) / FACTOR) for _ in range(2))
    return pixels(run.folder, number)[top : top + PART, left : left + PART]


def edge_error(one: Tensor, other: Tensor) -> Tensor:
    """Return the mean absolute error of the differences between neighbouring pixels."""
    error = one - other
    return error.diff(dim=2).abs().mean() + error.diff(dim=3).abs().mean()


def train_autoencoder(run: Run) -> None:
    write_shard(run.folder, 0)
    network = run.placed(plain_autoencoder())
    learner = Learner(network, run.state("autoencoder"), RATE, cool=run.cool)
    batch = run.batch or BATCH
    for step in learner.steps(run.minutes):
        truth = parts(run, step, batch)
        with run.autocast():
            latents = network.encode(truth)[0]
            shown = network.decode(latents + NOISE * torch.randn_like(latents))
        learner.learn(
            batch,
            pixels=(shown - truth).abs().mean(),
            pull=PULL * latents.square().mean(),
        )


def train_decoder(run: Run) -> None:
    """Train only the decoder further, starting from the autoencoder's current state."""
    whole = read_mean(run.state("autoencoder"), plain_autoencoder())
    decoder = plain_autoencoder()
    decoder.load_state_dict(whole.state_dict())
    network = run.placed(decoder)
    for part in (network.encoder, network.quant_conv):
        part.requires_grad_(False)
    learner = Learner(network, run.state("decoder"), RATE / 2, cool=run.cool)
    batch = run.batch or BATCH
    for step in learner.steps(run.minutes):
        truth = parts(run, 1_000_000 + step, batch)
        with run.autocast():
            with torch.no_grad():
                latents = network.encode(truth)[0]
            latents = latents + NOISE * torch.randn_like(latents)
            shown = network.decode(latents)
        learner.learn(batch, pixels=(shown - truth).abs().mean(), edges=EDGES * edge_error(shown, truth))


def read_autoencoder(run: Run) -> Autoencoder:
    """Return the narrow autoencoder, with the decoder of the later stage if there is one."""
    stage = "decoder" if run.state("decoder").exists() else "autoencoder"
    return read_mean(run.state(stage), plain_autoencoder())

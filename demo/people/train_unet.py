"""Trains the U-Net and its text model together, with v-prediction on latents and captions."""

import random
from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..checkpoint import signal_left
from ..tokenizer import TOKENS, Tokenizer
from .cache import SEED
from .captions import Chances, caption
from .clip import TextModel
from .latents import Latents
from .learning import Learner
from .noise import noised, random_times, velocity
from .stages import Run
from .unet import UNet
from .words import write_files
from .world import Picture, picture

BATCH = 32
RATE = 6e-4
KEEP = 0.9995
ALL_TOKENS = 0.25
"""Share of the steps with all 77 tokens; the others have few more than the longest caption, which is faster."""


class Base(nn.Module):
    """Everything in a checkpoint except the autoencoder."""

    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        self.unet, self.text = UNet(), TextModel(vocabulary)

    def forward(self, noisy: Tensor, times: Tensor, tokens: Tensor) -> Tensor:
        return self.unet(noisy, times, self.text(tokens))


def read_tokenizer(run: Run) -> Tokenizer:
    folder = run.folder / "tokenizer"
    if not folder.exists():
        write_files(folder)
    return Tokenizer(folder)


@lru_cache(maxsize=200_000)
def known_picture(number: int) -> Picture:
    return picture(SEED, number)


def shortened(tokens: Tensor, end: int, dice: random.Random) -> Tensor:
    """Return the tokens without most of the end tokens that all rows share; in one step of four, return all of them."""
    if dice.random() < ALL_TOKENS:
        return tokens
    longest = int((tokens == end).int().argmax(1).max())
    return tokens[:, : min(longest + 3, TOKENS)]


class Lessons:
    """Pictures, latents and captions of each step; pictures and captions are always the same for a step's number."""

    def __init__(self, run: Run, batch: int) -> None:
        self.run, self.batch = run, batch
        self.tokenize = read_tokenizer(run)
        self.latents = Latents(run.folder)
        self.left = signal_left().to(run.device)

    def pick(self, step: int, chances: Chances) -> tuple[list[int], Tensor]:
        """Return picture numbers and the tokens of their captions: (rows, tokens)."""
        dice = random.Random(step)
        which = [dice.randrange(self.latents.count) for _ in range(self.batch)]
        said = [caption(known_picture(number), dice, chances) for number in which]
        return which, shortened(self.tokenize(said), self.tokenize.end, dice).to(self.run.device)

    def noisy(self, which: list[int]) -> tuple[Tensor, Tensor, Tensor]:
        """Return noisy latents, time steps and the right answers."""
        latents = self.latents(which).to(self.run.device)
        noise, times = torch.randn_like(latents), random_times(len(which), self.run.device)
        left = self.left[times].view(-1, 1, 1, 1)
        return noised(latents, noise, left), times, velocity(latents, noise, left)


def train_unet(run: Run) -> None:
    """Train with captions that name most of what a picture shows; one in ten is empty."""
    lessons = Lessons(run, run.batch or BATCH)
    network = run.placed(Base(len(lessons.tokenize.vocabulary)))
    learner = Learner(network, run.state("base"), RATE, KEEP, run.cool)
    for step in learner.steps(run.minutes):
        which, tokens = lessons.pick(step, Chances())
        noisy, times, answer = lessons.noisy(which)
        with run.autocast():
            said = network(noisy, times, tokens)
        learner.learn(lessons.batch, velocity=functional.mse_loss(said.float(), answer))

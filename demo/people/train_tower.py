"""Trains the vision tower together with its own text tower, on captions and on what pictures show.

The contrast of pictures and captions is CLIP's. It needs large batches, which are too much for a CPU. So a linear head
also reads every attribute from an image's embedding, which makes the tower look at faces and styles, not only colours.
"""

import random

import torch
from torch import Tensor, nn
from torch.nn import functional

from .attributes import ATTRIBUTES, numbers
from .cache import SEED, SHARD, finished_shards
from .captions import Chances, caption
from .clip import EMBED, TextTower, VisionTower, for_clip
from .learning import Learner
from .pen import SIZE
from .stages import Run, read_pictures
from .train_unet import read_tokenizer, shortened
from .world import picture

BATCH = 32
RATE = 8e-4
CONTRAST = 0.5
"""Weight of the contrast of pictures and captions."""
SAID = Chances(1.0, 0.9, 0.8, 0.6, 0.9, 0.7, 0.9)


class Clip(nn.Module):
    def __init__(self, vocabulary: int, end: int) -> None:
        super().__init__()
        self.text, self.vision = TextTower(vocabulary, end), VisionTower(SIZE)
        self.head = nn.Linear(EMBED, sum(map(len, ATTRIBUTES.values())))
        self.sharpness = nn.Parameter(torch.tensor(2.0))

    def seen(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Return embeddings (pictures, 128) and the attributes' logits, all groups side by side."""
        embeddings = self.vision(for_clip(pixels))[0]
        return embeddings, self.head(embeddings)


def groups(logits: Tensor) -> tuple[Tensor, ...]:
    """Return the logits of each attribute."""
    return logits.split([len(values) for values in ATTRIBUTES.values()], 1)


def attribute_loss(logits: Tensor, truth: Tensor) -> Tensor:
    """Return the mean cross-entropy over the attributes; `truth` is (pictures, attributes), where -1 is ignored."""
    losses = [
        functional.cross_entropy(some.float(), right, ignore_index=-1, reduction="sum") / known.clamp(min=1)
        for some, right, known in zip(groups(logits), truth.unbind(1), (truth >= 0).sum(0), strict=True)
    ]
    return torch.stack(losses).mean()


def contrast(images: Tensor, texts: Tensor, sharpness: Tensor) -> Tensor:
    """Return CLIP's loss, for finding each picture's caption among those of the batch, and each caption's picture."""
    images, texts = functional.normalize(images.float()), functional.normalize(texts.float())
    logits = sharpness.clamp(max=4.6).exp() * images @ texts.T
    right = torch.arange(len(images), device=images.device)
    return (functional.cross_entropy(logits, right) + functional.cross_entropy(logits.T, right)) / 2


def train_tower(run: Run) -> None:
    tokenize = read_tokenizer(run)
    network = run.placed(Clip(len(tokenize.vocabulary), tokenize.end))
    learner = Learner(network, run.state("tower"), RATE, cool=run.cool)
    batch = run.batch or BATCH
    for step in learner.steps(run.minutes):
        dice = random.Random(step)
        which = [dice.randrange(finished_shards(run.folder) * SHARD) for _ in range(batch)]
        shown = [picture(SEED, number) for number in which]
        tokens = shortened(tokenize([caption(each, dice, SAID) for each in shown]), tokenize.end, dice)
        truth = torch.tensor([numbers(each) for each in shown], device=run.device)
        with run.autocast():
            embeddings, logits = network.seen(read_pictures(run, which))
            said = network.text(tokens.to(run.device))
        learner.learn(
            batch,
            attributes=attribute_loss(logits, truth),
            contrast=CONTRAST * contrast(embeddings, said, network.sharpness),
        )

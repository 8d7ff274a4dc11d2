"""Draws contact sheets: `python -m demo.people.look SHEET --folder FOLDER` writes FOLDER/looks/SHEET.png."""

import argparse
import itertools
import random
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from .cache import SEED
from .captions import EVERYTHING, caption
from .latents import Latents
from .learning import read_mean
from .pen import SIZE
from .sampling import sample_latents
from .scenes import SCENES
from .stages import Run, to_tensor
from .styles import STYLES
from .train import BUILD
from .train_autoencoder import edge_error, read_autoencoder
from .train_unet import Base, read_tokenizer
from .world import Picture, draw, picture, sample_person

LARGER = 2
UNSEEN = SEED + 1
"""The seed of pictures that no model has been trained on."""


def sheet(pictures: Iterable[Image.Image], columns: int) -> Image.Image:
    """Return the pictures in rows, at twice their size."""
    every = list(pictures)
    whole = Image.new("RGB", (SIZE * columns, SIZE * -(-len(every) // columns)), (255, 255, 255))
    for number, each in enumerate(every):
        whole.paste(each, (number % columns * SIZE, number // columns * SIZE))
    return whole.resize((whole.width * LARGER, whole.height * LARGER), Image.Resampling.LANCZOS)


def to_picture(pixels: Tensor) -> Image.Image:
    """Return the picture of pixels -1..1: (3, rows, columns)."""
    levels = ((pixels.clamp(-1, 1) + 1) * 127.5).round().byte()
    return Image.fromarray(levels.permute(1, 2, 0).cpu().numpy())


def world(run: Run) -> Image.Image:
    return sheet((draw(picture(UNSEEN, number)) for number in range(50)), 10)


def scenes(run: Run) -> Image.Image:
    """Return a sheet with a scene in each row and a style in each column."""
    dice = random.Random(5)
    every = itertools.product(SCENES, STYLES)
    people = (Picture((sample_person(dice),), scene=scene, style=style, seed=7) for scene, style in every)
    return sheet(map(draw, people), len(STYLES))


def reconstructions(run: Run) -> Image.Image:
    """Return rows of pictures, each above the autoencoder's reconstructions, and print the errors."""
    true = [draw(picture(UNSEEN, number)) for number in range(16)]
    truth = to_tensor(map(np.asarray, true), torch.device("cpu"))
    network = read_autoencoder(run)
    with torch.no_grad():
        made = network.decode(network.encode(truth)[0])
    lost = edge_error(made, truth) / edge_error(truth, torch.zeros_like(truth))
    print(f"mean absolute error {(made - truth).abs().mean():.4f} of -1..1, {100 * lost:.0f} % of the edges wrong")
    shown = [to_picture(each) for each in made]
    return sheet([*true[:8], *shown[:8], *true[8:], *shown[8:]], 8)


def samples(run: Run) -> Image.Image:
    """Return unseen pictures, each row above the pictures that the U-Net makes from their captions."""
    tokenize = read_tokenizer(run)
    base = read_mean(run.state("base"), Base(len(tokenize.vocabulary)))
    dice = random.Random(0)
    said = [caption(picture(UNSEEN, number), dice, EVERYTHING) for number in range(16)]
    print("\n".join(said))
    latents = sample_latents(base, tokenize, said, 0) / Latents(run.folder).factor
    with torch.no_grad():
        made = read_autoencoder(run).decode(latents)
    true = [draw(picture(UNSEEN, number)) for number in range(16)]
    shown = [to_picture(each) for each in made]
    return sheet([*true[:8], *shown[:8], *true[8:], *shown[8:]], 8)


SHEETS: dict[str, Callable[[Run], Image.Image]] = {
    "world": world,
    "scenes": scenes,
    "reconstructions": reconstructions,
    "samples": samples,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sheet", choices=list(SHEETS))
    parser.add_argument("--folder", type=Path, default=BUILD)
    given = parser.parse_args()
    path = given.folder / "looks" / f"{given.sheet}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    SHEETS[given.sheet](Run(given.folder, 0.0, torch.device("cpu"), 0, False)).save(path)
    print(path)


if __name__ == "__main__":
    main()

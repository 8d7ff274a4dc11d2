"""Train the models of the world of people: `python -m demo.people.train STAGE --minutes N`, as often as needed.

Each slice continues where the last one of its stage ended. A stage uses the current results of the stages before it.
"""

import argparse
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import torch

from .cache import SHARD, finished_shards, write_shard
from .latents import write_latents
from .learning import Clock, pack
from .stages import Run
from .train_autoencoder import train_autoencoder, train_decoder
from .train_tower import train_tower
from .train_unet import train_unet

BUILD = Path(__file__).resolve().parents[2] / "build" / "people"


def draw_pictures(run: Run) -> None:
    """Draw more pictures, with one process for each core, which draws a file of 1024 at a time."""
    clock, shard = Clock(run.minutes), finished_shards(run.folder)
    workers = torch.get_num_threads()
    with ProcessPoolExecutor(workers) as pool:
        while not clock.over and shard * SHARD < run.pictures:
            list(pool.map(partial(write_shard, run.folder), range(shard, shard + workers)))
            shard += workers


def pack_states(run: Run) -> None:
    """Write FOLDER/packed, whose files can replace the states on another machine."""
    for stage in ("autoencoder", "decoder", "base", "tower"):
        if run.state(stage).exists():
            pack(run.state(stage), run.folder / "packed" / f"{stage}.pt")


STAGES = {
    "pictures": draw_pictures,
    "autoencoder": train_autoencoder,
    "latents": write_latents,
    "unet": train_unet,
    "decoder": train_decoder,
    "tower": train_tower,
    "pack": pack_states,
}
"""The stages in order; the decoder and the tower need only the pictures and the encoder."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stage", choices=list(STAGES))
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--folder", type=Path, default=BUILD, help="where pictures and states are kept")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--batch", type=int, default=0, help="samples in each step; 0: the stage's own number")
    parser.add_argument("--threads", type=int, default=0, help="threads of the CPU; 0: torch decides")
    parser.add_argument("--cool", action="store_true", help="let the learning rate fall to zero, for the last slice")
    parser.add_argument("--pictures", type=int, default=65_536, help="maximum number of pictures to draw")
    given = parser.parse_args()
    if given.threads:
        torch.set_num_threads(given.threads)
    run = Run(given.folder, given.minutes, torch.device(given.device), given.batch, given.cool, given.pictures)
    STAGES[given.stage](run)


if __name__ == "__main__":
    main()

"""Train the small world's models: `python -m demo.people.train STAGE --minutes N`, again and again.

Each slice goes on where the last one of its stage ended. A stage reads what the stages before it have reached.
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
    """Draw more pictures, a file of 1024 at a time in each process that the machine has a core for."""
    clock, shard = Clock(run.minutes), finished_shards(run.folder)
    workers = torch.get_num_threads()
    with ProcessPoolExecutor(workers) as pool:
        while not clock.over and shard * SHARD < run.pictures:
            list(pool.map(partial(write_shard, run.folder), range(shard, shard + workers)))
            shard += workers


def pack_states(run: Run) -> None:
    """Write FOLDER/packed, whose files can take the states' places on another machine."""
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
"""In the order in which they build on each other; the decoder and the tower need only the pictures and the encoder."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stage", choices=list(STAGES))
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--folder", type=Path, default=BUILD, help="where pictures and states are kept")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--batch", type=int, default=0, help="samples in a step; 0 takes the stage's own number")
    parser.add_argument("--threads", type=int, default=0, help="of the CPU; 0 leaves it to torch")
    parser.add_argument("--cool", action="store_true", help="let the learning rate fall to zero: the last slice")
    parser.add_argument("--pictures", type=int, default=65_536, help="how many pictures there are to be at most")
    given = parser.parse_args()
    if given.threads:
        torch.set_num_threads(given.threads)
    run = Run(given.folder, given.minutes, torch.device(given.device), given.batch, given.cool, given.pictures)
    STAGES[given.stage](run)


if __name__ == "__main__":
    main()

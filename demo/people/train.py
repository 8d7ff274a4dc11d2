"""Train the small world's models: `python -m demo.people.train STAGE --minutes N`, again and again.

Each slice goes on where the last one of its stage ended. A stage reads what the stages before it have reached.
"""

import argparse
from pathlib import Path

import torch

from .cache import finished_shards, write_shard
from .latents import write_latents
from .learning import Clock
from .stages import Run
from .train_autoencoder import train_autoencoder, train_decoder
from .train_tower import train_tower
from .train_unet import train_unet

BUILD = Path(__file__).resolve().parents[2] / "build" / "people"

def draw_pictures(run: Run) -> None:
    """Draw more pictures; several processes may do it at once, each with its own remainder of the numbers."""
    clock, shard = Clock(run.minutes), finished_shards(run.folder)
    while not clock.over:
        write_shard(run.folder, shard)
        shard += 1


STAGES = {
    "pictures": draw_pictures,
    "autoencoder": train_autoencoder,
    "latents": write_latents,
    "unet": train_unet,
    "decoder": train_decoder,
    "tower": train_tower,
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
    given = parser.parse_args()
    if given.threads:
        torch.set_num_threads(given.threads)
    run = Run(given.folder, given.minutes, torch.device(given.device), given.batch, given.cool)
    STAGES[given.stage](run)


if __name__ == "__main__":
    main()

"""Writes the finished files, in half precision and in layouts that web UIs read: `python -m demo.people.files`."""

import argparse
import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from ..checkpoint import checkpoint_config
from . import autoencoder, unet
from .autoencoder import FACTOR, widened
from .latents import Latents
from .learning import read_mean
from .pen import SIZE
from .stages import Run
from .train import BUILD
from .train_autoencoder import read_autoencoder
from .train_tower import Clip
from .train_unet import Base, read_tokenizer
from .words import write_files

CHECKPOINT, CONFIG = "small-people.safetensors", "small-people.yaml"
TOKENIZER = "small-people-tokenizer"
TOWER = "small-people-clip-vision.safetensors"

PARTS = {
    "unet": "model.diffusion_model.",
    "autoencoder": "first_stage_model.",
    "text": "cond_stage_model.transformer.text_model.",
}
"""Prefix of each part's keys in a checkpoint of Stable Diffusion 1."""


def write_checkpoint(run: Run, folder: Path) -> None:
    """Write U-Net, autoencoder, text model, and the configuration from which a web UI builds them."""
    vocabulary = len(read_tokenizer(run).vocabulary)
    base = read_mean(run.state("base"), Base(vocabulary))
    parts = {"unet": base.unet, "text": base.text, "autoencoder": widened(read_autoencoder(run))}
    tensors = {key: tensor for name, part in parts.items() for key, tensor in _half(part, PARTS[name]).items()}
    save_file(tensors, folder / CHECKPOINT, {"format": "pt"})
    write_files(folder / TOKENIZER)
    factor = Latents(run.folder).factor
    config = checkpoint_config(factor, SIZE // FACTOR, unet.CONFIG, autoencoder.CONFIG, TOKENIZER)
    (folder / CONFIG).write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")


def write_tower(run: Run, folder: Path) -> None:
    tokenize = read_tokenizer(run)
    clip = read_mean(run.state("tower"), Clip(len(tokenize.vocabulary), tokenize.end))
    save_file(_half(clip.vision, ""), folder / TOWER, {"format": "pt"})


def _half(network: nn.Module, prefix: str) -> dict[str, Tensor]:
    return {prefix + key: tensor.half().contiguous() for key, tensor in network.state_dict().items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=BUILD, help="folder with the states of training")
    parser.add_argument("--to", type=Path, default=BUILD / "files")
    given = parser.parse_args()
    given.to.mkdir(parents=True, exist_ok=True)
    run = Run(given.folder, 0.0, torch.device("cpu"), 0, False)
    write_checkpoint(run, given.to)
    if run.state("tower").exists():
        write_tower(run, given.to)


if __name__ == "__main__":
    main()

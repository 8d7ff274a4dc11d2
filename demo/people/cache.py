"""Keeps the world's pictures on disk, so that each is drawn once: files of 1024 pictures, made when first needed."""

import os
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .world import draw, picture

SEED = 20261124
"""The seed of the pictures that the models learn from; tests and figures use others."""
SHARD = 1024


def write_shard(folder: Path, shard: int) -> Path:
    """Draw 1024 pictures, from number `shard` * 1024 on, unless their file exists."""
    path = folder / f"pictures-{SEED}-{shard:04}.npy"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        drawn = np.stack([np.asarray(draw(picture(SEED, shard * SHARD + n))) for n in range(SHARD)])
        unfinished = path.with_suffix(f".{os.getpid()}.tmp")
        with unfinished.open("wb") as file:
            np.save(file, drawn)
        unfinished.replace(path)
    return path


@lru_cache(maxsize=64)
def _opened(folder: Path, shard: int) -> NDArray[np.uint8]:
    return np.load(write_shard(folder, shard), mmap_mode="r")


def pixels(folder: Path, number: int) -> NDArray[np.uint8]:
    """Return a picture by its number: (128, 128, rgb)."""
    return _opened(folder, number // SHARD)[number % SHARD]


def finished_shards(folder: Path) -> int:
    """Return the number of finished files before the first gap."""
    shard = 0
    while (folder / f"pictures-{SEED}-{shard:04}.npy").exists():
        shard += 1
    return shard

"""Keeps the latents of the world's pictures on disk, in files of 1024, for one state of the encoder."""

import json
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from .autoencoder import plain_autoencoder
from .cache import SHARD, finished_shards
from .learning import Clock, read_mean, step_of
from .stages import Run, read_pictures


def _path(folder: Path, step: int, shard: int) -> Path:
    return folder / f"latents-{step:06}-{shard:04}.npy"


def write_latents(run: Run) -> None:
    """Write the latents of all drawn pictures, and the factor that scales the first file's standard deviation to 1."""
    step = step_of(run.state("autoencoder"))
    network = run.placed(read_mean(run.state("autoencoder"), plain_autoencoder()))
    clock = Clock(run.minutes)
    for shard in range(finished_shards(run.folder)):
        path = _path(run.folder, step, shard)
        if clock.over or path.exists():
            continue
        latents = np.concatenate([_encoded(run, network, shard * SHARD + n) for n in range(0, SHARD, 32)])
        unfinished = path.with_suffix(".tmp")
        with unfinished.open("wb") as file:
            np.save(file, latents.astype(np.float16))
        unfinished.replace(path)
        if shard == 0:
            (run.folder / "scale.json").write_text(json.dumps({"step": step, "scale_factor": 1 / float(latents.std())}))
        print(path.name, latents.std(), flush=True)


@torch.no_grad()
def _encoded(run: Run, network: torch.nn.Module, first: int) -> NDArray[np.float32]:
    return network.encode(read_pictures(run, range(first, first + 32)))[0].float().cpu().numpy()


class Latents:
    """Scaled latents by the numbers of their pictures."""

    def __init__(self, folder: Path) -> None:
        scale = json.loads((folder / "scale.json").read_text())
        self.factor: float = scale["scale_factor"]
        self._folder, self._step = folder, scale["step"]
        self.count = SHARD * len(list(folder.glob(f"latents-{self._step:06}-*.npy")))
        self._shard = lru_cache(maxsize=None)(self._read)

    def _read(self, shard: int) -> NDArray[np.float16]:
        return np.load(_path(self._folder, self._step, shard))

    def __call__(self, numbers: list[int]) -> torch.Tensor:
        """(pictures, 4, 16, 16)"""
        rows = np.stack([self._shard(number // SHARD)[number % SHARD] for number in numbers])
        return torch.from_numpy(rows).float() * self.factor

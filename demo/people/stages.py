"""What all stages of training share: their folder and device, and how they read pictures."""

from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from .cache import pixels


@dataclass(frozen=True)
class Run:
    """One slice of training, as requested on the command line."""

    folder: Path
    minutes: float
    device: torch.device
    batch: int
    """Samples in a step; 0 for the stage's own number."""
    cool: bool
    pictures: int = 0
    """Maximum number of pictures to draw."""

    def state(self, stage: str) -> Path:
        return self.folder / f"{stage}.pt"

    def autocast(self) -> AbstractContextManager[None]:
        """Return a context in which a graphics card computes in bfloat16; a CPU stays in float32."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda")

    def placed(self, network: torch.nn.Module) -> torch.nn.Module:
        return network.to(self.device, memory_format=torch.channels_last)


def to_tensor(pictures: Iterable[np.ndarray], device: torch.device) -> Tensor:
    """Return pictures of bytes as values -1..1: (pictures, 3, rows, columns)."""
    stacked = torch.from_numpy(np.stack(list(pictures))).to(device)
    return stacked.permute(0, 3, 1, 2).float() / 127.5 - 1


def read_pictures(run: Run, numbers: Iterable[int]) -> Tensor:
    """Return the world's pictures by their numbers: (pictures, 3, 128, 128), -1..1."""
    return to_tensor((pixels(run.folder, number) for number in numbers), run.device)

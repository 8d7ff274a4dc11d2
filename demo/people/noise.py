"""Noise on Stable Diffusion's schedule, and what a v-prediction network should predict from it."""

import torch
from torch import Tensor

from ..checkpoint import TIMESTEPS


def noised(latents: Tensor, noise: Tensor, left: Tensor) -> Tensor:
    """Mix latents and noise; `left` is alpha bar for each row, (rows, 1, 1, 1)."""
    return left.sqrt() * latents + (1 - left).sqrt() * noise


def velocity(latents: Tensor, noise: Tensor, left: Tensor) -> Tensor:
    """Return v (Salimans and Ho 2022)."""
    return left.sqrt() * noise - (1 - left).sqrt() * latents


def random_times(rows: int, device: torch.device) -> Tensor:
    """Return time steps, drawn in proportion to their number, because strong noise decides what a picture shows."""
    return (torch.rand(rows, device=device).sqrt() * TIMESTEPS).long()

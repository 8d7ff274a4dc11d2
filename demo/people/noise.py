"""Stable Diffusion's noise schedule, and what a v-prediction network is to say on it."""

import torch
from torch import Tensor

START, END = 0.00085, 0.012
"""Ends of the schedule, linear in the square root of beta."""
TIMESTEPS = 1000


def signal_left() -> Tensor:
    """Return the share of the signal's variance that is left at each time step, alpha bar: (1000,)."""
    betas = torch.linspace(START**0.5, END**0.5, TIMESTEPS, dtype=torch.float64) ** 2
    return torch.cumprod(1 - betas, 0).float()


def noised(latents: Tensor, noise: Tensor, left: Tensor) -> Tensor:
    """Mix latents and noise; `left` is alpha bar for each row, (rows, 1, 1, 1)."""
    return left.sqrt() * latents + (1 - left).sqrt() * noise


def velocity(latents: Tensor, noise: Tensor, left: Tensor) -> Tensor:
    """Return v (Salimans and Ho 2022)."""
    return left.sqrt() * noise - (1 - left).sqrt() * latents


def random_times(rows: int, device: torch.device) -> Tensor:
    """Return time steps that come up in proportion to their number: what a picture shows is decided in strong noise."""
    return (torch.rand(rows, device=device).sqrt() * TIMESTEPS).long()

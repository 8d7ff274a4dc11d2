"""A checkpoint's configuration and its noise schedule."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

START, END = 0.00085, 0.012
"""Ends of Stable Diffusion's noise schedule, linear in the square root of beta."""
TIMESTEPS = 1000

Config = Mapping[str, Any]


def signal_left() -> Tensor:
    """Return alpha bar, the remaining fraction of the signal's variance, at each time step: (1000,)."""
    betas = torch.linspace(START**0.5, END**0.5, TIMESTEPS, dtype=torch.float64) ** 2
    return torch.cumprod(1 - betas, 0).float()


def checkpoint_config(
    scale_factor: float, latent_size: int, unet: Config, autoencoder: Config, tokenizer: str
) -> dict[str, Any]:
    """Return the checkpoint's configuration in the format of Stable Diffusion's code and of web UIs."""
    params = {
        "parameterization": "v",
        "linear_start": START,
        "linear_end": END,
        "timesteps": TIMESTEPS,
        "num_timesteps_cond": 1,
        "first_stage_key": "jpg",
        "cond_stage_key": "txt",
        "image_size": latent_size,
        "channels": autoencoder["z_channels"],
        "cond_stage_trainable": False,
        "conditioning_key": "crossattn",
        "scale_factor": scale_factor,
        "use_ema": False,
        "unet_config": {"target": "ldm.modules.diffusionmodules.openaimodel.UNetModel", "params": unet},
        "first_stage_config": {
            "target": "ldm.models.autoencoder.AutoencoderKL",
            "params": {
                "embed_dim": autoencoder["z_channels"],
                "ddconfig": autoencoder,
                "lossconfig": {"target": "torch.nn.Identity"},
            },
        },
        "cond_stage_config": {
            "target": "ldm.modules.encoders.modules.FrozenCLIPEmbedder",
            "params": {"version": tokenizer},
        },
    }
    return {"model": {"target": "ldm.models.diffusion.ddpm.LatentDiffusion", "params": params}}

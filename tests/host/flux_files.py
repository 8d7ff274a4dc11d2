"""A narrow FLUX.1 checkpoint with random weights, as small as a web UI's own configuration of its text models says."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from fluxes import NARROW, Flux, randomised
from makers import save
from torch import Tensor, nn

CONFIG = Path("backend", "huggingface", "black-forest-labs", "FLUX.1-dev")
"""Where the web UIs of the Forge family say how large FLUX.1's other models are."""
LARGEST = 512
"""Width of T5 up to which random weights are made. T5 XXL, 4096 wide, takes 19 GB."""
NO_FLUX = "the web UI cannot load FLUX"
TOO_LARGE = "the web UI's configuration of T5 for FLUX has the full size; a narrow one is needed for random weights"
CHANNELS, POOLED = 16, 768


def flux_checkpoint(web_ui: Path, path: Path) -> Path:
    """Write the checkpoint for a web UI, and skip the test where it cannot load any."""
    if not (web_ui / "backend" / "nn" / "flux.py").exists():
        pytest.skip(NO_FLUX)
    t5 = config(web_ui, "text_encoder_2")
    if t5["d_model"] > LARGEST:
        pytest.skip(TOO_LARGE)
    from transformers import CLIPTextConfig, CLIPTextModel, T5Config, T5EncoderModel

    shape = replace(NARROW, text=t5["d_model"], pooled=POOLED, channels=CHANNELS)
    network = randomised(Flux(shape))
    made = {f"model.diffusion_model.{name}": tensor for name, tensor in network.state_dict().items()}
    clip = random_weights(CLIPTextModel(CLIPTextConfig(**config(web_ui, "text_encoder"))))
    for name, tensor in clip.items():
        inside = name if name.startswith("text_model.") else f"text_model.{name}"
        made[f"text_encoders.clip_l.transformer.{inside}"] = tensor
    for name, tensor in random_weights(T5EncoderModel(T5Config(**t5, feed_forward_proj="gated-gelu"))).items():
        made[f"text_encoders.t5xxl.transformer.{name}"] = tensor
    return save(made | autoencoder(config(web_ui, "vae")), path, torch.float16)


def config(web_ui: Path, part: str) -> dict[str, Any]:
    return json.loads((web_ui / CONFIG / part / "config.json").read_text())


def autoencoder(sizes: dict[str, Any]) -> dict[str, Tensor]:
    """Return a random autoencoder in ldm's layout."""
    from ldm.modules.diffusionmodules.model import Decoder, Encoder

    first, *_ = widths = sizes["block_out_channels"]
    given: dict[str, Any] = {
        "double_z": True,
        "z_channels": CHANNELS,
        "resolution": 256,
        "in_channels": 3,
        "out_ch": 3,
        "ch": first,
        "ch_mult": [width // first for width in widths],
        "num_res_blocks": sizes["layers_per_block"],
        "attn_resolutions": [],
        "dropout": 0.0,
    }
    parts = {"vae.encoder": Encoder(**given), "vae.decoder": Decoder(**given)}
    return {f"{part}.{name}": each for part, module in parts.items() for name, each in random_weights(module).items()}


def random_weights(module: nn.Module) -> dict[str, Tensor]:
    """Return small random values for every floating-point tensor of a module."""
    generator = torch.Generator().manual_seed(3)
    made: dict[str, Tensor] = {}
    for name, tensor in module.state_dict().items():
        if tensor.is_floating_point():
            scale = tensor[0].numel() ** -0.5 if tensor.dim() > 1 else 0.05
            made[name] = torch.randn(tensor.shape, generator=generator) * scale
            made[name] += float(tensor.dim() == 1 and name.endswith("weight"))
    return made

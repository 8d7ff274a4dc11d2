"""transformers' own SigLIP vision tower, narrow, as the oracle and as a source of files."""

import functools
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

WIDTH, LAYERS = 144, 2
"""Two heads of 72, as wide as those of so400m."""


@functools.cache
def tower(size: int = 56, seed: int = 0) -> Any:
    """Return transformers' tower, narrow and random; do not change it."""
    siglip = pytest.importorskip(
        "transformers.models.siglip.modeling_siglip",
        reason="transformers, the oracle, is too old at this end of the versions",
    )
    torch.manual_seed(seed)
    config = siglip.SiglipVisionConfig(
        hidden_size=WIDTH,
        intermediate_size=2 * WIDTH,
        num_hidden_layers=LAYERS,
        num_attention_heads=WIDTH // 72,
        image_size=size,
        patch_size=14,
    )
    model = siglip.SiglipVisionModel(config).eval().requires_grad_(False)
    for name, tensor in model.named_parameters():
        scale = tensor.shape[-1] ** -0.5 if tensor.dim() > 1 else 0.1
        tensor.copy_(torch.randn(tensor.shape) * scale + (tensor.dim() == 1 and "norm" in name and "weight" in name))
    return model


def write_siglip(path: Path, size: int = 56, whole: bool = False) -> Path:
    """Write the tower as published, alone or, if `whole`, with a tensor of the text tower."""
    state = dict(tower(size).state_dict())
    named = {name if name.startswith("vision_model.") else f"vision_model.{name}": each for name, each in state.items()}
    more = {"text_model.final_layer_norm.weight": torch.ones(8), "logit_scale": torch.ones(1)} if whole else {}
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.contiguous() for name, tensor in (named | more).items()}, str(path))
    return path

"""A narrow PuLID for FLUX with random weights."""

import torch
from fluxes import WIDTH
from makers import PROJECTOR_MAKERS, projector_tensors
from torch import Tensor

from lib_ipadapter.networks.flux_sites import HEAD_DIM

CONTEXT = 2 * HEAD_DIM
"""Width of image tokens, and of all heads together."""


def pulid_flux_tensors(width: int, seed: int = 0) -> dict[str, Tensor]:
    """Return it under its published names, for EVA's hidden states of this width."""
    generator = torch.Generator().manual_seed(seed)
    projector = projector_tensors(PROJECTOR_MAKERS["pulid-v1.1"](width, CONTEXT, 12), seed)
    made = {name.replace("image_proj.", "pulid_encoder."): tensor for name, tensor in projector.items()}
    shapes = {"to_q": (CONTEXT, WIDTH), "to_kv": (2 * CONTEXT, CONTEXT), "to_out": (WIDTH, CONTEXT)}
    for i in range(20):
        for name, shape in shapes.items():
            made[f"pulid_ca.{i}.{name}.weight"] = torch.randn(shape, generator=generator) * 1.5 * shape[1] ** -0.5
        for name, size in (("norm1", CONTEXT), ("norm2", WIDTH)):
            made[f"pulid_ca.{i}.{name}.weight"] = 1 + 0.2 * torch.randn(size, generator=generator)
            made[f"pulid_ca.{i}.{name}.bias"] = 0.2 * torch.randn(size, generator=generator)
    return made

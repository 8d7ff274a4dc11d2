"""What text the rows of a batch see, which shows what they are where nothing else does."""

from typing import Any

import torch


def seen_texts(cond: Any) -> torch.Tensor:
    """Return the text of each row: (rows, tokens, width).

    Source: modules/sd_samplers_cfg_denoiser.py, where it is a tensor, with SDXL a dictionary, and, as the model is
    called, a dictionary with a tensor or a list of one.
    """
    if isinstance(cond, dict):
        cond = cond["crossattn"] if "crossattn" in cond else cond["c_crossattn"]
    return cond[0] if isinstance(cond, list) else cond


def same_text(text: torch.Tensor, row: torch.Tensor) -> bool:
    """Return whether two texts are equal as far as both go, because the denoiser may pad the shorter one."""
    tokens = min(len(text), len(row))
    return torch.equal(text[:tokens].to(row), row[:tokens])

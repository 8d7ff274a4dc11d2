"""The text conditioning of a batch's rows, which identifies rows that cannot be identified otherwise."""

from typing import Any

import torch


def seen_texts(cond: Any) -> torch.Tensor:
    """Return the text conditioning of each row: (rows, tokens, width).

    It may be a tensor, a dictionary (SDXL), or in calls of the model a dictionary with a tensor or a list of one
    (modules/sd_samplers_cfg_denoiser.py).
    """
    if isinstance(cond, dict):
        cond = cond["crossattn"] if "crossattn" in cond else cond["c_crossattn"]
    return cond[0] if isinstance(cond, list) else cond


def same_text(text: torch.Tensor, row: torch.Tensor) -> bool:
    """Return whether two conditionings are equal over their common length, because the denoiser may pad one of them."""
    tokens = min(len(text), len(row))
    return torch.equal(text[:tokens].to(row), row[:tokens])

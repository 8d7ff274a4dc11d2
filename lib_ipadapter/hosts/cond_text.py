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


def same_texts(texts: torch.Tensor, rows: torch.Tensor) -> list[list[bool]]:
    """Return for each row whether each text equals it over their common length, because the denoiser may pad one.

    All are compared before the device is waited for, which is done once.
    """
    tokens = min(texts.shape[1], rows.shape[1])
    own = texts[:, :tokens].to(rows)
    return torch.stack([(own == row[:tokens]).flatten(1).all(dim=1) for row in rows]).tolist()

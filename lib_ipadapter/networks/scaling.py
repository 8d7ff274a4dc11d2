"""What a unit's weight multiplies at a site: the options of the field `scaling`, and what each does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

FULL_WIDTH = 1280
"""Width of the widest site; scalings with a channel penalty are relative to it."""


def _keys_and_values(keys: Tensor, values: Tensor, weight: float) -> tuple[Tensor, Tensor]:
    return keys * weight, values * weight


def _with_penalty(keys: Tensor, values: Tensor, weight: float) -> tuple[Tensor, Tensor]:
    return _keys_and_values(keys, values, weight * keys.shape[-1] / FULL_WIDTH)


def _keys_and_mean(keys: Tensor, values: Tensor, weight: float) -> tuple[Tensor, Tensor]:
    weight = weight * keys.shape[-1] / FULL_WIDTH
    mean = values.mean(dim=1, keepdim=True)  # over the tokens
    return keys * weight, values - mean + mean * weight


SCALED: Mapping[str, Callable[[Tensor, Tensor, float], tuple[Tensor, Tensor]]] = {
    "V only": lambda keys, values, weight: (keys, values * weight),
    "K+V": _keys_and_values,
    "K+V w/ C penalty": _with_penalty,
    "K+mean(V) w/ C penalty": _keys_and_mean,
}
"""(keys, values, weight) -> weighted keys and values; tensors are (row kinds, tokens, heads * dim).
Source: ComfyUI_IPAdapter_plus, `CrossAttentionPatch.ipadapter_attention`."""

"""How several references become one: the options of the field `combine`, and what each does.

Modes are ComfyUI_IPAdapter_plus's (`IPAdapterPlus.ipadapter_execute` and its node for combining), with a weight for
each reference.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

CONCAT = "concat"
"""Merges nothing: the image tokens of all references are attended together."""

SMALLEST = 1e-12
"""Least norm, whose square float32 still holds."""


def _average(features: Tensor, weights: Tensor) -> Tensor:
    return (weights * features).sum(dim=0, keepdim=True) / weights.abs().sum()


def _add(features: Tensor, weights: Tensor) -> Tensor:
    return (weights * features).sum(dim=0, keepdim=True)


def _subtract(features: Tensor, weights: Tensor) -> Tensor:
    weighted = weights * features
    return weighted[:1] - weighted[1:].mean(dim=0, keepdim=True)


def _norm_average(features: Tensor, weights: Tensor) -> Tensor:
    """Divide each number by its norm over the references, not each reference by its own, as the field's node does."""
    norm = features.norm(dim=0, keepdim=True).clamp(min=SMALLEST)
    return (weights * features / norm).mean(dim=0, keepdim=True)


def _max(features: Tensor, weights: Tensor) -> Tensor:
    return (weights * features).amax(dim=0, keepdim=True)


def _min(features: Tensor, weights: Tensor) -> Tensor:
    return (weights * features).amin(dim=0, keepdim=True)


MERGED: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {
    "average": _average,
    "add": _add,
    "subtract": _subtract,
    "norm average": _norm_average,
    "max": _max,
    "min": _min,
}
"""(references, ...) and weights that fit them -> (1, ...), before the projector."""

TOKENS_MERGED: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {"average tokens": _average}
"""The same after the projector: the mean of image tokens, which sd-webui-controlnet takes of several references."""

COMBINES = (CONCAT, *MERGED, *TOKENS_MERGED)


def merge(how: Callable[[Tensor, Tensor], Tensor], each: Tensor, weights: tuple[float, ...]) -> Tensor:
    """Return the references' features or tokens (references, ...) as one (1, ...), each with its weight."""
    return how(each, each.new_tensor(weights).view(-1, *[1] * (each.dim() - 1)))

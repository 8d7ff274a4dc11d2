"""How several references are combined: the options of the field `combine`, and what each does.

The modes are those of ComfyUI_IPAdapter_plus (`IPAdapterPlus.ipadapter_execute` and the Combine Embeds node), with an
additional weight for each reference.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

CONCAT = "concat"
"""No merge: the image tokens of all references are attended together."""

SMALLEST = 1e-12
"""Lower limit of a norm, whose square float32 can still represent."""


def _average(features: Tensor, weights: Tensor) -> Tensor:
    return (weights * features).sum(dim=0, keepdim=True) / weights.abs().sum()


def _add(features: Tensor, weights: Tensor) -> Tensor:
    return (weights * features).sum(dim=0, keepdim=True)


def _subtract(features: Tensor, weights: Tensor) -> Tensor:
    weighted = weights * features
    return weighted[:1] - weighted[1:].mean(dim=0, keepdim=True)


def _norm_average(features: Tensor, weights: Tensor) -> Tensor:
    """Normalise each number over the references, rather than each reference, as ComfyUI_IPAdapter_plus does."""
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
"""Merges before the projector: features (references, ...) and weights -> (1, ...)."""

TOKENS_MERGED: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {"average tokens": _average}
"""Merges after the projector: the mean of image tokens, as in sd-webui-controlnet."""

COMBINES = (CONCAT, *MERGED, *TOKENS_MERGED)


def merge(how: Callable[[Tensor, Tensor], Tensor], each: Tensor, weights: tuple[float, ...]) -> Tensor:
    """Merge the references' features or tokens (references, ...) to (1, ...), each with its weight."""
    return how(each, each.new_tensor(weights).view(-1, *[1] * (each.dim() - 1)))

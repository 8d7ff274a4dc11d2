"""Finds the cross-attentions of a loaded U-Net and their widths."""

from collections.abc import Mapping
from typing import Any

from torch import nn

from .layout import NOTHING, Found
from .unet_sites import Site, found_sites


def found_in_unet(unet: nn.Module) -> Found:
    """Return the sites of a loaded U-Net; `NOTHING` for anything but SD and SDXL."""
    attentions = find_attentions(unet)
    return Found(widths(attentions), context_dim(attentions)) if attentions else NOTHING


def found_in_unet_header(shapes: Mapping[str, tuple[int, ...]]) -> Found:
    """Return the sites of a U-Net in a checkpoint; `NOTHING` for anything but SD and SDXL."""
    there = found_sites(lambda site: shapes.get(f"{site.path}.to_k.weight"))
    if not there:
        return NOTHING
    return Found({site: shape[0] for site, shape in there.items()}, next(iter(there.values()))[1])


def find_attentions(unet: nn.Module) -> dict[Site, nn.Module]:
    """Return the cross-attentions that a U-Net has, by site; empty for anything but SD and SDXL."""
    return found_sites(lambda site: find_submodule(unet, site.path))


def find_submodule(root: nn.Module, path: str) -> nn.Module | None:
    """Return the module at `path`, or None, without walking over all modules of the U-Net, which is slow.

    Wrapper modules of other extensions, such as those that rescale a block's input, are skipped.
    """
    module: Any = root
    for name in path.split("."):
        while name not in module._modules and len(module._modules) == 1:
            (module,) = module._modules.values()
        module = module._modules.get(name)
        if module is None:
            return None
    return module


def context_dim(attentions: Mapping[Site, Any]) -> int:
    """Return the width of the text context that a U-Net's cross-attentions take."""
    return _shape(next(iter(attentions.values())).to_k)[1]


def widths(attentions: Mapping[Site, Any]) -> dict[Site, int]:
    """Return the width, heads times dim, of each cross-attention."""
    return {site: _shape(attention.to_q)[0] for site, attention in attentions.items()}


def _shape(linear: Any) -> tuple[int, int]:
    """Return the widths of a linear layer's output and input.

    Forge's quantised layers have no `in_features`. A 4-bit weight is packed and its quantisation state has the original
    shape; weights of GGUF files report it themselves (backend/operations_bnb.py, operations_gguf.py).
    """
    if hasattr(linear, "in_features"):
        return linear.out_features, linear.in_features
    rows, columns = (getattr(linear.weight, "quant_state", None) or linear.weight).shape
    return rows, columns

"""Finds the blocks of a FLUX.1 network, loaded or in a checkpoint, by the names that every checkpoint has."""

from collections.abc import Mapping
from typing import Any

from torch import nn

from .flux_sites import LAYOUTS, FluxSite
from .layout import NOTHING, Found

MARK = "vector_in"
"""The module that FLUX.1 has, but Chroma and FLUX.2, whose blocks have the same names, have not."""

USED = {True: ("img_attn.norm", "img_attn.proj"), False: ("norm", "linear2")}
"""The modules that are hooked in double blocks and in single blocks."""

BIASES = {True: "img_attn.proj.bias", False: "linear2.bias"}
"""A tensor that shows a block's width in a checkpoint, in whatever way its weights are quantised."""


def find_block(network: nn.Module, site: FluxSite) -> Any:
    """Return a site's block, or None where the network has none with the modules that are hooked."""
    modules = dict(network.named_children())
    kind, number = site.path.split(".")
    blocks: Any = modules.get(kind)
    if blocks is None or int(number) >= len(blocks):
        return None
    block = blocks[int(number)]
    return block if all(_has(block, name) for name in USED[site.double]) else None


def _has(block: Any, path: str) -> bool:
    for name in path.split("."):
        block = getattr(block, name, None)
    return isinstance(block, nn.Module)


def found_in_flux(network: nn.Module) -> Found:
    """Return the sites of a loaded FLUX.1; `NOTHING` for any other network."""
    width = getattr(network, "hidden_size", 0)
    if MARK not in dict(network.named_children()) or not width:
        return NOTHING
    return _found({site: width for layout in LAYOUTS for site in layout.sites if find_block(network, site) is not None})


def found_in_flux_header(shapes: Mapping[str, tuple[int, ...]]) -> Found:
    """Return the sites of a FLUX.1 in a checkpoint; `NOTHING` for any other network."""
    if not any(name.startswith(f"{MARK}.") for name in shapes):
        return NOTHING
    biases = {site: shapes.get(f"{site.path}.{BIASES[site.double]}") for layout in LAYOUTS for site in layout.sites}
    return _found({site: bias[0] for site, bias in biases.items() if bias})


def _found(widths: Mapping[FluxSite, int]) -> Found:
    return Found(widths, 0) if widths else NOTHING

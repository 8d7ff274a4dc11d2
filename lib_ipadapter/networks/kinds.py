"""The kinds of networks that image tokens can be attended in: finding a network's sites, and injecting there.

Everything that the engine does with a network goes through these functions and `layout`.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from torch import nn

from .flux_injection import FluxInjection
from .flux_modules import found_in_flux, found_in_flux_header
from .injection import NetworkInjection
from .layout import NOTHING, Found, Site
from .unet_injection import Injection
from .unet_modules import find_attentions, found_in_unet, found_in_unet_header


@dataclass(frozen=True)
class Kind:
    """One kind of network."""

    loaded: Callable[[nn.Module], Found]
    """What a loaded network has of this kind; `NOTHING` for any other kind."""
    header: Callable[[Mapping[str, tuple[int, ...]]], Found]
    """The same for the shapes in a checkpoint's header, by their names inside the network."""
    injection: Callable[[nn.Module, Collection[Site]], NetworkInjection]
    """The hooks for some sites of a network of this kind."""


KINDS = (
    Kind(found_in_unet, found_in_unet_header, lambda unet, _sites: Injection(unet, find_attentions(unet))),
    Kind(found_in_flux, found_in_flux_header, FluxInjection),
)


def found_in(network: nn.Module) -> Found:
    """Return the sites of a loaded network with their widths; `NOTHING` for a network without any."""
    return next((found for kind in KINDS if (found := kind.loaded(network)).widths), NOTHING)


def found_in_header(shapes: Mapping[str, tuple[int, ...]]) -> Found:
    """Return the sites of a network in a checkpoint, from its shapes by their names inside the network."""
    return next((found for kind in KINDS if (found := kind.header(shapes)).widths), NOTHING)


def injection_of(network: nn.Module, sites: Collection[Site]) -> NetworkInjection:
    """Return the hooks for the sites of the active units; constructing them changes nothing."""
    kind = next((kind for kind in KINDS if kind.loaded(network).widths), None)
    return kind.injection(network, sites) if kind else NetworkInjection(network)

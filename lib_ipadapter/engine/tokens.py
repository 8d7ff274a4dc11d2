"""Features → image tokens → the keys and values of every site."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from ..networks.layout import Layout, Site
from ..weights.adapter_file import AdapterFile
from ..weights.site_layers import PLAIN, SiteLayers
from ..weights.tensor_file import refuse_unusable
from .token_plan import TokenSet


@dataclass(frozen=True)
class KeysValues:
    """The image keys and values of one unit at every site, before weighting, in float32 on the CPU."""

    of_site: Mapping[Any, tuple[Tensor, Tensor]]
    """Keys and values: (sets, tokens, heads * dim) each."""
    image_tokens: Tensor
    """The image tokens that they were computed from: (sets, tokens, context dim)."""
    sets: tuple[TokenSet, ...] = ()
    """The token set at each index."""

    def at(self, site: Site, wanted: Sequence[TokenSet]) -> tuple[Tensor, Tensor]:
        """Return the keys and values of the wanted sets at a site: (wanted, tokens, heads * dim)."""
        keys, values = self.of_site[site]
        places = [self._places[token_set] for token_set in wanted]
        return keys[places], values[places]

    def tokens_of(self, wanted: Sequence[TokenSet]) -> Tensor:
        """Return the image tokens of the wanted sets: (wanted, tokens, context dim)."""
        return self.image_tokens[[self._places[token_set] for token_set in wanted]]

    @cached_property
    def _places(self) -> dict[TokenSet, int]:
        return {token_set: place for place, token_set in enumerate(self.sets)}

    @property
    def tokens(self) -> int:
        """Number of image tokens in one set."""
        return self.image_tokens.shape[1]

    @property
    def bytes(self) -> int:
        held = [self.image_tokens, *(tensor for pair in self.of_site.values() for tensor in pair)]
        return sum(tensor.numel() * tensor.element_size() for tensor in held)


def project(adapter: AdapterFile, tensors: Mapping[str, Tensor], *features: Tensor, **settings: float) -> Tensor:
    """Return the image tokens (sets, tokens, context dim) of features (sets, ...), in float32.

    `features` are the projector's tensor arguments, and `settings` the fields of the unit that it also takes.
    """
    projector = adapter.projector()
    weights = {
        key.removeprefix("image_proj."): tensor.float()
        for key, tensor in tensors.items()
        if key.startswith("image_proj.")
    }
    projector.load_state_dict(weights, assign=True)
    with torch.no_grad():
        return projector(*(part.float() for part in features), **settings)


def keys_and_values(
    tensors: Mapping[str, Tensor],
    layout: Layout,
    tokens: Tensor,
    device: torch.device,
    sets: tuple[TokenSet, ...] = (),
    layers: SiteLayers = PLAIN,
) -> KeysValues:
    """Return each site's keys and values for `tokens` (sets, tokens, context dim), in float32, computed on `device`."""
    tokens = tokens.to(device)

    def of(site: Site) -> tuple[Tensor, Tensor]:
        keys, values = layers.keys_and_values(
            lambda name: tensors[f"ip_adapter.{site.key}.{name}"].to(device).float(), tokens
        )
        return keys.cpu(), values.cpu()

    pairs = {site: of(site) for site in layout.sites}
    return KeysValues(pairs, tokens.cpu(), sets)


def usable_tensors(adapter: AdapterFile) -> dict[str, Tensor]:
    """Return the adapter's tensors; raises `IPAdapterError` if any number is NaN or infinite."""
    tensors = adapter.tensors()
    refuse_unusable(adapter.path, tensors)
    return tensors

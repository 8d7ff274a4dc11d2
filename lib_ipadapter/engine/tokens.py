"""Features → image tokens → the keys and values of every site."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from ..networks.unet_sites import Layout, Site, sites
from ..weights.adapter_file import AdapterFile
from ..weights.tensor_file import refuse_unusable


@dataclass(frozen=True)
class KeysValues:
    """The image keys and values of one unit at every site, without its weight, in float32 on the CPU."""

    of_site: Mapping[Site, tuple[Tensor, Tensor]]
    """(sets, tokens, heads * dim) each: the unconditional set, then one a reference, or a part or a mixture of some."""
    image_tokens: Tensor
    """(sets, tokens, context dim), of which they were made."""

    @property
    def tokens(self) -> int:
        """Image tokens of one set."""
        return self.image_tokens.shape[1]

    @property
    def bytes(self) -> int:
        held = [self.image_tokens, *(tensor for pair in self.of_site.values() for tensor in pair)]
        return sum(tensor.numel() * tensor.element_size() for tensor in held)


def project(adapter: AdapterFile, tensors: Mapping[str, Tensor], *features: Tensor, **settings: float) -> Tensor:
    """Return the image tokens of some features (sets, ...): (sets, tokens, context dim), float32.

    `features` are all that the projector takes of each set, and `settings` the unit's fields that it takes besides.
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


def keys_and_values(tensors: Mapping[str, Tensor], layout: Layout, tokens: Tensor, device: torch.device) -> KeysValues:
    """Return each site's keys and values of `tokens` (sets, tokens, context dim), in float32 via `device`."""
    tokens = tokens.to(device)

    def times(site: Site, name: str) -> Tensor:
        weight = tensors[f"ip_adapter.{site.key}.{name}.weight"].to(device).float()
        return functional.linear(tokens, weight).cpu()

    pairs = {site: (times(site, "to_k_ip"), times(site, "to_v_ip")) for site in sites(layout)}
    return KeysValues(pairs, tokens.cpu())


def usable_tensors(adapter: AdapterFile) -> dict[str, Tensor]:
    """Return the adapter's tensors after a look at every number; raises `IPAdapterError` for NaN and the like."""
    tensors = adapter.tensors()
    refuse_unusable(adapter.path, tensors)
    return tensors

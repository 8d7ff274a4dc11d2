"""Features → image tokens → the keys and values of every site."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional

from ..base.errors import IPAdapterError
from ..networks.unet_sites import Layout, Site, layout_of_count, sites
from ..weights.adapter_file import AdapterFile, refuse_mismatch, refuse_unusable
from ..weights.families import Shapes
from ..weights.loras import expected_shapes
from ..weights.projectors import PROJECTORS


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


@lru_cache(maxsize=32)
def refuse_unsound(adapter: AdapterFile) -> Layout:
    """Return the adapter's U-Net layout; raises `IPAdapterError` where it cannot be run or a tensor is off."""
    found = adapter.recognised
    if not found.runs:
        raise IPAdapterError(f"{adapter.path.name} is {found.title} ({found.base}), which this version cannot run yet.")
    layout = layout_of_count(found.layers)
    if layout is None:
        raise IPAdapterError(
            f"{adapter.path.name} has image keys for {found.layers} layers, where SD1.x and SD2.x have 16 and SDXL 70. "
            "The file is incomplete or made for another model."
        )
    refuse_mismatch(adapter.path, _expected_shapes(adapter, layout), adapter.shapes)
    return layout


def _expected_shapes(adapter: AdapterFile, layout: Layout) -> Shapes:
    with torch.device("meta"):
        projector = PROJECTORS[adapter.recognised.kind].of_shapes(adapter.shapes)
    expected = {f"image_proj.{name}": tuple(tensor.shape) for name, tensor in projector.state_dict().items()}
    for site in sites(layout):
        rows, _ = adapter.shapes.get(f"ip_adapter.{site.key}.to_k_ip.weight", (0, 0))
        for name in ("to_k_ip", "to_v_ip"):
            expected[f"ip_adapter.{site.key}.{name}.weight"] = (rows, adapter.recognised.context_dim)
    if adapter.recognised.lora and "lora_weight" in adapter.recognised.family.fields:
        expected |= expected_shapes(adapter, layout, lambda place: place.inside, adapter.shapes)
    return expected


def project(adapter: AdapterFile, tensors: Mapping[str, Tensor], *features: Tensor, **settings: float) -> Tensor:
    """Return the image tokens of some features (sets, ...): (sets, tokens, context dim), float32.

    `features` are all that the projector takes of each set, and `settings` the unit's fields that it takes besides.
    """
    with torch.device("meta"):
        projector = PROJECTORS[adapter.recognised.kind].of_shapes(adapter.shapes)
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

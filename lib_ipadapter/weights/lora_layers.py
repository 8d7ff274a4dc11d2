"""The linear layers of a U-Net that a FaceID LoRA applies to, and its tensor names in both kinds of files."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import product

from ..networks.layout import Layout
from ..networks.unet_sites import Site
from .shapes import Shape, Shapes

PARTS = {"to_q": "to_q", "to_k": "to_k", "to_v": "to_v", "to_out": "to_out.0"}
"""The linear layers of an attention, by their names in files -> their names in a U-Net."""


@dataclass(frozen=True)
class LoraLayer:
    """One linear layer that a LoRA applies to, and the names of the LoRA's two tensors."""

    site: Site
    path: str
    """Path of the layer in a U-Net, as in the ldm and sgm code bases."""
    inside: tuple[str, str]
    """Names of down and up in an adapter's file (tencent-ailab/IP-Adapter, `attention_processor_faceid.py`)."""
    separate: tuple[str, str]
    """Names of down and up in a separate LoRA file, in the naming of Kohya's scripts."""
    alpha: str
    """Name of the optional alpha in a separate file; alpha / rank scales the LoRA."""
    takes_context: bool
    """Whether the layer's input is the text context."""


@cache
def lora_layers(layout: Layout) -> tuple[LoraLayer, ...]:
    """Return the layers that a LoRA applies to: four in each attn1 and attn2, in the files' order."""
    return tuple(_lora_layers(layout))


def _lora_layers(layout: Layout) -> Iterator[LoraLayer]:
    for site, (attention, number) in product(layout.sites, (("attn1", 0), ("attn2", 1))):
        path, other = (name.removesuffix("attn2") + attention for name in (site.path, site.diffusers_path))
        for part, linear in PARTS.items():
            inside = f"ip_adapter.{2 * site.index + number}.{part}_lora"
            separate = f"lora_unet_{other}.{linear}".replace(".", "_")
            yield LoraLayer(
                site,
                f"{path}.{linear}",
                (f"{inside}.down.weight", f"{inside}.up.weight"),
                (f"{separate}.lora_down.weight", f"{separate}.lora_up.weight"),
                f"{separate}.alpha",
                attention == "attn2" and part in ("to_k", "to_v"),
            )


Names = Callable[[LoraLayer], tuple[str, str]]


def lora_shapes(adapter: Shapes, context_dim: int, layout: Layout, names: Names, found: Shapes) -> dict[str, Shape]:
    """Return the expected shapes of a LoRA's tensors, for an adapter's widths and the rank of the first in `found`."""
    layers = lora_layers(layout)
    rank = rows(found, names(layers[0])[0])
    expected: dict[str, Shape] = {}
    for layer in layers:
        width = rows(adapter, f"ip_adapter.{layer.site.key}.to_k_ip.weight")
        down, up = names(layer)
        expected |= {down: (rank, context_dim if layer.takes_context else width), up: (width, rank)}
    return expected


def rows(shapes: Shapes, key: str) -> int:
    """Return a tensor's rows, or 0 if it is missing or misshapen; the check of its own shape then reports that."""
    return (shapes.get(key) or (0,))[0]

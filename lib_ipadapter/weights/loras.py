"""FaceID's LoRAs: which linear layers they stand beside, inside an adapter's file or in a file of their own.

The adapter was trained together with it; without it the likeness is much weaker.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import product
from pathlib import Path

from torch import Tensor

from ..networks.unet_sites import Layout, Site, sites
from .adapter_file import AdapterFile, read_tensors, refuse_mismatch, refuse_unusable
from .families import Shape, Shapes

PARTS = {"to_q": "to_q", "to_k": "to_k", "to_v": "to_v", "to_out": "to_out.0"}
"""The linear layers of an attention as the files name them, and their names in a U-Net."""


@dataclass(frozen=True)
class Place:
    """One linear layer that a LoRA stands beside, and its tensors' names in both sorts of files."""

    site: Site
    path: str
    """The layer in a U-Net, as the ldm and sgm code bases name it."""
    inside: tuple[str, str]
    """Down and up in an adapter's file (tencent-ailab/IP-Adapter, `attention_processor_faceid.py`)."""
    apart: tuple[str, str]
    """Down and up in a file of their own, named as Kohya's scripts name diffusers' modules."""
    alpha: str
    """Beside these, maybe: what divided by the rank scales the LoRA."""
    takes_context: bool
    """Whether it is the text's context that enters the layer."""


@dataclass(frozen=True, eq=False)
class Lora:
    """A LoRA: to what a linear layer returns for x, `up(down(x))` is added."""

    names: frozenset[str]
    """How a prompt may call the same LoRA, in lower case."""
    layers: Mapping[str, tuple[Tensor, Tensor]]
    """Down (rank, entering) and up (leaving, rank) by the linear layer's path, memory maps in the file's dtype."""


@cache
def places(layout: Layout) -> tuple[Place, ...]:
    """Return the linear layers that a LoRA stands beside: four for each attn1 and attn2, in the files' order."""
    return tuple(_places(layout))


def _places(layout: Layout) -> Iterator[Place]:
    for site, (attention, number) in product(sites(layout), (("attn1", 0), ("attn2", 1))):
        path, other = (name.removesuffix("attn2") + attention for name in (site.path, site.diffusers_path))
        for part, linear in PARTS.items():
            inside = f"ip_adapter.{2 * site.index + number}.{part}_lora"
            apart = f"lora_unet_{other}.{linear}".replace(".", "_")
            yield Place(
                site,
                f"{path}.{linear}",
                (f"{inside}.down.weight", f"{inside}.up.weight"),
                (f"{apart}.lora_down.weight", f"{apart}.lora_up.weight"),
                f"{apart}.alpha",
                attention == "attn2" and part in ("to_k", "to_v"),
            )


Names = Callable[[Place], tuple[str, str]]


def expected_shapes(adapter: AdapterFile, layout: Layout, names: Names, found: Shapes) -> dict[str, Shape]:
    """Return what a LoRA's tensors among `found` must be, going by the adapter's widths and by the first one's rank."""
    all_places = places(layout)
    rank = _rows(found, names(all_places[0])[0])
    expected: dict[str, Shape] = {}
    for place in all_places:
        width = _rows(adapter.shapes, f"ip_adapter.{place.site.key}.to_k_ip.weight")
        down, up = names(place)
        expected |= {down: (rank, adapter.recognised.context_dim if place.takes_context else width), up: (width, rank)}
    return expected


def _rows(shapes: Shapes, key: str) -> int:
    """Return a tensor's rows, or 0 for one that is missing or misshapen, which is then told by its own shape."""
    return (shapes.get(key) or (0,))[0]


def lora_inside(adapter: AdapterFile, layout: Layout, tensors: Mapping[str, Tensor]) -> Lora:
    """Return the LoRA in an adapter's own file, whose tensors were found sound."""
    layers = {place.path: (tensors[place.inside[0]], tensors[place.inside[1]]) for place in places(layout)}
    return Lora(frozenset([partner(adapter.path)]), layers)


def lora_apart(path: Path, adapter: AdapterFile, layout: Layout) -> Lora:
    """Return the LoRA in a file of its own; raises `IPAdapterError` where it does not fit the adapter's U-Net."""
    tensors = read_tensors(path)
    refuse_unusable(path, tensors)
    scales = {place: tensors.pop(place.alpha, None) for place in places(layout)}
    shapes = {key: tuple(tensor.shape) for key, tensor in tensors.items()}
    refuse_mismatch(path, expected_shapes(adapter, layout, lambda place: place.apart, shapes), shapes)
    layers: dict[str, tuple[Tensor, Tensor]] = {}
    for place, alpha in scales.items():
        down, up = (tensors[name] for name in place.apart)
        scale = 1.0 if alpha is None else alpha.item() / len(down)
        layers[place.path] = down, up if scale == 1.0 else up * scale
    return Lora(frozenset([path.stem.lower(), partner(adapter.path)]), layers)


def partner(adapter: Path) -> str:
    """Return the name, without extension and in lower case, of the LoRA that is published beside an adapter."""
    return f"{adapter.stem}_lora".lower()

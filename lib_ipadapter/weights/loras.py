"""FaceID's LoRAs, inside an adapter's file or in a file of their own.

The adapter was trained together with its LoRA; without it the likeness is much weaker.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from ..networks.unet_sites import Layout
from .adapter_file import AdapterFile
from .lora_layers import lora_layers, lora_shapes
from .tensor_file import read_tensors, refuse_mismatch, refuse_unusable


@dataclass(frozen=True, eq=False)
class Lora:
    """A LoRA: to what a linear layer returns for x, `up(down(x))` is added."""

    names: frozenset[str]
    """The names by which a prompt may ask for the same LoRA, in lower case."""
    layers: Mapping[str, tuple[Tensor, Tensor]]
    """Down (rank, input width) and up (output width, rank) by the linear layer's path, memory maps in the file's
    dtype."""


def lora_inside(adapter: AdapterFile, layout: Layout, tensors: Mapping[str, Tensor]) -> Lora:
    """Return the LoRA in an adapter's own file, whose tensors have been checked."""
    layers = {layer.path: (tensors[layer.inside[0]], tensors[layer.inside[1]]) for layer in lora_layers(layout)}
    return Lora(frozenset([partner(adapter.path)]), layers)


def lora_apart(path: Path, adapter: AdapterFile, layout: Layout) -> Lora:
    """Return the LoRA in a file of its own; raises `IPAdapterError` where it does not fit the adapter's U-Net."""
    tensors = read_tensors(path)
    refuse_unusable(path, tensors)
    scales = {layer: tensors.pop(layer.alpha, None) for layer in lora_layers(layout)}
    shapes = {key: tuple(tensor.shape) for key, tensor in tensors.items()}
    context_dim = adapter.recognised.context_dim
    refuse_mismatch(
        path, lora_shapes(adapter.shapes, context_dim, layout, lambda layer: layer.separate, shapes), shapes
    )
    layers: dict[str, tuple[Tensor, Tensor]] = {}
    for layer, alpha in scales.items():
        down, up = (tensors[name] for name in layer.separate)
        scale = 1.0 if alpha is None else alpha.item() / len(down)
        layers[layer.path] = down, up if scale == 1.0 else up * scale
    return Lora(frozenset([path.stem.lower(), partner(adapter.path)]), layers)


def partner(adapter: Path) -> str:
    """Return the name, without extension and in lower case, of the LoRA that is published with an adapter."""
    return f"{adapter.stem}_lora".lower()

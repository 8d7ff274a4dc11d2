"""FaceID's LoRAs, inside an adapter's file or in a separate file.

The adapter was trained together with its LoRA; without it, the likeness is much weaker.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from ..networks.layout import Layout
from .adapter_file import AdapterFile
from .lora_layers import lora_layers, lora_shapes
from .tensor_file import read_tensors, refuse_mismatch, refuse_unusable


@dataclass(frozen=True, eq=False)
class Lora:
    """A LoRA, which adds `up(down(x))` to the outputs of linear layers."""

    names: frozenset[str]
    """Names that load the same LoRA when used in a prompt, in lower case."""
    layers: Mapping[str, tuple[Tensor, Tensor]]
    """Down (rank, input width) and up (output width, rank) by the linear layer's path, memory maps in the file's
    dtype."""


def lora_inside(adapter: AdapterFile, layout: Layout, tensors: Mapping[str, Tensor]) -> Lora:
    """Return the LoRA in an adapter's file, from tensors that have been checked."""
    layers = {layer.path: (tensors[layer.inside[0]], tensors[layer.inside[1]]) for layer in lora_layers(layout)}
    return Lora(frozenset([partner(adapter.path)]), layers)


def separate_lora(path: Path, adapter: AdapterFile, layout: Layout) -> Lora:
    """Return the LoRA in a separate file; raises `IPAdapterError` if it does not fit the adapter's U-Net."""
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

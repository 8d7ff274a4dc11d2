"""Applies units' LoRAs to a U-Net through hooks, without changing its weights."""

from collections.abc import Mapping, Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.hooks import RemovableHandle

from .unet_modules import find_submodule

LoraWeights = Mapping[str, tuple[Tensor, Tensor]]
"""A LoRA's down (rank, in features) and up (out features, rank), by the path of its linear layer."""


class LoraHooks:
    """Hooks that add `strength * up(down(x))` to the outputs of one U-Net's linear layers.

    No weight is changed, so there is nothing to restore, whatever the weights' dtype and device. Inject these hooks
    before hooks that use the layers' outputs. They do nothing until `strengths` is set, one per LoRA.
    """

    def __init__(self, unet: nn.Module, loras: Sequence[LoraWeights]) -> None:
        self.strengths: Sequence[float] = ()
        self._unet = unet
        self._loras = loras
        self._ready: dict[tuple[int, str, torch.device, torch.dtype], tuple[Tensor, Tensor]] = {}
        self._handles: list[RemovableHandle] = []

    def inject(self) -> None:
        if self._handles:
            return
        for path in sorted({path for lora in self._loras for path in lora}):
            if layer := find_submodule(self._unet, path):  # pruned U-Nets lack some
                self._handles.append(layer.register_forward_hook(partial(self._add, path)))

    def eject(self) -> None:
        self.strengths = ()
        self._ready.clear()
        while self._handles:
            self._handles.pop().remove()

    def _add(self, path: str, _module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> Tensor:
        entering = args[0].to(output.dtype)
        for i, strength in enumerate(self.strengths):
            if strength and path in self._loras[i]:
                down, up = self._on(i, path, output)
                output = output + functional.linear(functional.linear(entering, down) * strength, up)
        return output

    def _on(self, i: int, path: str, output: Tensor) -> tuple[Tensor, Tensor]:
        """Return a layer's down and up in the dtype and on the device of `output`, cached for one pass."""
        key = (i, path, output.device, output.dtype)
        if key not in self._ready:
            down, up = self._loras[i][path]
            self._ready[key] = down.to(output), up.to(output)
        return self._ready[key]

"""The layers around a cross-attention of an adapter's own, as PuLID for FLUX has (`PerceiverAttentionCA`).

out = hidden + to_out(Attention(to_q(norm(hidden)), K, V))
"""

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True, eq=False)
class CrossLayers:
    """The layers of one adapter at one site, from hidden states to queries and back."""

    norm: tuple[Tensor, Tensor]
    """Weight and bias: (width,) each."""
    to_q: Tensor
    """(heads * dim, width)"""
    to_out: Tensor
    """(width, heads * dim)"""
    heads: int

    def like(self, tensor: Tensor) -> "CrossLayers":
        """Return the layers in the dtype and on the device of `tensor`."""
        weight, bias, to_q, to_out = (each.to(tensor.device, tensor.dtype) for each in self._held)
        return CrossLayers((weight, bias), to_q, to_out, self.heads)

    @property
    def bytes(self) -> int:
        return sum(tensor.numel() * tensor.element_size() for tensor in self._held)

    @property
    def _held(self) -> tuple[Tensor, ...]:
        return (*self.norm, self.to_q, self.to_out)

    def query(self, hidden: Tensor) -> Tensor:
        """Return the queries (rows, positions, heads * dim) of hidden states (rows, positions, width)."""
        weight, bias = self.norm
        return functional.linear(functional.layer_norm(hidden, weight.shape, weight, bias), self.to_q)

    def out(self, attended: Tensor) -> Tensor:
        """Return attention (rows, positions, heads * dim) as hidden states."""
        return functional.linear(attended, self.to_out)

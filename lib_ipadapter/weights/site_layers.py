"""An adapter's layers at each site: image tokens → keys and values, before any weight."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor
from torch.nn import functional

from ..networks.cross_attention import CrossLayers
from ..networks.flux_sites import HEAD_DIM
from .shapes import Shape

Pair = tuple[Tensor, Tensor]

RMS_EPSILON = 1e-5
"""Added to the mean square in InstantX's norm of keys and values (`IPAFluxAttnProcessor2_0`)."""


@dataclass(frozen=True)
class SiteLayers:
    """Two linear layers from the width of image tokens to the width of the site, and what follows them."""

    biases: bool = False
    after: Callable[[Tensor], Tensor] | None = None
    """What is done with keys and with values, each (sets, tokens, heads * dim)."""
    wide: ClassVar[str] = "to_k_ip.weight"
    """End of the name of a tensor whose first axis is the width of the site."""

    def shapes(self, width: int, context_dim: int) -> Mapping[str, Shape]:
        """Return the shapes of a site's tensors, for `width` rows, by the end of their names."""
        made: dict[str, Shape] = {}
        for name in ("to_k_ip", "to_v_ip"):
            made[f"{name}.weight"] = (width, context_dim)
            made |= {f"{name}.bias": (width,)} if self.biases else {}
        return made

    def keys_and_values(self, tensor: Callable[[str], Tensor], tokens: Tensor) -> Pair:
        """Return the keys and values of image tokens (sets, tokens, context dim).

        `tensor` returns one of the site's tensors by the end of its name, in the tokens' dtype and on their device.
        """
        keys, values = (self._of(tensor, name, tokens) for name in ("to_k_ip", "to_v_ip"))
        return keys, values

    def cross(self, tensor: Callable[[str], Tensor]) -> CrossLayers | None:
        """Return the layers around the attention, where an adapter's queries are its own."""
        return None

    def _of(self, tensor: Callable[[str], Tensor], name: str, tokens: Tensor) -> Tensor:
        bias = tensor(f"{name}.bias") if self.biases else None
        made = functional.linear(tokens, tensor(f"{name}.weight"), bias)
        return self.after(made) if self.after else made


@dataclass(frozen=True)
class WithQueries(SiteLayers):
    """PuLID's for FLUX: keys and values in one layer after a norm, and layers for queries from the network's stream.

    Its heads, each `HEAD_DIM` wide, are together as wide as image tokens.
    """

    wide: ClassVar[str] = "norm2.weight"

    def shapes(self, width: int, context_dim: int) -> Mapping[str, Shape]:
        norms = {"norm1": context_dim, "norm2": width}
        linears = {
            "to_q": (context_dim, width),
            "to_kv": (2 * context_dim, context_dim),
            "to_out": (width, context_dim),
        }
        made: dict[str, Shape] = {f"{name}.{kind}": (norms[name],) for name in norms for kind in ("weight", "bias")}
        return made | {f"{name}.weight": shape for name, shape in linears.items()}

    def keys_and_values(self, tensor: Callable[[str], Tensor], tokens: Tensor) -> Pair:
        norm = tensor("norm1.weight"), tensor("norm1.bias")
        normed = functional.layer_norm(tokens, norm[0].shape, *norm)
        keys, values = functional.linear(normed, tensor("to_kv.weight")).chunk(2, dim=-1)
        return keys, values

    def cross(self, tensor: Callable[[str], Tensor]) -> CrossLayers:
        to_q = tensor("to_q.weight")
        norm = tensor("norm2.weight"), tensor("norm2.bias")
        return CrossLayers(norm, to_q, tensor("to_out.weight"), len(to_q) // HEAD_DIM)


def normed_heads(tensor: Tensor) -> Tensor:
    """Return a tensor (..., heads * dim) whose heads each have the root mean square 1."""
    heads = tensor.unflatten(-1, (-1, HEAD_DIM))
    return (heads * (heads.square().mean(dim=-1, keepdim=True) + RMS_EPSILON).rsqrt()).flatten(-2)


PLAIN = SiteLayers()
"""IP-Adapter's own, of all adapters for a U-Net."""
WITH_BIASES = SiteLayers(biases=True)
"""XLabs' for FLUX."""
NORMED_HEADS = SiteLayers(after=normed_heads)
"""InstantX's for FLUX."""
WITH_QUERIES = WithQueries()
"""PuLID's for FLUX."""

"""An adapter's layers at each site: image tokens → keys and values, before any weight."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional

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

    def _of(self, tensor: Callable[[str], Tensor], name: str, tokens: Tensor) -> Tensor:
        bias = tensor(f"{name}.bias") if self.biases else None
        made = functional.linear(tokens, tensor(f"{name}.weight"), bias)
        return self.after(made) if self.after else made


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

"""The sites of FLUX.1's transformer: the blocks where each kind of adapter acts, and where its term is added there.

19 double blocks, with a stream each for text and picture, are followed by 38 single blocks, with one for both. Layers
are counted through all of them. Every adapter attends with the picture's query after its norm and before its rotation.

Sources: black-forest-labs/flux, `model.py`; XLabs-AI/x-flux, `layers.py`; Shakker-Labs/ComfyUI-IPAdapter-Flux,
`flux/layers.py`.
"""

from dataclasses import dataclass
from functools import cache

from .layout import Found

DOUBLES, SINGLES = 19, 38
"""Number of blocks of either kind."""

HEAD_DIM = 128
"""Width of an attention head."""

AFTER, INSIDE = "after", "inside"
"""Where a term is added: to the picture's stream after the whole block, or to the attention before its projection."""


@dataclass(frozen=True, order=True)
class FluxSite:
    """One block, and where an adapter's term is added there."""

    layer: int
    """Number of the block in execution order, from 0."""
    place: str
    """AFTER or INSIDE."""

    @property
    def double(self) -> bool:
        return self.layer < DOUBLES

    @property
    def block(self) -> str:
        """`double` or `single`."""
        return "double" if self.double else "single"

    @property
    def key(self) -> str:
        return str(self.layer)

    @property
    def path(self) -> str:
        """Name of the block inside the network, as in every checkpoint."""
        return f"{self.block}_blocks.{self.layer if self.double else self.layer - DOUBLES}"

    @property
    def level(self) -> int:
        """Patches of 2 x 2 become tokens, which halves the latent image once."""
        return 1


@cache
def _sites(count: int, place: str) -> tuple[FluxSite, ...]:
    return tuple(FluxSite(layer, place) for layer in range(count))


@dataclass(frozen=True)
class FluxLayout:
    """The sites of one kind of adapter."""

    name: str
    count: int
    """Number of blocks where it acts, from the first."""
    place: str

    @property
    def sites(self) -> tuple[FluxSite, ...]:
        return _sites(self.count, self.place)

    @property
    def blocks(self) -> tuple[str, ...]:
        """The kind of each block: `double` or `single`."""
        return tuple(site.block for site in self.sites)

    def fits(self, adapter: Found, loaded: Found) -> bool:
        """Return whether an adapter fits: a network with fewer blocks counts them differently, so all are needed."""
        return adapter.widths.items() <= loaded.widths.items()


XLABS = FluxLayout("FLUX with XLabs' adapters", DOUBLES, AFTER)
INSTANTX = FluxLayout("FLUX with InstantX's adapter", DOUBLES + SINGLES, INSIDE)

LAYOUTS = (XLABS, INSTANTX)

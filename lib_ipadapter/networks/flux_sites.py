"""The sites of FLUX.1's transformer: the blocks where each kind of adapter acts, and where its term is added there.

19 double blocks, with a stream each for text and picture, are followed by 38 single blocks, with one for both. XLabs'
and InstantX's adapters attend with the picture's query, after its norm and before its rotation. PuLID's has
cross-attentions of its own after some of the blocks, with queries from the picture's stream.

Sources: black-forest-labs/flux, `model.py`; XLabs-AI/x-flux, `layers.py`; Shakker-Labs/ComfyUI-IPAdapter-Flux,
`flux/layers.py`; ToTheBeginning/PuLID, `flux/model.py`.
"""

from dataclasses import dataclass
from functools import cache

from .layout import Found

DOUBLES, SINGLES = 19, 38
"""Number of blocks of either kind."""

HEAD_DIM = 128
"""Width of an attention head."""

ACROSS, AFTER, INSIDE = "across", "after", "inside"
"""Where a term is added: to the picture's stream after the whole block, with a query of the adapter's own or the
block's, or to the attention before its projection."""


@dataclass(frozen=True, order=True)
class FluxSite:
    """One block, and where an adapter's term is added there."""

    layer: int
    """Its number among the adapter's sites, from 0."""
    number: int
    """Number of the block in execution order, from 0."""
    place: str
    """ACROSS, AFTER or INSIDE."""

    @property
    def double(self) -> bool:
        return self.number < DOUBLES

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
        return f"{self.block}_blocks.{self.number if self.double else self.number - DOUBLES}"

    @property
    def level(self) -> int:
        """Patches of 2 x 2 become tokens, which halves the latent image once."""
        return 1


@cache
def _sites(numbers: tuple[int, ...], place: str) -> tuple[FluxSite, ...]:
    return tuple(FluxSite(layer, number, place) for layer, number in enumerate(numbers))


@dataclass(frozen=True)
class FluxLayout:
    """The sites of one kind of adapter."""

    name: str
    numbers: tuple[int, ...]
    """The blocks where it acts, in execution order."""
    place: str

    @property
    def sites(self) -> tuple[FluxSite, ...]:
        return _sites(self.numbers, self.place)

    @property
    def blocks(self) -> tuple[str, ...]:
        """The kind of each block: `double` or `single`."""
        return tuple(site.block for site in self.sites)

    def fits(self, adapter: Found, loaded: Found) -> bool:
        """Return whether an adapter fits: a network with fewer blocks counts them differently, so all are needed."""
        return adapter.widths.items() <= loaded.widths.items()


ALL = tuple(range(DOUBLES + SINGLES))
XLABS = FluxLayout("FLUX with XLabs' adapters", ALL[:DOUBLES], AFTER)
INSTANTX = FluxLayout("FLUX with InstantX's adapter", ALL, INSIDE)
PULID = FluxLayout("FLUX with PuLID", ALL[:DOUBLES:2] + ALL[DOUBLES::4], ACROSS)

LAYOUTS = (XLABS, INSTANTX, PULID)

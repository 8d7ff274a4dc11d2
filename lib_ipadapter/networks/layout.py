"""What the engine knows of any network: its sites, and the layers in which users count them.

Where a site's query comes from, and where its term is added, is the business of each network's own modules.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol


class Found(NamedTuple):
    """The sites of a network."""

    widths: Mapping[Any, int]
    """heads * dim of each site; empty for a network without any."""
    context_dim: int
    """Width of the text context; 0 where sites do not depend on it."""


NOTHING = Found({}, 0)


class Site(Protocol):
    """One place of a network where image tokens are attended. Sites are hashable, and ordered as in adapter files."""

    @property
    def key(self) -> str:
        """Name of its tensors in an adapter file: `ip_adapter.{key}.{layer name}.weight`."""
        ...

    @property
    def path(self) -> str:
        """Name of its module inside the network."""
        ...

    @property
    def layer(self) -> int:
        """Its layer in execution order, from 0: what users mean by "layer 6"."""
        ...

    @property
    def level(self) -> int:
        """How often the latent image has been halved there: its query positions are the pixels that remain."""
        ...

    def __lt__(self, other: Any, /) -> bool: ...


class Layout(Protocol):
    """The sites of one kind of adapter in one kind of network."""

    @property
    def name(self) -> str: ...

    @property
    def blocks(self) -> tuple[str, ...]:
        """The block of the network that each layer belongs to, such as `input`."""
        ...

    @property
    def sites(self) -> tuple[Any, ...]:
        """Its sites, in the order of the adapter files."""
        ...

    def fits(self, adapter: Found, loaded: Found) -> bool:
        """Return whether an adapter for these sites can run on a loaded network with those."""
        ...

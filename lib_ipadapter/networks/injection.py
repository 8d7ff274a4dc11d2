"""Injects image attention into a network through hooks, and ejects it: what is the same for every kind of network."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from ..base.boxes import Size
from ..base.errors import IPAdapterError
from .attention import Bank
from .layout import Site


@dataclass(frozen=True)
class DenoiserCall:
    """What the hooks need to know about one call of the denoiser: each row's kind, and the bank of each site."""

    row_kinds: tuple[int, ...]
    bank: Callable[[Any, int, Tensor, Size], Bank | None]
    """(site, heads, query, size of the latent image) -> bank in the query's dtype and on its device, if any."""
    rows_by_text: Callable[[Tensor], tuple[int, ...]] | None = None
    """(text conditioning of the network's rows) -> their kinds; raises `IPAdapterError` for unknown conditioning.

    None where the text does not show which picture a row belongs to."""
    expected_size: Size | None = None
    """Size that the latent image must have in the network, where units depend on it; None accepts any."""
    factors: tuple[float, ...] = ()
    """A multiplier for each active unit in this call; empty means 1."""


class SiteHooks(Protocol):
    """The hooks of one site."""

    @property
    def site(self) -> Site: ...

    def register(self) -> list[RemovableHandle]:
        """Add the hooks."""
        ...

    def begin(self) -> None:
        """Forget the last call of the network, which may have ended in the middle of this site."""
        ...

    def misses(self, call: DenoiserCall) -> bool:
        """Return whether the site has a bank and was called, but the bank was not used in this call of the network."""
        ...


class NetworkInjection:
    """The hooks on one network. Constructing it changes nothing; `eject` removes exactly what `inject` added.

    The hooks do nothing unless `call` is set, which the host adapter does during each call of the denoiser.
    """

    word: ClassVar[str] = "network"
    """What messages call the network."""

    def __init__(self, network: nn.Module) -> None:
        self.call: DenoiserCall | None = None
        self.row_kinds: tuple[int, ...] = ()
        self.size: Size = (0, 0)
        self._network = network
        self._begun: DenoiserCall | None = None
        self._missed: set[Site] = set()
        self._handles: list[RemovableHandle] = []

    @property
    def hooks(self) -> Collection[SiteHooks]:
        """The hooks of each site."""
        return ()

    def inject(self) -> None:
        if self._handles:
            return
        self._handles.append(self._network.register_forward_pre_hook(self._begin, with_kwargs=True))
        self._handles.append(self._network.register_forward_hook(self._finish))
        for site in self.hooks:
            self._handles += site.register()

    def eject(self) -> None:
        self.call = self._begun = None
        while self._handles:
            self._handles.pop().remove()

    @property
    def missed(self) -> tuple[Any, ...]:
        """Sites that were called but got no image attention although a unit is active there, in the files' order.

        Collected over all completed calls of the network.
        """
        return tuple(sorted(self._missed))

    def enter(self, path: str, hidden: Tensor) -> None:
        """Record the input of the attention at `path`, before other extensions may change its rows."""

    def leave(self, path: str, output: Tensor) -> Tensor:
        """Return its output, with the image attention added if it was not added inside; rows must match the input."""
        return output

    def _begin(self, _network: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Set the row kinds of this call of the network.

        They are repeated where the network gets several copies of the batch, as with tiles. Where it gets only some of
        the rows, as with AnimateDiff's context windows, their text conditioning identifies them.
        """
        self._begun = self.call
        if self.call is None:
            return
        for site in self.hooks:
            site.begin()
        rows, _, *size = (args[0] if args else kwargs["x"]).shape
        copies, rest = divmod(rows, len(self.call.row_kinds))
        row_kinds = self.call.row_kinds * copies
        if rest or not copies:
            if self.call.rows_by_text is None:
                raise rows_error(
                    f"{len(self.call.row_kinds)} rows, or whole copies of them, in the {self.word}", rows, self.word
                )
            row_kinds = self.call.rows_by_text(kwargs["context"] if "context" in kwargs else args[2])
        if self.call.expected_size not in (None, tuple(size)):
            raise _size_error(self.call.expected_size, size, self.word)
        self.row_kinds, self.size = row_kinds, (size[0], size[1])

    def _finish(self, _network: nn.Module, _args: Any, _output: Any) -> None:
        """Record sites that got no image attention in this call, because another extension bypassed the hooks."""
        if call := self._begun:  # the host may have reset `call` by now
            self._missed |= {hooks.site for hooks in self.hooks if hooks.misses(call)}


def rows_error(expected: str, rows: int, word: str) -> IPAdapterError:
    return IPAdapterError(
        f"expected {expected}, but got {rows}: another extension changes the batch inside the {word} in a "
        "way that hides which rows belong to the prompt. Switch off that extension or the IP-Adapter units."
    )


def _size_error(expected: Size | None, size: Sequence[int], word: str) -> IPAdapterError:
    return IPAdapterError(
        f"a unit with a region (mask, place or tiles), or with PuLID's method fidelity or style, needs the {word} to "
        f"get the whole latent image, {_sides(expected)}, but it got {_sides(size)}, as with tiled diffusion, and the "
        "position of such parts is unknown. Remove the region, choose the method neutral, or switch tiling off."
    )


def _sides(size: Sequence[int] | None) -> str:
    return " x ".join(map(str, size or ()))

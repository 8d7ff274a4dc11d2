"""Injects image attention into a U-Net, and ejects it, through hooks on its cross-attentions.

Two modules of each attn2 are hooked: the output of `to_q` is stored, and the image attention is added to the input of
`to_out[0]`, the text attention with merged heads. Every attention implementation of every web UI calls both modules.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from ..base.boxes import Size
from ..base.errors import IPAdapterError
from .attention import Bank, add_image_attention
from .unet_sites import Site


@dataclass(frozen=True)
class DenoiserCall:
    """What the hooks need to know about one call of the denoiser: each row's kind, and the bank of each site."""

    row_kinds: tuple[int, ...]
    bank: Callable[[Site, int, Tensor, Size], Bank | None]
    """(site, heads, query, size of the latent image) -> bank in the query's dtype and on its device, if any."""
    rows_by_text: Callable[[Tensor], tuple[int, ...]] | None = None
    """(text conditioning of the U-Net's rows) -> their kinds; raises `IPAdapterError` for unknown conditioning.

    None where the text does not show which picture a row belongs to."""
    expected_size: Size | None = None
    """Size that the latent image must have in the U-Net, where units depend on it; None accepts any."""
    factors: tuple[float, ...] = ()
    """A multiplier for each active unit in this call; empty means 1."""


class Injection:
    """The hooks on one U-Net. Constructing it changes nothing; `eject` removes exactly what `inject` added.

    The hooks do nothing unless `call` is set, which the host adapter does during each call of the denoiser.
    """

    def __init__(self, unet: nn.Module, attentions: Mapping[Site, nn.Module]) -> None:
        self.call: DenoiserCall | None = None
        self.row_kinds: tuple[int, ...] = ()
        self.size: Size = (0, 0)
        self._unet = unet
        self._sites = {site.path: _SiteHooks(self, site, attention) for site, attention in attentions.items()}
        self._begun: DenoiserCall | None = None
        self._missed: set[Site] = set()
        self._handles: list[RemovableHandle] = []

    def inject(self) -> None:
        if self._handles:
            return
        self._handles.append(self._unet.register_forward_pre_hook(self._begin, with_kwargs=True))
        self._handles.append(self._unet.register_forward_hook(self._finish))
        for site in self._sites.values():
            self._handles += site.register()

    def eject(self) -> None:
        self.call = self._begun = None
        while self._handles:
            self._handles.pop().remove()

    @property
    def missed(self) -> tuple[Site, ...]:
        """Sites that were called but got no image attention although a unit is active there, in the files' order.

        Collected over all completed calls of the U-Net.
        """
        return tuple(sorted(self._missed))

    def enter(self, path: str, hidden: Tensor) -> None:
        """Record the input of the cross-attention at `path`, before other extensions may change its rows."""
        if path in self._sites:
            self._sites[path].enter(hidden)

    def leave(self, path: str, output: Tensor) -> Tensor:
        """Return its output, with the image attention added if it was not added inside; rows must match the input."""
        return self._sites[path].leave(output) if path in self._sites else output

    def _begin(self, _unet: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Set the row kinds of this call of the U-Net.

        They are repeated where the U-Net gets several copies of the batch, as with tiles. Where it gets only some of
        the rows, as with AnimateDiff's context windows, their text conditioning identifies them.
        """
        self._begun = self.call
        if self.call is None:
            return
        for site in self._sites.values():
            site.begin()
        rows, _, *size = (args[0] if args else kwargs["x"]).shape
        copies, rest = divmod(rows, len(self.call.row_kinds))
        row_kinds = self.call.row_kinds * copies
        if rest or not copies:
            if self.call.rows_by_text is None:
                raise _rows_error(f"{len(self.call.row_kinds)} rows, or whole copies of them, in the U-Net", rows)
            row_kinds = self.call.rows_by_text(kwargs["context"] if "context" in kwargs else args[2])
        if self.call.expected_size not in (None, tuple(size)):
            raise _size_error(self.call.expected_size, size)
        self.row_kinds, self.size = row_kinds, (size[0], size[1])

    def _finish(self, _unet: nn.Module, _args: Any, _output: Any) -> None:
        """Record sites that got no image attention in this call, because another extension bypassed the hooks."""
        if call := self._begun:  # the host may have reset `call` by now
            self._missed |= {hooks.site for hooks in self._sites.values() if hooks.misses(call)}


class _SiteHooks:
    """The hooks of one site: store the query, add to the input of the output projection, and check that this happened.

    Another extension may split or widen the rows inside or around attn2, or replace attn2's forward, which may mix or
    drop parts of the projected output. The image attention is then computed from attn2's original input and added to
    its final output.
    """

    def __init__(self, injection: Injection, site: Site, attention: nn.Module) -> None:
        self.site = site
        self._injection = injection
        self._attention: Any = attention
        self._query: Tensor | None = None
        self._entered: Tensor | None = None
        self._called_with: tuple[torch.Size, torch.dtype, torch.device] | None = None
        self._served = False

    def register(self) -> list[RemovableHandle]:
        return [
            self._attention.register_forward_pre_hook(self._enter),
            self._attention.to_q.register_forward_hook(self._keep_query),
            self._attention.to_out[0].register_forward_pre_hook(self._add),
            self._attention.register_forward_hook(self._leave),
        ]

    def begin(self) -> None:
        """Forget the last call of the U-Net, which may have ended in the middle of this site."""
        self._query = self._entered = self._called_with = None
        self._served = False

    def misses(self, call: DenoiserCall) -> bool:
        """Return whether the site has a bank and was called, but the bank was not used in this call of the U-Net."""
        if self._served or self._called_with is None:
            return False
        shape, dtype, device = self._called_with
        return self._bank(call, torch.empty((0, *shape[1:]), dtype=dtype, device=device)) is not None

    def enter(self, hidden: Tensor) -> None:
        """Store the input for which image attention is still to be computed, if its rows are those of the call."""
        if self._injection.call is None:
            return
        if len(hidden) == len(self._injection.row_kinds):
            self._entered = hidden
            self._note_called(hidden)
        elif self._entered is None:
            raise _rows_error(f"{len(self._injection.row_kinds)} rows in {self.site.path}", len(hidden))

    def leave(self, output: Tensor) -> Tensor:
        """Return the output with the image attention added, unless that was done inside or the rows do not match."""
        entered, call = self._entered, self._injection.call
        if entered is None or call is None or len(output) != len(entered):
            return output
        self._entered = None
        image = self._image_term(entered, call)
        return output if image is None else output + image

    def _enter(self, _module: nn.Module, args: tuple[Tensor, ...]) -> None:
        self.enter(args[0])

    def _leave(self, _module: nn.Module, _args: Any, output: Tensor) -> Tensor:
        return self.leave(output)

    def _keep_query(self, _module: nn.Module, _args: Any, query: Tensor) -> None:
        self._query = query if self._injection.call else None
        if self._query is not None:
            self._note_called(query)

    def _note_called(self, like: Tensor) -> None:
        """Store the shape, dtype and device of the site's input, without its data."""
        self._called_with = like.shape, like.dtype, like.device

    def _add(self, _module: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
        query, self._query, call = self._query, None, self._injection.call
        attended, row_kinds = args[0], self._injection.row_kinds
        if call is None or query is None or query.shape != attended.shape or len(query) != len(row_kinds):
            return None
        if self._entered is not None and "forward" in vars(self._attention):
            return None
        self._entered = None
        self._served = True
        bank = self._bank(call, query)
        return (
            None if bank is None else (add_image_attention(attended, query, bank, row_kinds, call.factors), *args[1:])
        )

    def _image_term(self, hidden: Tensor, call: DenoiserCall) -> Tensor | None:
        self._served = True
        self._injection.call = None  # disables our own hooks during the calls below
        try:
            query = self._attention.to_q(hidden)
            bank = self._bank(call, query)
            if bank is None:
                return None
            if bank.beside:
                raise _replaced_error(self.site.path)
            nothing, row_kinds = query.new_zeros(query.shape), self._injection.row_kinds
            image = add_image_attention(nothing, query, bank, row_kinds, call.factors)
            # The output already includes the projection's bias, so it is subtracted here. Calling the module gives
            # the bias even where it is quantised or on another device.
            project = self._attention.to_out[0]
            return project(image) - project(image.new_zeros(1, 1, image.shape[-1]))
        finally:
            self._injection.call = call

    def _bank(self, call: DenoiserCall, query: Tensor) -> Bank | None:
        return call.bank(self.site, self._attention.heads, query, self._injection.size)


def _size_error(expected: Size | None, size: Sequence[int]) -> IPAdapterError:
    return IPAdapterError(
        "a unit with a region (mask, place or tiles), or with PuLID's method fidelity or style, needs the U-Net to get "
        f"the whole latent image, {_sides(expected)}, but it got {_sides(size)}, as with tiled diffusion, and the "
        "position of such parts is unknown. Remove the region, choose the method neutral, or switch tiling off."
    )


def _replaced_error(path: str) -> IPAdapterError:
    return IPAdapterError(
        f"PuLID's methods fidelity and style need the text attention of the whole picture, but another extension "
        f"replaces that of {path}, as regional prompts do. Choose the method neutral, or switch off that extension."
    )


def _sides(size: Sequence[int] | None) -> str:
    return " x ".join(map(str, size or ()))


def _rows_error(expected: str, rows: int) -> IPAdapterError:
    return IPAdapterError(
        f"expected {expected}, but got {rows}: another extension changes the batch inside the U-Net in a "
        "way that hides which rows belong to the prompt. Switch off that extension or the IP-Adapter units."
    )

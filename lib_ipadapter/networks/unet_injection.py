"""Injects image attention into a U-Net, and ejects it, through hooks on its cross-attentions.

Two modules of each attn2 are hooked: the output of `to_q` is stored, and the image attention is added to the input of
`to_out[0]`, the text attention with merged heads. Every attention implementation of every web UI calls both modules.
"""

from collections.abc import Collection, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from ..base.errors import IPAdapterError
from .attention import Bank, add_image_attention
from .injection import DenoiserCall, NetworkInjection, SiteHooks, rows_error
from .unet_sites import Site


class Injection(NetworkInjection):
    """The hooks on one U-Net."""

    word = "U-Net"

    def __init__(self, unet: nn.Module, attentions: Mapping[Site, nn.Module]) -> None:
        super().__init__(unet)
        self._sites = {site.path: _SiteHooks(self, site, attention) for site, attention in attentions.items()}

    @property
    def hooks(self) -> Collection[SiteHooks]:
        return self._sites.values()

    def enter(self, path: str, hidden: Tensor) -> None:
        """Record the input of the cross-attention at `path`, before other extensions may change its rows."""
        if path in self._sites:
            self._sites[path].enter(hidden)

    def leave(self, path: str, output: Tensor) -> Tensor:
        """Return its output, with the image attention added if it was not added inside; rows must match the input."""
        return self._sites[path].leave(output) if path in self._sites else output


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
            raise rows_error(f"{len(self._injection.row_kinds)} rows in {self.site.path}", len(hidden), Injection.word)

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


def _replaced_error(path: str) -> IPAdapterError:
    return IPAdapterError(
        f"PuLID's methods fidelity and style need the text attention of the whole picture, but another extension "
        f"replaces that of {path}, as regional prompts do. Choose the method neutral, or switch off that extension."
    )

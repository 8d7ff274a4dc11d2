"""Injects image attention into FLUX.1's transformer, and ejects it, through hooks on its blocks.

The names of the hooked modules come from the checkpoint, and all versions of the web UIs' code call them: the norm of
queries and keys, whose output is the query, and then the block itself, or the projection inside it.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Any

from torch import Tensor, cat, nn
from torch.nn import functional
from torch.utils.hooks import RemovableHandle

from ..base.errors import IPAdapterError
from .attention import Bank, add_cross_attention, add_image_attention
from .flux_modules import find_block
from .flux_sites import ACROSS, AFTER, HEAD_DIM, INSIDE, FluxSite
from .injection import DenoiserCall, NetworkInjection, SiteHooks, rows_error


class FluxInjection(NetworkInjection):
    """The hooks on one FLUX.1 network.

    The tokens of reference pictures, as with Kontext, come after those of the picture that is sampled; image attention
    is added to the latter alone.
    """

    word = "FLUX network"

    def __init__(self, network: nn.Module, sites: Collection[Any]) -> None:
        super().__init__(network)
        self.width: int = getattr(network, "hidden_size", 0)
        """Width of both streams, and of the attention inside a single block."""
        self.picture_tokens = 0
        """Number of tokens of all pictures in this call, as the latest double block has shown."""
        blocks = {site: find_block(network, site) for site in sorted(sites)}
        self._sites = [HOOKS[site.place, site.double](self, site, block) for site, block in blocks.items()]

    @property
    def hooks(self) -> Collection[SiteHooks]:
        return self._sites

    @property
    def target_tokens(self) -> int:
        """Number of tokens of the picture that is sampled."""
        height, width = self.size
        return ((height + 1) // 2) * ((width + 1) // 2)


class _SiteHooks:
    """The hooks of one site: store the query, and add the term where the adapter's kind adds it."""

    def __init__(self, injection: FluxInjection, site: FluxSite, block: Any) -> None:
        self.site = site
        self._injection = injection
        self._block = block
        self._query: Tensor | None = None

    def register(self) -> list[RemovableHandle]:
        raise NotImplementedError

    def begin(self) -> None:
        self._query = None

    def misses(self, call: DenoiserCall) -> bool:
        """Return False: a block without its query is an error at once."""
        return False

    def _keep_query(self, _module: nn.Module, _args: Any, output: tuple[Tensor, Tensor]) -> None:
        """Store the query (rows, heads, tokens, dim)."""
        if self._injection.call is None:
            return
        self._query = output[0]
        if self.site.double:
            self._injection.picture_tokens = self._query.shape[2]

    def _add(self, attended: Tensor) -> Tensor | None:
        """Return `attended` (rows, tokens, width) with the term added, or None outside of calls and without a unit.

        Text comes first, then the picture that is sampled, then others. Only the tokens up to the others are returned.
        """
        query, self._query, call = self._query, None, self._injection.call
        if call is None:
            return None
        if query is None:
            raise _no_query_error(self.site.path)
        row_kinds = self._injection.row_kinds
        text, target = self._text_and_target(len(query), query.shape[2])
        merged = query[:, :, : text + target].transpose(1, 2).flatten(2)  # (rows, tokens, heads * dim)
        bank = call.bank(self.site, query.shape[1], merged[:, text:], self._injection.size)
        if bank is None:
            return None
        bank = beginning_with(bank, text)
        return add_image_attention(attended[:, : text + target], merged, bank, row_kinds, call.factors)

    def _text_and_target(self, rows: int, tokens: int) -> tuple[int, int]:
        """Return the numbers of tokens of text and of the picture that is sampled; raises for unexpected input."""
        injection = self._injection
        if rows != len(injection.row_kinds):
            raise rows_error(f"{len(injection.row_kinds)} rows in {self.site.path}", rows, injection.word)
        text, target = tokens - injection.picture_tokens, injection.target_tokens
        if text < 0 or injection.picture_tokens < target:
            raise _tokens_error(self.site.path, target, injection.picture_tokens)
        return text, target


class _AfterDouble(_SiteHooks):
    """XLabs: added to the picture's stream after the whole block, without a gate."""

    def register(self) -> list[RemovableHandle]:
        return [
            self._block.img_attn.norm.register_forward_hook(self._keep_query),
            self._block.register_forward_hook(self._after),
        ]

    def _after(self, _module: nn.Module, _args: Any, output: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor] | None:
        picture, text = output
        added = self._add(picture)
        return None if added is None else (with_others(added, picture), text)


class _InsideDouble(_SiteHooks):
    """InstantX: added to the picture's attention before its projection, so that the block's gate applies."""

    def register(self) -> list[RemovableHandle]:
        return [
            self._block.img_attn.norm.register_forward_hook(self._keep_query),
            self._block.img_attn.proj.register_forward_pre_hook(self._before),
        ]

    def _before(self, _module: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
        added = self._add(args[0])
        return None if added is None else (with_others(added, args[0]), *args[1:])


class _InsideSingle(_SiteHooks):
    """InstantX: added to the attention of text and picture, which enters the last layer joined with the MLP."""

    def register(self) -> list[RemovableHandle]:
        return [
            self._block.norm.register_forward_hook(self._keep_query),
            self._block.linear2.register_forward_pre_hook(self._before),
        ]

    def _before(self, _module: nn.Module, args: tuple[Tensor, ...]) -> None:
        joined, width = args[0], self._injection.width
        added = self._add(joined[..., :width])
        if added is not None:
            joined[:, : added.shape[1], :width] = added  # the block has just made it, for this layer alone


class _Across(_SiteHooks):
    """PuLID: a cross-attention of the adapter's own, added to the picture's stream after the whole block."""

    def register(self) -> list[RemovableHandle]:
        return [self._block.register_forward_hook(self._after)]

    def _after(self, _module: nn.Module, _args: Any, output: Any) -> Any:
        raise NotImplementedError

    def _attend(self, stream: Tensor) -> Tensor | None:
        """Return a stream (rows, tokens, width) with the term added to the sampled picture's tokens, or None."""
        injection = self._injection
        if (call := injection.call) is None:
            return None
        text, target = self._text_and_target(len(stream), stream.shape[1])
        hidden = stream[:, text : text + target]
        bank = call.bank(self.site, injection.width // HEAD_DIM, hidden, injection.size)
        if bank is None:
            return None
        added = add_cross_attention(hidden, bank, injection.row_kinds, call.factors)
        return cat((stream[:, :text], added, stream[:, text + target :]), dim=1)


class _AcrossDouble(_Across):
    def _after(self, _module: nn.Module, _args: Any, output: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor] | None:
        picture, text = output
        self._injection.picture_tokens = picture.shape[1]
        added = self._attend(picture)
        return None if added is None else (added, text)


class _AcrossSingle(_Across):
    def _after(self, _module: nn.Module, _args: Any, output: Tensor) -> Tensor | None:
        return self._attend(output)


HOOKS: Mapping[tuple[str, bool], Callable[[FluxInjection, Any, Any], _SiteHooks]] = {
    (ACROSS, True): _AcrossDouble,
    (ACROSS, False): _AcrossSingle,
    (AFTER, True): _AfterDouble,
    (INSIDE, True): _InsideDouble,
    (INSIDE, False): _InsideSingle,
}
"""By where a term is added, and whether the block is a double one."""


def beginning_with(bank: Bank, text: int) -> Bank:
    """Return a bank whose regions begin with `text` positions that are outside of them all."""
    if not text or all(region is None for region in bank.regions):
        return bank
    regions = tuple(None if region is None else functional.pad(region, (text, 0)) for region in bank.regions)
    return replace(bank, regions=regions)


def with_others(added: Tensor, whole: Tensor) -> Tensor:
    """Return `added` followed by the tokens of `whole` that it lacks, which are those of reference pictures."""
    count = added.shape[1]
    return added if count == whole.shape[1] else cat((added, whole[:, count:]), dim=1)


def _no_query_error(path: str) -> IPAdapterError:
    return IPAdapterError(
        f"expected the norm of {path} to be called before its output is used, but it was not: this version of the web "
        "UI, or another extension, computes FLUX's attention in a way that this extension does not know. Switch that "
        "extension off, or the IP-Adapter units."
    )


def _tokens_error(path: str, target: int, found: int) -> IPAdapterError:
    return IPAdapterError(
        f"expected at least {target} tokens of the picture in {path}, but got {found}: another extension drops some. "
        "Switch off that extension or the IP-Adapter units."
    )

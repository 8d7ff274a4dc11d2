"""Inject image attention into a U-Net and eject it: the hooks on its cross-attentions.

The seam is two modules of each attn2: what `to_q` returns is kept, and what goes into `to_out[0]`, the text's attention
with merged heads, gets the image attention added. Every attention path of every web UI calls both modules.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from ..base.boxes import Size
from ..base.errors import IPAdapterError
from .attention import Bank, add_image_attention
from .unet_sites import Site


@dataclass(frozen=True)
class DenoiserCall:
    """What one call of the denoiser needs: the kind of each row, and the bank of any site, made to fit a query."""

    row_kinds: tuple[int, ...]
    bank: Callable[[Site, int, Tensor, Size], Bank | None]
    """(site, heads, query, size of the latent picture) -> bank in the query's dtype and on its device, if any."""
    rows_by_text: Callable[[Tensor], tuple[int, ...]] | None = None
    """(text that the U-Net's rows see) -> their kinds; raises `IPAdapterError` for text that it does not know.

    None where the text does not show which picture a row belongs to."""
    expected_size: Size | None = None
    """Size that the latent picture must have in the U-Net, where units act on regions; None where any is accepted."""
    factors: tuple[float, ...] = ()
    """What multiplies all that each active unit adds in this call; none are ones."""


class Injection:
    """The hooks on one U-Net. Constructing it changes nothing; `eject` takes off exactly what `inject` put on.

    The hooks do nothing until `call` is set, which the host adapter does for the length of one call of the denoiser.
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
        """The sites that were called while units act there and yet got no image attention, in the files' order.

        They are known after each whole call of the U-Net, and stay known until another `Injection` is made.
        """
        return tuple(sorted(self._missed))

    def enter(self, path: str, hidden: Tensor) -> None:
        """Note what goes towards the cross-attention at `path`, before other extensions may change its rows."""
        if path in self._sites:
            self._sites[path].enter(hidden)

    def leave(self, path: str, output: Tensor) -> Tensor:
        """Return what came from there, once the rows are as before, with the image attention if it was not added."""
        return self._sites[path].leave(output) if path in self._sites else output

    def _begin(self, _unet: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Repeat the row kinds where the denoiser's rows reach the U-Net as whole copies of the batch, as tiles do.

        Where only some of the rows come, as with AnimateDiff's windows of frames, their text shows what they are.
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
        """Note the sites that another extension kept from getting their image attention in this call of the U-Net."""
        if call := self._begun:  # the host may have taken `call` away by now
            self._missed |= {hooks.site for hooks in self._sites.values() if hooks.misses(call)}


class _SiteHooks:
    """The hooks of one site: keep the query, add to what enters the output projection, and check that it was done.

    Where another extension splits or widens the rows inside attn2 or around it, or has put a forward of its own in
    attn2's place, which may mix the output projection's results or leave out parts of them, what went in before that is
    kept, and the image attention is added to what comes out after it.
    """

    def __init__(self, injection: Injection, site: Site, attention: nn.Module) -> None:
        self.site = site
        self._injection = injection
        self._attention: Any = attention
        self._query: Tensor | None = None
        self._entered: Tensor | None = None
        self._called_with: Tensor | None = None
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
        """Return whether the site was called in this call of the U-Net, and a bank that it has was not used."""
        if self._served or self._called_with is None:
            return False
        return self._bank(call, self._called_with) is not None

    def enter(self, hidden: Tensor) -> None:
        """Keep what the image attention is still to be computed for, if its rows are those of the call."""
        if self._injection.call is None:
            return
        if len(hidden) == len(self._injection.row_kinds):
            self._entered = hidden
            self._note_called(hidden)
        elif self._entered is None:
            raise _rows_error(f"{len(self._injection.row_kinds)} rows in {self.site.path}", len(hidden))

    def leave(self, output: Tensor) -> Tensor:
        """Return the output with the image attention, if that was not added on the way and its rows are right."""
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
        """Keep the shape, dtype and device of what the site was called with, and no row of it."""
        self._called_with = like.new_empty(0, *like.shape[1:])

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
        self._injection.call = None  # our own hooks stay silent below
        try:
            query = self._attention.to_q(hidden)
            bank = self._bank(call, query)
            if bank is None:
                return None
            nothing, row_kinds = query.new_zeros(query.shape), self._injection.row_kinds
            image = add_image_attention(nothing, query, bank, row_kinds, call.factors)
            # the projection's bias is in the output already; asked of the module, for it may be quantised or elsewhere
            project = self._attention.to_out[0]
            return project(image) - project(image.new_zeros(1, 1, image.shape[-1]))
        finally:
            self._injection.call = call

    def _bank(self, call: DenoiserCall, query: Tensor) -> Bank | None:
        return call.bank(self.site, self._attention.heads, query, self._injection.size)


def _size_error(expected: Size | None, size: Sequence[int]) -> IPAdapterError:
    return IPAdapterError(
        f"expected a whole picture of {_sides(expected)} latent cells in the U-Net, for a unit has "
        f"a region of it (mask, place, tiles); parts of {_sides(size)} came, as tiled diffusion cuts them, and "
        "where they are is not known. Take the region away, or switch the tiling off."
    )


def _sides(size: Sequence[int] | None) -> str:
    return " x ".join(map(str, size or ()))


def _rows_error(expected: str, rows: int) -> IPAdapterError:
    return IPAdapterError(
        f"expected {expected}, but {rows} came: another extension changes the batch inside the U-Net in a "
        "way that hides which rows belong to the prompt. Switch that extension or the IP-Adapter units off."
    )

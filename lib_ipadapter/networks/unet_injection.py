"""Inject into a U-Net and eject from it: the only room that touches one.

The seam is two modules of each attn2: what `to_q` returns is kept, and what goes into `to_out[0]`, the text's attention
with merged heads, gets the image attention added. Every attention path of every web UI calls both modules. A LoRA is a
side path beside each linear layer.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.hooks import RemovableHandle

from ..base.boxes import Size
from ..base.errors import IPAdapterError
from .attention import Bank, add_image_attention
from .unet_sites import LAYOUTS, Site, sites


@dataclass(frozen=True)
class DenoiserCall:
    """What one call of the denoiser needs: the kind of each row, and the bank of any site, made to fit a query."""

    kinds: tuple[int, ...]
    bank: Callable[[Site, int, Tensor, Size], Bank | None]
    """(site, heads, query, size of the latent picture) -> bank in the query's dtype and on its device, if any."""
    told: Callable[[Tensor], tuple[int, ...]] | None = None
    """What the text of each of the U-Net's rows tells of its kind; raises `IPAdapterError` where it tells nothing."""
    whole: Size | None = None
    """Size that the latent picture must have in the U-Net, where units act on regions; None where any may come."""


def find_attentions(unet: nn.Module) -> dict[Site, nn.Module]:
    """Return the cross-attentions that a U-Net really has, by their site; empty for anything but SD and SDXL.

    The two layouts share the names of eight sites, and a pruned SDXL (SSD-1B) has only part of SDXL's; the layout of
    which the U-Net has more sites is the one it was made from.
    """
    found = [{site: module for site in sites(layout) if (module := _submodule(unet, site.path))} for layout in LAYOUTS]
    return max(found, key=len)


def _submodule(root: nn.Module, path: str) -> nn.Module | None:
    """Return the module at `path`, or None; a walk over all modules of a U-Net takes longer than all else here.

    A module that other extensions have put around one, such as what scales a block's pictures, is seen through.
    """
    module: Any = root
    for name in path.split("."):
        while name not in module._modules and len(module._modules) == 1:
            (module,) = module._modules.values()
        module = module._modules.get(name)
        if module is None:
            return None
    return module


def context_dim(attentions: Mapping[Site, Any]) -> int:
    """Return the width of the text context that a U-Net's cross-attentions take."""
    return _shape(next(iter(attentions.values())).to_k)[1]


def widths(attentions: Mapping[Site, Any]) -> dict[Site, int]:
    """Return the width, heads times dim, of each cross-attention."""
    return {site: _shape(attention.to_q)[0] for site, attention in attentions.items()}


def _shape(linear: Any) -> tuple[int, int]:
    """Return the widths of a linear layer's output and input.

    Forge's quantised layers have no `in_features`. In 4 bits the weight is packed, and its state knows the true shape;
    weights of GGUF files tell that themselves (backend/operations_bnb.py, operations_gguf.py).
    """
    if hasattr(linear, "in_features"):
        return linear.out_features, linear.in_features
    rows, columns = (getattr(linear.weight, "quant_state", None) or linear.weight).shape
    return rows, columns


class Injection:
    """The hooks on one U-Net. Constructing it changes nothing; `eject` takes off exactly what `inject` put on.

    The hooks do nothing until `call` is set, which the host's door does for the length of one call of the denoiser.
    """

    def __init__(self, unet: nn.Module, attentions: Mapping[Site, nn.Module]) -> None:
        self.call: DenoiserCall | None = None
        self.kinds: tuple[int, ...] = ()
        self.size: Size = (0, 0)
        self._unet = unet
        self._sites = {site.path: _SiteHooks(self, site, attention) for site, attention in attentions.items()}
        self._handles: list[RemovableHandle] = []

    def inject(self) -> None:
        if self._handles:
            return
        self._handles.append(self._unet.register_forward_pre_hook(self._see_rows, with_kwargs=True))
        for site in self._sites.values():
            self._handles += site.register()

    def eject(self) -> None:
        self.call = None
        while self._handles:
            self._handles.pop().remove()

    def enter(self, path: str, hidden: Tensor) -> None:
        """Take note of what goes towards the cross-attention at `path`, before others may change its rows."""
        if path in self._sites:
            self._sites[path].enter(hidden)

    def leave(self, path: str, output: Tensor) -> Tensor:
        """Return what came from there, once the rows are as before, with the image attention if it was not added."""
        return self._sites[path].leave(output) if path in self._sites else output

    def _see_rows(self, _unet: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Repeat the kinds where the denoiser's rows reach the U-Net as whole copies of the batch, as tiles do.

        Where some of the rows come, as with AnimateDiff's windows of frames, their text tells what they are.
        """
        if self.call is None:
            return
        rows, _, *size = (args[0] if args else kwargs["x"]).shape
        copies, rest = divmod(rows, len(self.call.kinds))
        kinds = self.call.kinds * copies
        if rest or not copies:
            if self.call.told is None:
                raise _rows_error(f"{len(self.call.kinds)} rows, or whole copies of them, in the U-Net", rows)
            kinds = self.call.told(kwargs["context"] if "context" in kwargs else args[2])
        if self.call.whole not in (None, tuple(size)):
            raise IPAdapterError(
                f"expected a whole picture of {_sides(self.call.whole)} latent cells in the U-Net, for a unit has "
                f"a region of it (mask, place, tiles); parts of {_sides(size)} came, as tiled diffusion cuts them, and "
                "nobody says where they are. Take the region away, or switch the tiling off."
            )
        self.kinds, self.size = kinds, (size[0], size[1])


class _SiteHooks:
    """The hooks of one site: keep the query, add to what enters the output projection, and see that it was done.

    Where another extension splits or widens the rows inside attn2 or around it, or has put a forward of its own in
    attn2's place, which may mix the output projection's results or leave out parts of them, what went in before that is
    kept, and the image attention is added to what comes out after it.
    """

    def __init__(self, injection: Injection, site: Site, attention: nn.Module) -> None:
        self._injection = injection
        self._site = site
        self._attention: Any = attention
        self._query: Tensor | None = None
        self._entered: Tensor | None = None

    def register(self) -> list[RemovableHandle]:
        return [
            self._attention.register_forward_pre_hook(self._enter),
            self._attention.to_q.register_forward_hook(self._keep_query),
            self._attention.to_out[0].register_forward_pre_hook(self._add),
            self._attention.register_forward_hook(self._leave),
        ]

    def enter(self, hidden: Tensor) -> None:
        """Keep what the image attention is still to be computed for, if its rows are those of the call."""
        if self._injection.call is None:
            return
        if len(hidden) == len(self._injection.kinds):
            self._entered = hidden
        elif self._entered is None:
            raise _rows_error(f"{len(self._injection.kinds)} rows in {self._site.path}", len(hidden))

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

    def _add(self, _module: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
        query, self._query, call = self._query, None, self._injection.call
        attended, kinds = args[0], self._injection.kinds
        if call is None or query is None or query.shape != attended.shape or len(query) != len(kinds):
            return None
        if self._entered is not None and "forward" in vars(self._attention):
            return None
        self._entered = None
        bank = self._bank(call, query)
        return None if bank is None else (add_image_attention(attended, query, bank, kinds), *args[1:])

    def _image_term(self, hidden: Tensor, call: DenoiserCall) -> Tensor | None:
        self._injection.call = None  # our own hooks stay silent below
        try:
            query = self._attention.to_q(hidden)
            bank = self._bank(call, query)
            if bank is None:
                return None
            image = add_image_attention(query.new_zeros(query.shape), query, bank, self._injection.kinds)
            # the projection's bias is in the output already; asked of the module, for it may be quantised or elsewhere
            project = self._attention.to_out[0]
            return project(image) - project(image.new_zeros(1, 1, image.shape[-1]))
        finally:
            self._injection.call = call

    def _bank(self, call: DenoiserCall, query: Tensor) -> Bank | None:
        return call.bank(self._site, self._attention.heads, query, self._injection.size)


Linears = Mapping[str, tuple[Tensor, Tensor]]
"""A LoRA's down (rank, entering) and up (leaving, rank), by the path of the linear layer that it stands beside."""


class LoraHooks:
    """LoRAs beside the linear layers of one U-Net: to what a layer returns for x, `strength * up(down(x))` is added.

    No weight is touched, so that nothing has to be put back, whatever their dtype is and whoever moves them. Inject
    before what needs the layers' results. They do nothing but with `strengths`, one for each LoRA.
    """

    def __init__(self, unet: nn.Module, loras: Sequence[Linears]) -> None:
        self.strengths: Sequence[float] = ()
        self._unet = unet
        self._loras = loras
        self._ready: dict[tuple[int, str, torch.device, torch.dtype], tuple[Tensor, Tensor]] = {}
        self._handles: list[RemovableHandle] = []

    def inject(self) -> None:
        if self._handles:
            return
        for path in sorted({path for lora in self._loras for path in lora}):
            if layer := _submodule(self._unet, path):  # pruned U-Nets lack some
                self._handles.append(layer.register_forward_hook(partial(self._add, path)))

    def eject(self) -> None:
        self.strengths = ()
        self._ready.clear()
        while self._handles:
            self._handles.pop().remove()

    def _add(self, path: str, _module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> Tensor:
        entering = args[0].to(output.dtype)
        for i, strength in enumerate(self.strengths):
            if strength and path in self._loras[i]:
                down, up = self._on(i, path, output)
                output = output + functional.linear(functional.linear(entering, down) * strength, up)
        return output

    def _on(self, i: int, path: str, output: Tensor) -> tuple[Tensor, Tensor]:
        """Return a layer's down and up as `output` is; they are there for one pass."""
        key = (i, path, output.device, output.dtype)
        if key not in self._ready:
            down, up = self._loras[i][path]
            self._ready[key] = down.to(output), up.to(output)
        return self._ready[key]


def _sides(size: Sequence[int] | None) -> str:
    return " x ".join(map(str, size or ()))


def _rows_error(expected: str, rows: int) -> IPAdapterError:
    return IPAdapterError(
        f"expected {expected}, but {rows} came: another extension changes the batch inside the U-Net in a "
        "way that hides which rows belong to the prompt. Switch that extension or the IP-Adapter units off."
    )

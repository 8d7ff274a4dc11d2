"""One pass of sampling: inject the units, say before each call of the denoiser what its rows are, eject."""

import logging
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from ..base.boxes import Size
from ..base.errors import IPAdapterError
from ..networks.attention import Bank, make_bank
from ..networks.lora_hooks import LoraHooks
from ..networks.unet_injection import DenoiserCall, Injection
from ..networks.unet_modules import find_attentions
from ..networks.unet_sites import Site
from ..port import PassInfo, Row, RowsOf
from ..weights.loras import Lora
from .active_unit import ActiveUnit, period_of, row_kind
from .compatibility import loaded_network, mismatch
from .prepare import PreparedUnit

log = logging.getLogger(__name__)

VALUES_ONLY = "V only"
"""The scaling whose weight may be applied to what is added; the others change keys, too, and so the softmax."""


class SamplingRun:
    """One pass of sampling with some units. Inject it, begin and end each call of the denoiser, eject it."""

    def __init__(self, prepared: Sequence[PreparedUnit], info: PassInfo) -> None:
        every = [ActiveUnit(each, info) for each in prepared]
        self._units = [unit for unit in every if unit.acts]
        self._asked = [unit for unit in every if info.feeds_controlnet and unit.prepared.adapter.recognised.controlnet]
        self._active: list[ActiveUnit] = []
        """Those of the units that fit the network that samples."""
        self._period = 1
        self._unet: nn.Module | None = None
        self._injection: Injection | None = None
        self._loras: LoraHooks | None = None
        self._rows: Sequence[Row] = ()
        self._in_banks: tuple[float, ...] = ()
        """The factor of each active unit that is in the banks; 0 where the unit is not in them."""
        self._banks: dict[tuple[Site, torch.device, torch.dtype, Size, int], Bank | None] = {}
        self._to_act = self._acted = False

    @property
    def unfolds(self) -> bool:
        """Whether a reference acts on one picture of a batch and not on another."""
        return self._period > 1

    @property
    def acts(self) -> bool:
        """Whether any unit does anything in this pass."""
        return bool(self._units or self._asked)

    @property
    def feeds_controlnet(self) -> bool:
        """Whether ControlNets see image tokens of any unit in this pass."""
        return bool(self._asked)

    @property
    def bypassed(self) -> bool:
        """Whether the U-Net was called while units were to act, and some cross-attention that has units got nothing."""
        missed = self._injection is not None and bool(self._injection.missed)
        return self._to_act and (missed or not self._acted)

    @property
    def bytes(self) -> int:
        """Bytes of image keys and values on the device."""
        return sum(bank.bytes for bank in self._banks.values() if bank)

    def inject(self, unet: nn.Module) -> None:
        """Act on `unet` from now on; after a switch to another one, with those units only that fit it."""
        if unet is self._unet:
            return
        self.eject()
        network = loaded_network(unet)
        reasons = [mismatch(unit.prepared.adapter, network) for unit in self._units]
        for reason in filter(None, reasons):
            log.warning("IP-Adapter: %s The unit rests while this checkpoint is at work.", reason)
        self._active = [unit for unit, reason in zip(self._units, reasons, strict=True) if not reason]
        self._period = period_of(self._active)
        self._unet, self._injection = unet, Injection(unet, find_attentions(unet))
        self._loras = LoraHooks(unet, [lora.layers for lora in strengths_of(self._active)])
        self._loras.inject()  # first, for the query that the other hooks keep has the LoRA in it
        self._injection.inject()

    def eject(self) -> None:
        """Leave the U-Net as it was; harmless when nothing is injected."""
        if self._injection:
            self._injection.eject()
        if self._loras:
            self._loras.eject()
        self._unet = self._injection = self._loras = None
        self._banks.clear()

    def begin_call(self, rows: Sequence[Row], progress: float, size: Size, text_rows: RowsOf | None = None) -> None:
        """Act on the next call of the denoiser, with these rows, at this fraction 0..1 of the steps.

        `size` is that of the whole latent picture, of which the U-Net may get parts. `text_rows` returns the rows whose
        text is given, where the U-Net gets some of them; which picture they belong to is not always known.
        """
        self._rows = rows
        factors = [unit.factor(progress) for unit in self._active]
        now = tuple(in_bank(unit, factor) for unit, factor in zip(self._active, factors, strict=True))
        if now != self._in_banks:
            self._banks.clear()
            self._in_banks = now
        at_work = [unit for unit, factor in zip(self._active, factors, strict=True) if factor]
        if self._injection and at_work:
            by_text = None if text_rows is None or self._period > 1 else lambda text: self._row_kinds(text_rows(text))
            whole = size if any(unit.regional for unit in at_work) else None
            rest = tuple(factor / own if own else 0.0 for factor, own in zip(factors, now, strict=True))
            self._injection.call = DenoiserCall(self._row_kinds(rows), self._bank, by_text, whole, rest)
            self._to_act = True
        if self._loras:
            strengths = strengths_of(at_work)
            self._loras.strengths = [strengths.get(lora, 0.0) for lora in strengths_of(self._active)]

    def end_call(self) -> None:
        """Do nothing until the next call begins."""
        self._rows = ()
        if self._injection:
            self._injection.call = None
        if self._loras:
            self._loras.strengths = ()

    def face_tokens(self, number: int, rows: int) -> Tensor:
        """Return the image tokens that a ControlNet sees in the place of the text in each row of the current call.

        The first ControlNet, `number` 0, sees those of the first unit that has one, and so on; further ones see the
        last unit's. (rows, tokens, context dim)
        """
        copies, rest = divmod(rows, len(self._rows) or 1)
        if rest or not self._rows or not self._asked:
            raise IPAdapterError(
                f"InstantID's ControlNet was called with {rows} rows, where {len(self._rows)} or whole copies of them "
                "were expected: another extension changes the batch. Switch that extension or the ControlNet off."
            )
        unit = self._asked[min(number, len(self._asked) - 1)]
        kinds = [row_kind(row.role, row.picture, unit.pictures) for row in self._rows]
        return unit.face_tokens[kinds * copies]

    def enter(self, path: str, hidden: Tensor) -> None:
        """See what goes towards the cross-attention at `path` of the U-Net, before others may change its rows."""
        if self._injection:
            self._injection.enter(path, hidden)

    def leave(self, path: str, output: Tensor) -> Tensor:
        """Return what came from there, with the image attention where others kept it from being added inside."""
        return self._injection.leave(path, output) if self._injection else output

    def _row_kinds(self, rows: Sequence[Row]) -> tuple[int, ...]:
        return tuple(row_kind(row.role, row.picture, self._period) for row in rows)

    def _bank(self, site: Site, heads: int, query: Tensor, size: Size) -> Bank | None:
        """Return the bank of a site, or None where no unit does anything there; it is made once a pass."""
        self._acted = True
        queries = query.shape[1]
        key = (site, query.device, query.dtype, size, queries)
        if key not in self._banks:
            terms = [
                replace(term, unit=place)
                for place, (unit, factor) in enumerate(zip(self._active, self._in_banks, strict=True))
                if factor
                for term in unit.terms(site, factor, self._period, size, queries)
            ]
            self._banks[key] = make_bank(terms, heads, query) if terms else None
        return self._banks[key]


def in_bank(unit: ActiveUnit, factor: float) -> float:
    """Return what multiplies a unit's weight in its banks: along a curve 1, where the rest can be applied outside."""
    return factor if not factor or unit.prepared.unit.scaling != VALUES_ONLY else 1.0


def strengths_of(units: Sequence[ActiveUnit]) -> dict[Lora, float]:
    """Return the units' LoRAs with their strengths; one that several units bring counts once, at the largest."""
    strengths: dict[Lora, float] = {}
    for unit in units:
        if unit.lora:
            strengths[unit.lora] = max(strengths.get(unit.lora, 0.0), unit.prepared.unit.lora_weight, key=abs)
    return strengths

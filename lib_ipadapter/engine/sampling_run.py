"""One pass of sampling: inject the units, describe the rows of each call of the denoiser, and eject."""

import logging
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from ..base.boxes import Size
from ..base.errors import IPAdapterError
from ..networks.attention import Bank, make_bank
from ..networks.injection import DenoiserCall, NetworkInjection
from ..networks.kinds import injection_of
from ..networks.layout import Site
from ..networks.lora_hooks import LoraHooks
from ..port import PassInfo, Row, RowsOf
from ..weights.loras import Lora
from .active_unit import ActiveUnit, period_of, row_kind
from .compatibility import loaded_network, mismatch
from .prepare import PreparedUnit

log = logging.getLogger(__name__)

VALUES_ONLY = "V only"
"""The scaling whose weight can be applied to the result; the others also scale keys, which changes the softmax."""


class SamplingRun:
    """One pass of sampling: inject it, call `begin_call` and `end_call` around each call of the denoiser, eject it."""

    def __init__(self, prepared: Sequence[PreparedUnit], info: PassInfo) -> None:
        every = [ActiveUnit(each, info) for each in prepared]
        self._units = [unit for unit in every if unit.acts]
        self._asked = [unit for unit in every if info.feeds_controlnet and unit.prepared.adapter.recognised.controlnet]
        self._active: list[ActiveUnit] = []
        """Units that fit the network that is sampling."""
        self._period = 1
        self._unet: nn.Module | None = None
        self._injection: NetworkInjection | None = None
        self._loras: LoraHooks | None = None
        self._rows: Sequence[Row] = ()
        self._in_banks: tuple[float, ...] = ()
        """The factor that the banks include for each active unit; 0 where the unit is not in them."""
        self._banks: dict[tuple[Site, torch.device, torch.dtype, Size, int], Bank | None] = {}
        self._expected = self._reached = False

    @property
    def unfolds(self) -> bool:
        """Whether the pictures of a batch have different references."""
        return self._period > 1

    @property
    def acts(self) -> bool:
        """Whether any unit is active in this pass."""
        return bool(self._units or self._asked)

    @property
    def feeds_controlnet(self) -> bool:
        """Whether InstantID's ControlNet gets image tokens from any unit in this pass."""
        return bool(self._asked)

    @property
    def bypassed(self) -> bool:
        """Whether a call of the U-Net with active units left a cross-attention without its image attention."""
        missed = self._injection is not None and bool(self._injection.missed)
        return self._expected and (missed or not self._reached)

    @property
    def bytes(self) -> int:
        """Bytes of image keys and values on the device."""
        return sum(bank.bytes for bank in self._banks.values() if bank)

    def inject(self, unet: nn.Module) -> None:
        """Inject into `unet`, ejecting an earlier one, as after a refiner switch, with only those units that fit."""
        if unet is self._unet:
            return
        self.eject()
        network = loaded_network(unet)
        reasons = [mismatch(unit.prepared.adapter, network) for unit in self._units]
        for reason in filter(None, reasons):
            log.warning("IP-Adapter: %s The unit is off while this checkpoint is sampling.", reason)
        self._active = [unit for unit, reason in zip(self._units, reasons, strict=True) if not reason]
        self._period = period_of(self._active)
        sites = {site for unit in self._active for site in unit.prepared.layout.sites}
        self._unet, self._injection = unet, injection_of(unet, sites)
        self._loras = LoraHooks(unet, [lora.layers for lora in strengths_of(self._active)])
        self._loras.inject()  # first, because the query that the other hooks store must include the LoRA
        self._injection.inject()

    def eject(self) -> None:
        """Restore the U-Net; does nothing when nothing is injected."""
        if self._injection:
            self._injection.eject()
        if self._loras:
            self._loras.eject()
        self._unet = self._injection = self._loras = None
        self._banks.clear()

    def begin_call(self, rows: Sequence[Row], progress: float, size: Size, text_rows: RowsOf | None = None) -> None:
        """Activate the units for the next call of the denoiser, with these rows, at this fraction 0..1 of the steps.

        `size` is the size of the whole latent image, of which the U-Net may get parts. `text_rows` identifies rows by
        their text conditioning, for a U-Net that gets only some of them; it may not tell pictures of a batch apart.
        """
        self._rows = rows
        factors = [unit.factor(progress) for unit in self._active]
        now = tuple(in_bank(unit, factor) for unit, factor in zip(self._active, factors, strict=True))
        if now != self._in_banks:
            self._banks.clear()
            self._in_banks = now
        running = [unit for unit, factor in zip(self._active, factors, strict=True) if factor]
        if self._injection and running:
            by_text = None if text_rows is None or self._period > 1 else lambda text: self._row_kinds(text_rows(text))
            whole = size if any(unit.regional or unit.method for unit in running) else None
            rest = tuple(factor / own if own else 0.0 for factor, own in zip(factors, now, strict=True))
            self._injection.call = DenoiserCall(self._row_kinds(rows), self._bank, by_text, whole, rest)
            self._expected = True
        if self._loras:
            strengths = strengths_of(running)
            self._loras.strengths = [strengths.get(lora, 0.0) for lora in strengths_of(self._active)]

    def end_call(self) -> None:
        """Deactivate the units until the next call."""
        self._rows = ()
        if self._injection:
            self._injection.call = None
        if self._loras:
            self._loras.strengths = ()

    def face_tokens(self, number: int, rows: int) -> Tensor:
        """Return the image tokens for a ControlNet, in place of the text: (rows, tokens, context dim).

        The first ControlNet, `number` 0, gets those of the first unit that feeds one, and so on; any further ones get
        those of the last unit.
        """
        copies, rest = divmod(rows, len(self._rows) or 1)
        if rest or not self._rows or not self._asked:
            raise IPAdapterError(
                f"InstantID's ControlNet was called with {rows} rows, but {len(self._rows)} or a multiple were "
                "expected: another extension changes the batch. Switch off that extension or the ControlNet."
            )
        unit = self._asked[min(number, len(self._asked) - 1)]
        kinds = [row_kind(row.role, row.picture, unit.pictures) for row in self._rows]
        return unit.face_tokens[kinds * copies]

    def enter(self, path: str, hidden: Tensor) -> None:
        """Record the input of the U-Net's cross-attention at `path`, before other extensions may change its rows."""
        if self._injection:
            self._injection.enter(path, hidden)

    def leave(self, path: str, output: Tensor) -> Tensor:
        """Return its output, with the image attention added if another extension prevented that inside."""
        return self._injection.leave(path, output) if self._injection else output

    def _row_kinds(self, rows: Sequence[Row]) -> tuple[int, ...]:
        return tuple(row_kind(row.role, row.picture, self._period) for row in rows)

    def _bank(self, site: Site, heads: int, query: Tensor, size: Size) -> Bank | None:
        """Return the bank of a site, or None where no unit is active there; it is computed once per pass."""
        self._reached = True
        queries = query.shape[1]
        key = (site, query.device, query.dtype, size, queries)
        if key not in self._banks:
            terms = [
                replace(term, unit=index)
                for index, (unit, factor) in enumerate(zip(self._active, self._in_banks, strict=True))
                if factor
                for term in unit.terms(site, factor, self._period, size, queries)
            ]
            self._banks[key] = make_bank(terms, heads, query) if terms else None
        return self._banks[key]


def in_bank(unit: ActiveUnit, factor: float) -> float:
    """Return the factor to include in a unit's banks: 1 where the curve's factor can be applied to the result."""
    return factor if not factor or unit.prepared.unit.scaling != VALUES_ONLY else 1.0


def strengths_of(units: Sequence[ActiveUnit]) -> dict[Lora, float]:
    """Return the units' LoRAs with their strengths; one shared by several units counts once, at the largest."""
    strengths: dict[Lora, float] = {}
    for unit in units:
        if unit.lora:
            strengths[unit.lora] = max(strengths.get(unit.lora, 0.0), unit.prepared.unit.lora_weight, key=abs)
    return strengths

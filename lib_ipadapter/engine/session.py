"""One generation: units in, adapters injected before sampling, ejected after it. All run state is here."""

import logging
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..base.boxes import Size
from ..base.errors import IPAdapterError
from ..files.reference_store import ReferenceStore
from ..networks.attention import Bank, make_bank
from ..networks.lora_hooks import LoraHooks
from ..networks.unet_injection import DenoiserCall, Injection
from ..networks.unet_modules import find_attentions
from ..networks.unet_sites import Site
from ..port import Host, PassInfo, Row, RowsOf
from ..unit.infotext import describe, unit_key, without_units
from ..unit.presets import Presets
from ..unit.unit import read_units
from ..weights.loras import Lora
from .active_unit import ActiveUnit, kind_of, period_of
from .prepare import Preparation, PreparedUnit, reason_against

log = logging.getLogger(__name__)


class Session:
    """What the script's methods do, for any host. It lives as long as the web UI; generations share its files."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.preparation = Preparation(host)
        self.references = ReferenceStore(host.reference_store)
        self.presets = Presets(lambda: host.folders().presets)

    def feeds_controlnet(self, args: Iterable[Any]) -> bool:
        """Return whether any unit's adapter comes with a ControlNet that sees its image tokens.

        Units that cannot be read feed none; what is wrong with them is told when the generation begins.
        """
        try:
            units = read_units(list(args)).values()
            adapters = [self.preparation.files.adapter(unit.model).as_variant(unit.variant) for unit in units]
        except IPAdapterError:
            return False
        return any(adapter.recognised.controlnet for adapter in adapters)

    def before_generation(self, p: Any, args: Iterable[Any]) -> None:
        """Read and encode early, so that a unit that cannot run stops the generation before it costs anything."""
        started, encoded = time.perf_counter(), self.preparation.encoding_seconds
        prepared = self._prepare(p, args)
        if prepared:
            with self.host.stop_on_error(p):
                names = {each.adapter.path.name for each in prepared.values()}
                self.host.check_other_extensions(p, names, [each.unit for each in prepared.values()])
                self.host.expect_passes(p)
            encoding = self.preparation.encoding_seconds - encoded
            log.info("IP-Adapter: %s", costs(prepared.values(), encoding, time.perf_counter() - started - encoding))
        described = {
            unit_key(number): describe(each.unit, each.adapter.path.name, each.digests)
            for number, each in prepared.items()
        }
        for file in {file.digest: file for each in prepared.values() for file in each.own_files}.values():
            self.references.keep(file)
        # a new mapping, for the copies of `p` that are the cells of a plot share the old one
        p.extra_generation_params = without_units(p.extra_generation_params) | described

    def before_sampling(self, p: Any, args: Iterable[Any]) -> None:
        """Let the units act on the pass of sampling that is about to begin. It needs no earlier call for this `p`."""
        prepared = self._prepare(p, args)
        if not prepared:
            return
        run = SamplingRun(list(prepared.values()), self.host.pass_info(p))
        self.host.while_sampling(p, run if run.acts else None)
        if run.acts:
            for number, each in prepared.items():
                log.debug("%s: %s", unit_key(number), describe(each.unit, each.adapter.path.name, each.digests))

    def _prepare(self, p: Any, args: Iterable[Any]) -> Mapping[int, PreparedUnit]:
        prepared: dict[int, PreparedUnit] = {}
        with self.host.stop_on_error(p):
            for number, unit in read_units(list(args)).items():
                with self.host.stop_on_error(p, number):
                    prepared[number] = self.preparation.prepare(unit, self.host.sampling_unet(p))
        return prepared


def costs(prepared: Collection[PreparedUnit], encoding: float, rest: float) -> str:
    """Return what the units of a generation are in numbers, and the seconds they took, in a line for the log."""
    tokens = sum(each.keys_values.tokens * (each.plan.images.sets + each.plan.compositions.sets) for each in prepared)
    size = sum(each.keys_values.bytes for each in prepared)
    return (
        f"{len(prepared)} unit{'s' * (len(prepared) > 1)}, {tokens} image tokens, encoded in {encoding * 1e3:.0f} ms, "
        f"keys and values in {rest * 1e3:.0f} ms, {size / 1e6:.1f} MB"
    )


class SamplingRun:
    """One pass of sampling with some units. Inject it, arm it for each call of the denoiser, eject it."""

    def __init__(self, prepared: Sequence[PreparedUnit], facts: PassInfo) -> None:
        acting = [ActiveUnit(each, facts) for each in prepared]
        self._units = [unit for unit in acting if unit.acts]
        self._asked = [
            unit for unit in acting if facts.feeds_controlnet and unit.prepared.adapter.recognised.controlnet
        ]
        self._rows: Sequence[Row] = ()
        self._acting: list[ActiveUnit] = []
        self._period = 1
        self._unet: nn.Module | None = None
        self._injection: Injection | None = None
        self._side: LoraHooks | None = None
        self._factors: tuple[float, ...] = ()
        self._to_act = self._acted = False
        self._banks: dict[tuple[Site, torch.device, torch.dtype, Size, int], Bank | None] = {}

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

    def inject(self, unet: nn.Module) -> None:
        """Act on `unet` from now on; after a switch to another one, with those units only that fit it."""
        if unet is self._unet:
            return
        self.eject()
        reasons = [reason_against(unit.prepared.adapter, unet) for unit in self._units]
        for reason in filter(None, reasons):
            log.warning("IP-Adapter: %s The unit rests while this checkpoint is at work.", reason)
        self._acting = [unit for unit, reason in zip(self._units, reasons, strict=True) if not reason]
        self._period = period_of(self._acting)
        self._unet, self._injection = unet, Injection(unet, find_attentions(unet))
        self._side = LoraHooks(unet, [lora.layers for lora in self._loras(self._acting)])
        self._side.inject()  # first, for the query that the other hooks keep has the LoRA in it
        self._injection.inject()

    def eject(self) -> None:
        """Leave the U-Net as it was; harmless when nothing is injected."""
        if self._injection:
            self._injection.eject()
        if self._side:
            self._side.eject()
        self._unet = self._injection = self._side = None
        self._banks.clear()

    def begin_call(self, rows: Sequence[Row], progress: float, size: Size, text_rows: RowsOf | None = None) -> None:
        """Act on the next call of the denoiser, with these rows, at this fraction 0..1 of the steps.

        `size` is that of the whole latent picture, of which the U-Net may get parts. `text_rows` returns the rows whose
        text is given, where the U-Net gets some of them; which picture they are of it cannot always tell.
        """
        self._rows = rows
        factors = tuple(unit.factor(progress) for unit in self._acting)
        if factors != self._factors:
            self._banks.clear()
            self._factors = factors
        if self._injection and any(factors):
            by_text = None if text_rows is None or self._period > 1 else lambda text: self._kinds(text_rows(text))
            regional = any(unit.regional for unit, factor in zip(self._acting, factors, strict=True) if factor)
            self._injection.call = DenoiserCall(self._kinds(rows), self._bank, by_text, size if regional else None)
            self._to_act = True
        if self._side:
            at_work = [unit for unit, factor in zip(self._acting, factors, strict=True) if factor]
            strengths = self._loras(at_work)
            self._side.strengths = [strengths.get(lora, 0.0) for lora in self._loras(self._acting)]

    def _kinds(self, rows: Sequence[Row]) -> tuple[int, ...]:
        return tuple(kind_of(row.role, row.picture, self._period) for row in rows)

    def end_call(self) -> None:
        """Do nothing until armed again."""
        self._rows = ()
        if self._injection:
            self._injection.call = None
        if self._side:
            self._side.strengths = ()

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
        kinds = [kind_of(row.role, row.picture, unit.pictures) for row in self._rows]
        return unit.contexts[kinds * copies]

    @staticmethod
    def _loras(units: Sequence[ActiveUnit]) -> dict[Lora, float]:
        """Return the units' LoRAs with their strengths; one that several units bring counts once, at the largest."""
        strengths: dict[Lora, float] = {}
        for unit in units:
            if unit.lora:
                strengths[unit.lora] = max(strengths.get(unit.lora, 0.0), unit.prepared.unit.lora_weight, key=abs)
        return strengths

    def enter(self, path: str, hidden: Tensor) -> None:
        """See what goes towards the cross-attention at `path` of the U-Net, before others may change its rows."""
        if self._injection:
            self._injection.enter(path, hidden)

    def leave(self, path: str, output: Tensor) -> Tensor:
        """Return what came from there, with the image attention where others kept it from being added inside."""
        return self._injection.leave(path, output) if self._injection else output

    @property
    def bypassed(self) -> bool:
        """Whether the U-Net was called while units were to act, and some cross-attention that has units got nothing."""
        missed = self._injection is not None and bool(self._injection.missed)
        return self._to_act and (missed or not self._acted)

    @property
    def bytes(self) -> int:
        """Bytes of image keys and values on the device."""
        return sum(bank.bytes for bank in self._banks.values() if bank)

    def _bank(self, site: Site, heads: int, query: Tensor, size: Size) -> Bank | None:
        """Return the bank of a site, or None where no unit does anything there."""
        self._acted = True
        queries = query.shape[1]
        key = (site, query.device, query.dtype, size, queries)
        if key not in self._banks:
            terms = [
                term
                for unit, factor in zip(self._acting, self._factors, strict=True)
                for term in unit.terms(site, factor, self._period, size, queries)
            ]
            self._banks[key] = make_bank(terms, heads, query) if terms else None
        return self._banks[key]

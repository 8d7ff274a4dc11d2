"""One generation: units in, adapters injected before sampling, ejected after it. All run state is here."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from .adapter import Call, Injection, find_attentions
from .attention import Bank, make_bank
from .hosts.host import Host
from .infotext import parameters
from .preparation import Preparation, Prepared, reason_against
from .schedule import weight_at
from .unet_map import Site
from .units import read_units

log = logging.getLogger(__name__)


class Session:
    """What the script's methods do, for any host. It lives as long as the web UI; generations share its files."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.preparation = Preparation(host)

    def before_generation(self, p: Any, args: Iterable[Any]) -> None:
        """Read and encode early, so that a unit that cannot run stops the generation before it costs anything."""
        p.extra_generation_params.update(parameters(self._prepare(p, args)))

    def before_sampling(self, p: Any, args: Iterable[Any]) -> None:
        """Let the units act on the pass of sampling that is about to begin. It needs no earlier call for this `p`."""
        prepared = list(self._prepare(p, args).values())
        if prepared:
            self.host.while_sampling(p, Run(prepared))

    def _prepare(self, p: Any, args: Iterable[Any]) -> Mapping[int, Prepared]:
        prepared: dict[int, Prepared] = {}
        with self.host.refusing(p):
            for number, unit in read_units(args).items():
                with self.host.refusing(p, number):
                    prepared[number] = self.preparation.prepare(unit, self.host.unet_of(p))
        return prepared


class Run:
    """One pass of sampling with some units. Inject it, arm it for each call of the denoiser, eject it."""

    def __init__(self, prepared: Sequence[Prepared]) -> None:
        self._prepared = prepared
        self._acting: list[Prepared] = []
        self._unet: nn.Module | None = None
        self._injection: Injection | None = None
        self._weights: tuple[float, ...] = ()
        self._banks: dict[tuple[Site, torch.device, torch.dtype], Bank] = {}

    def inject(self, unet: nn.Module) -> None:
        """Act on `unet` from now on; after a switch to another one, with those units only that fit it."""
        if unet is self._unet:
            return
        self.eject()
        attentions = find_attentions(unet)
        reasons = [reason_against(each.adapter, attentions) for each in self._prepared]
        for reason in filter(None, reasons):
            log.warning("IP-Adapter: %s The unit rests while this checkpoint is at work.", reason)
        self._acting = [each for each, reason in zip(self._prepared, reasons, strict=True) if not reason]
        self._unet, self._injection = unet, Injection(unet, attentions)
        self._injection.inject()

    def eject(self) -> None:
        """Leave the U-Net as it was; harmless when nothing is injected."""
        if self._injection:
            self._injection.eject()
        self._unet = self._injection = None
        self._banks.clear()

    def arm(self, roles: Sequence[int], progress: float) -> None:
        """Act on the next call of the denoiser, whose rows have these roles, at this fraction 0..1 of the steps."""
        weights = tuple(weight_at(each.unit, progress) for each in self._acting)
        if weights != self._weights:
            self._banks.clear()
            self._weights = weights
        if self._injection and any(weights):
            self._injection.call = Call(tuple(roles), self._bank)

    def disarm(self) -> None:
        """Do nothing until armed again."""
        if self._injection:
            self._injection.call = None

    @property
    def bytes(self) -> int:
        """Bytes of image keys and values on the device."""
        return sum(bank.bytes for bank in self._banks.values())

    def _bank(self, site: Site, heads: int, query: Tensor) -> Bank:
        key = (site, query.device, query.dtype)
        if key not in self._banks:
            units = [
                (*each.keys_values.of_site[site], weight)
                for each, weight in zip(self._acting, self._weights, strict=True)
                if weight
            ]
            self._banks[key] = make_bank(units, heads, query)
        return self._banks[key]

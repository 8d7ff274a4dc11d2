"""A session prepares units before each generation, injects them for sampling and ejects them afterwards."""

import logging
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ..base.errors import IPAdapterError
from ..base.version import VERSION
from ..files.download_queue import DownloadQueue
from ..files.news import News
from ..files.reference_store import ReferenceStore
from ..port import Host
from ..unit.infotext import Circumstances, describe, unit_key, without_units
from ..unit.presets import Presets
from ..unit.read_args import numbered, read_units
from .generation_units import units_of
from .prepare import Preparation, PreparedUnit
from .sampling_run import SamplingRun
from .token_plan import sets_of
from .tried import Tried

log = logging.getLogger(__name__)


class Session:
    """What the script's methods do, for any host. Lives as long as the web UI; generations share its caches."""

    def __init__(self, host: Host, downloads: DownloadQueue | None = None) -> None:
        self.host = host
        self.downloads = downloads or DownloadQueue()
        self.preparation = Preparation(host)
        self.references = ReferenceStore(host.reference_store)
        self.presets = Presets(lambda: host.folders().presets)
        self.tried = Tried()
        self.news = News(lambda: host.folders().noted, _traces(host))

    def feeds_controlnet(self, p: Any, args: Iterable[Any]) -> bool:
        """Return whether any unit's adapter has a ControlNet that takes its image tokens, as InstantID does.

        Invalid units do not count; their errors are reported when the generation begins.
        """
        try:
            adapters = [self.preparation.adapter(unit) for unit in units_of(p, args).values()]
        except IPAdapterError:
            return False
        return any(adapter.recognised.controlnet for adapter in adapters)

    def check(self, p: Any, args: Iterable[Any]) -> None:
        """Prepare units for a later picture of a generation; raises `IPAdapterError` if one cannot run."""
        for number, unit in read_units(args).items():
            with numbered(number):
                self.preparation.prepare(unit, self.host.sampling_unet(p))

    def before_generation(self, p: Any, args: Iterable[Any]) -> None:
        """Read and encode the units, so that a unit that cannot run stops the generation before sampling."""
        started, encoded = time.perf_counter(), self.preparation.encoding_seconds
        prepared = self._prepare(p, args)
        if prepared:
            with self.host.stop_on_error(p):
                names = {each.adapter.path.name for each in prepared.values()}
                self.host.check_other_extensions(p, names, [each.unit for each in prepared.values()])
                self.host.expect_passes(p)
            encoding = self.preparation.encoding_seconds - encoded
            log.info("IP-Adapter: %s", costs(prepared.values(), encoding, time.perf_counter() - started - encoding))
        for number, each in prepared.items():
            for warning in each.warnings:
                self.host.comment(p, f"{unit_key(number)}: {warning}")
        for file in {file.digest: file for each in prepared.values() for file in each.own_files}.values():
            self.references.keep(file)
        described = {unit_key(number): line_of(each) for number, each in prepared.items()}
        # A new mapping, because the cells of an X/Y/Z plot are copies of `p` that share the old one.
        p.extra_generation_params = without_units(p.extra_generation_params) | described

    def before_sampling(self, p: Any, args: Iterable[Any]) -> None:
        """Start the pass of sampling with its units. Needs no earlier call for this `p`."""
        prepared = self._prepare(p, args)
        if not prepared:
            return
        run = SamplingRun(list(prepared.values()), self.host.pass_info(p))
        self.host.while_sampling(p, run if run.acts else None)
        if run.acts and log.isEnabledFor(logging.DEBUG):  # computing the line hashes the adapter's file
            for number, each in prepared.items():
                log.debug("%s: %s", unit_key(number), line_of(each))

    def _prepare(self, p: Any, args: Iterable[Any]) -> Mapping[int, PreparedUnit]:
        prepared: dict[int, PreparedUnit] = {}
        with self.host.stop_on_error(p):
            for number, unit in units_of(p, args).items():
                with self.host.stop_on_error(p, number):
                    prepared[number] = self.preparation.prepare(unit, self.host.sampling_unet(p))
        return prepared


def _traces(host: Host) -> Iterator[Path]:
    """Yield files and folders that only earlier use of the extension leaves behind."""
    folders, store = host.folders(), host.reference_store()
    yield from filter(None, (folders.presets, store and store.folder))
    yield from (*folders.saved, *folders.subjects)


def line_of(prepared: PreparedUnit) -> str:
    """Return a unit's line in the picture's parameters."""
    encoder = prepared.encoder.path.name if prepared.encoder else ""
    circumstances = Circumstances(prepared.adapter.digest, encoder, prepared.unconditional, VERSION)
    return describe(prepared.unit, prepared.adapter.path.name, prepared.digests, circumstances)


def costs(prepared: Collection[PreparedUnit], encoding: float, rest: float) -> str:
    """Return a line for the log: the number of units and image tokens, the time and the memory they take."""
    groups = [(*each.plan.groups, *each.plan.composition_groups) for each in prepared]
    tokens = sum(each.keys_values.tokens * len(sets_of(own)) for each, own in zip(prepared, groups, strict=True))
    size = sum(each.keys_values.bytes for each in prepared)
    return (
        f"{len(prepared)} unit{'s' * (len(prepared) > 1)}, {tokens} image tokens, encoded in {encoding * 1e3:.0f} ms, "
        f"keys and values in {rest * 1e3:.0f} ms, {size / 1e6:.1f} MB"
    )

"""Report what image tokens add to calls of the denoiser on a graphics card: `python benchmarks/card.py --device cuda`.

Needs only torch and numpy, and takes less than ten minutes. Every way runs in changing order within one run, in half
precision with two rows, prompt and negative prompt. The report has medians of (time / time without units), by the
card's own clock and by the wall clock, the bytes that a way holds and needs besides, and its kernels at a site.
"""

import argparse
import gc
import json
import random
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

import torch
from flux_network import Flux, FluxShape
from ldm_unet import SD15, SDXL, Shape, UNet
from torch import Tensor, nn

from lib_ipadapter.networks.attention import Bank, Term, make_bank
from lib_ipadapter.networks.cross_attention import CrossLayers
from lib_ipadapter.networks.flux_sites import HEAD_DIM, INSTANTX, PULID, XLABS, FluxLayout
from lib_ipadapter.networks.injection import DenoiserCall
from lib_ipadapter.networks.kinds import found_in, injection_of
from lib_ipadapter.networks.lora_hooks import LoraHooks
from lib_ipadapter.networks.orthogonal import METHODS

KINDS = (0, 1)
RANK = 128
"""Of FaceID's LoRA."""


@dataclass(frozen=True)
class Way:
    """What is injected: the image tokens of each unit, and how they act."""

    tokens: tuple[int, ...] = ()
    masked: bool = False
    """Whether each unit has a region and a curve."""
    method: str = ""
    lora: bool = False
    layout: FluxLayout | None = None
    """The sites of the adapter's kind, for FLUX."""


NONE = "none"
UNET_WAYS: Mapping[str, Way] = {
    NONE: Way(),
    "one unit, 4 tokens": Way((4,)),
    "one unit, 16 tokens": Way((16,)),
    "three units, 4 + 16 + 16 tokens": Way((4, 16, 16)),
    "three units with masks and curves": Way((4, 16, 16), masked=True),
    "PuLID, fidelity": Way((32,), method="fidelity"),
    "FaceID, 4 tokens and its LoRA": Way((4,), lora=True),
}
FLUX_WAYS: Mapping[str, Way] = {
    NONE: Way(),
    "XLabs v2, 16 tokens": Way((16,), layout=XLABS),
    "three units of XLabs, 4 + 16 + 16 tokens": Way((4, 16, 16), layout=XLABS),
    "InstantX, 128 tokens": Way((128,), layout=INSTANTX),
    "PuLID, 32 tokens": Way((32,), layout=PULID),
}


@dataclass(frozen=True)
class UNetCalls:
    """Calls of a U-Net."""

    shape: Shape
    latent: int
    """Side of the latent image."""
    repetitions: int
    ways: Mapping[str, Way] = field(default_factory=lambda: UNET_WAYS)

    def network(self) -> nn.Module:
        return UNet(self.shape)

    def inputs(self, random_of: Callable[..., Tensor]) -> tuple[Tensor, ...]:
        rows = len(KINDS)
        text = random_of(rows, 77, self.shape.context_dim)
        return random_of(rows, 4, self.latent, self.latent), torch.full((rows,), 500, device=text.device), text


@dataclass(frozen=True)
class FluxCalls:
    """Calls of FLUX.1 with true CFG, which has a negative row."""

    shape: FluxShape
    latent: int
    repetitions: int
    ways: Mapping[str, Way] = field(default_factory=lambda: FLUX_WAYS)

    def network(self) -> nn.Module:
        return Flux(self.shape)

    def inputs(self, random_of: Callable[..., Tensor]) -> tuple[Tensor, ...]:
        rows, shape = len(KINDS), self.shape
        latent, text = random_of(rows, shape.channels, self.latent, self.latent), random_of(rows, 512, shape.text)
        return latent, random_of(rows).abs(), text, random_of(rows, shape.pooled), random_of(rows).abs()


SHALLOW = FluxShape(doubles=4, singles=8)
"""FLUX.1 as wide as it is, but with a fifth of its blocks, which need 5 GB."""

NETWORKS: Mapping[str, UNetCalls | FluxCalls] = {
    "SD1.5 at 512²": UNetCalls(SD15, 64, 60),
    "SDXL at 1024²": UNetCalls(SDXL, 128, 30),
    "FLUX.1 at 1024², 4 double and 8 single blocks": FluxCalls(SHALLOW, 128, 20),
}


def unit_terms(way: Way, width: int, queries: int, like: Tensor) -> list[Term]:
    """Return random terms for a site."""

    def random_of(*size: int) -> Tensor:
        return torch.randn(size, device=like.device, dtype=like.dtype)

    region = torch.linspace(0, 1, queries, device=like.device) if way.masked else None
    cross = cross_layers(width, like) if way.layout is PULID else None
    wide = cross.to_q.shape[0] if cross else width
    return [
        Term(
            random_of(len(KINDS), tokens, wide),
            random_of(len(KINDS), tokens, wide),
            0.7,
            region=region,
            unit=unit,
            method=METHODS[way.method] if way.method else None,
            cross=cross,
        )
        for unit, tokens in enumerate(way.tokens)
    ]


def cross_layers(width: int, like: Tensor) -> CrossLayers:
    """Return random layers of PuLID for FLUX, whose 16 heads are two thirds as wide as the network."""
    inner = max(width * 2 // 3 // HEAD_DIM, 1) * HEAD_DIM
    norm = like.new_ones(width), like.new_zeros(width)
    to_q, to_out = (like.new_empty(size).normal_(std=size[1] ** -0.5) for size in ((inner, width), (width, inner)))
    return CrossLayers(norm, to_q, to_out, inner // HEAD_DIM)


class Banks:
    """Makes the bank of a site at its first call, as a pass does."""

    def __init__(self, way: Way) -> None:
        self.way = way
        self.made: dict[Any, Bank] = {}

    def __call__(self, site: Any, heads: int, query: Tensor, _size: object) -> Bank:
        if site not in self.made:
            self.made[site] = make_bank(unit_terms(self.way, query.shape[-1], query.shape[1], query), heads, query)
        return self.made[site]


def random_lora(unet: nn.Module) -> dict[str, tuple[Tensor, Tensor]]:
    """Return FaceID's LoRA for every layer of every attention: down and up by path."""
    layers = [
        (f"{path}.{name}", layer)
        for path, module in unet.named_modules()
        if path.endswith(("attn1", "attn2"))
        for name, layer in module.named_modules()
        if isinstance(layer, nn.Linear)
    ]
    return {
        path: (
            layer.weight.new_empty(RANK, layer.in_features).normal_(),
            layer.weight.new_zeros(layer.out_features, RANK),
        )
        for path, layer in layers
    }


class Run:
    """One way on one network. As a context, it has its hooks on the network; a call of it calls the network."""

    def __init__(self, network: nn.Module, inputs: Sequence[Tensor], way: Way) -> None:
        self.network, self.inputs, self.way = network, inputs, way
        self.sites = sites_of(network, way)
        self.injection = injection_of(network, self.sites)
        self.lora_weights = random_lora(network) if way.lora else {}
        self.lora = LoraHooks(network, [self.lora_weights])
        self.banks = Banks(way)

    def __enter__(self) -> "Run":
        if self.way.lora:
            self.lora.inject()
            self.lora.strengths = (1.0,)
        if self.way.tokens:
            self.injection.inject()
        return self

    def __exit__(self, *_error: object) -> None:
        self.injection.eject()
        self.lora.eject()

    def __call__(self) -> Tensor:
        if self.way.tokens:
            factors = tuple(random.random() for _ in self.way.tokens) if self.way.masked else ()
            self.injection.call = DenoiserCall(KINDS, self.banks, factors=factors)
        return self.network(*self.inputs)

    @property
    def held_bytes(self) -> int:
        """What is on the device while sampling: keys and values, and the LoRA."""
        lora = sum(tensor.numel() * tensor.element_size() for pair in self.lora_weights.values() for tensor in pair)
        return sum(bank.bytes for bank in self.banks.made.values()) + lora


def sites_of(network: nn.Module, way: Way) -> list[Any]:
    """Return the sites where a way acts; a network with fewer blocks has fewer."""
    found = found_in(network).widths
    return [site for site in found if way.layout is None or site in way.layout.sites]


class Clock:
    """Measures a call by the card's clock and by the wall clock, in milliseconds; on a CPU both are the same."""

    def __init__(self, device: torch.device) -> None:
        self.on_card = device.type == "cuda"

    def time(self, run: Callable[[], Any]) -> tuple[float, float]:
        if not self.on_card:
            started = time.perf_counter()
            run()
            taken = (time.perf_counter() - started) * 1000
            return taken, taken
        before, after = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        torch.cuda.synchronize()
        started = time.perf_counter()
        before.record()
        run()
        after.record()
        torch.cuda.synchronize()
        return before.elapsed_time(after), (time.perf_counter() - started) * 1000


def kernels(run: Callable[[], Any]) -> int:
    """Return the number of kernels that a call launches; 0 on a CPU."""
    if not torch.cuda.is_available():
        return 0
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profiled:
        run()
        torch.cuda.synchronize()
    return sum(event.device_type == torch.autograd.DeviceType.CUDA for event in profiled.events())


def peak_bytes(run: Callable[[], Any], device: torch.device) -> int:
    """Return the most bytes that a call takes besides what was allocated before; 0 on a CPU."""
    if device.type != "cuda":
        return 0
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    run()
    torch.cuda.synchronize()
    return torch.cuda.max_memory_allocated() - before


def measure(calls: UNetCalls | FluxCalls, device: torch.device, dtype: torch.dtype) -> dict[str, dict[str, float]]:
    """Return the figures of each way: medians of ratios to none, milliseconds, bytes and kernels."""
    network = made_on(device, dtype, calls)
    inputs = calls.inputs(partial(torch.randn, device=device, dtype=dtype))
    runs = {name: Run(network, inputs, way) for name, way in calls.ways.items()}
    clock = Clock(device)
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in runs}
    counted: dict[str, tuple[int, int]] = {}
    with torch.inference_mode():
        for name, run in runs.items():
            with run:
                run()  # makes the banks, and lets the card choose its kernels
                run()
                counted[name] = kernels(run), peak_bytes(run, device)
        for _ in range(calls.repetitions):
            for name in random.sample(sorted(runs), len(runs)):
                with runs[name] as run:
                    taken[name].append(clock.time(run))
    return {name: figures(taken, counted, name, run.held_bytes, len(run.sites)) for name, run in runs.items()}


def made_on(device: torch.device, dtype: torch.dtype, calls: UNetCalls | FluxCalls) -> nn.Module:
    """Return a network with small random weights, made on the device in its dtype."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with torch.device(device):
            return calls.network().eval().requires_grad_(False)
    finally:
        torch.set_default_dtype(before)


def figures(
    taken: Mapping[str, Sequence[tuple[float, float]]],
    counted: Mapping[str, tuple[int, int]],
    name: str,
    held: int,
    sites: int,
) -> dict[str, float]:
    plain = taken[NONE]
    card, wall = (
        statistics.median(way[i] / none[i] for way, none in zip(taken[name], plain, strict=True)) for i in (0, 1)
    )
    return {
        "card": card,
        "wall": wall,
        "milliseconds": statistics.median(each for each, _ in taken[name]),
        "held_bytes": held,
        "peak_bytes": counted[name][1] - counted[NONE][1],
        "kernels_a_site": (counted[name][0] - counted[NONE][0]) / sites,
    }


def describe(device: torch.device) -> dict[str, str]:
    card = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    return {"card": card, "torch": torch.__version__, "cuda": str(torch.version.cuda), "python": sys.version.split()[0]}


def report(name: str, dtype: torch.dtype, measured: Mapping[str, Mapping[str, float]]) -> None:
    print(f"\n{name}, {len(KINDS)} rows, {dtype}: time of a call, as a multiple of the call without units")
    print(f"{'image tokens':42} {'card':>7} {'wall':>7} {'ms':>9} {'held MB':>9} {'peak MB':>9} {'kernels a site':>15}")
    for way, each in measured.items():
        held, peak = each["held_bytes"] / 1e6, each["peak_bytes"] / 1e6
        print(
            f"{way:42} {each['card']:7.3f} {each['wall']:7.3f} {each['milliseconds']:9.2f} {held:9.1f} {peak:9.1f} "
            f"{each['kernels_a_site']:15.1f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--json", type=Path, help="file to write the figures to")
    options = parser.parse_args()
    device = torch.device(options.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        sys.exit("torch finds no graphics card. Install a torch with CUDA, or use --device cpu.")
    dtype = torch.float16 if device.type == "cuda" else torch.float32
    machine, made = describe(device), {}
    print(", ".join(f"{key} {value}" for key, value in machine.items()))
    for name, calls in NETWORKS.items():
        made[name] = measure(calls, device, dtype)
        report(name, dtype, made[name])
        gc.collect()  # hooks and their module reference each other
    if options.json:
        options.json.write_text(json.dumps({"machine": machine, "figures": made}, indent=1))


if __name__ == "__main__":
    main()

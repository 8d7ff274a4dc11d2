"""Time added at the cross-attention sites of SD1.5 (512²) and SDXL (1024²), compared with other implementations.

Each site is created, run plain and with every implementation, in changing order, and freed before the next, so that
only one site is in memory. A repetition sums the sites; the report has the median over repetitions of
(time / plain time - 1). All implementations use the same weights.
"""

import gc
import random
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from diffusers.models.attention_processor import Attention, AttnProcessor2_0, IPAdapterAttnProcessor2_0
from ip_adapter.attention_processor import IPAttnProcessor2_0
from PIL import Image, ImageFilter
from torch import Tensor, nn

from lib_ipadapter.base.boxes import WHOLE, Size
from lib_ipadapter.engine.region_weights import of_mask
from lib_ipadapter.networks.attention import Bank, Term, make_bank
from lib_ipadapter.networks.unet_injection import DenoiserCall, Injection
from lib_ipadapter.networks.unet_sites import SD, SDXL, Site, sites

SIZES = {"SD1.5 at 512²": (SD, 768, 8, None), "SDXL at 1024²": (SDXL, 2048, None, 64)}
"""(layout, context width, heads, head dim)"""

WIDTHS = {"SD": (320, 640, 1280, 1280), "SDXL": (0, 640, 1280)}
"""Widths by level."""
LATENT = {"SD": (64, 64), "SDXL": (128, 128)}
UNITS = {"4": (4,), "16": (16,), "4 + 16 + 16": (4, 16, 16)}
ROWS = 2


@dataclass
class Way:
    """One implementation: an attention processor with its text input, or our hooks."""

    attention: Attention
    hidden: Tensor
    processor: Any
    text: Any
    injection: Injection | None = None
    call: DenoiserCall | None = None
    more: dict[str, Any] = field(default_factory=dict)

    def put_on(self) -> None:
        self.attention.set_processor(self.processor)
        if self.injection:
            self.injection.inject()
            self.injection.call = self.call

    def run(self) -> None:
        self.attention(self.hidden, encoder_hidden_states=self.text, **self.more)

    def take_off(self) -> None:
        if self.injection:
            self.injection.eject()


@dataclass
class Subject:
    """One site: its attention, its inputs, and the implementations to run."""

    attention: Attention
    hidden: Tensor
    text: Tensor
    grid: Size
    ways: dict[str, Way]


def subjects(name: str, device: torch.device, dtype: torch.dtype) -> Iterator[Subject]:
    """Yield the sites of a U-Net in the order in which it runs them, each with random weights of its own."""
    layout, context_dim, heads, dim = SIZES[name]
    text = torch.randn(ROWS, 77, context_dim, device=device, dtype=dtype)
    images = {count: torch.randn(2, count, context_dim, device=device, dtype=dtype) for count in (4, 16)}
    for site in sorted(sites(layout), key=lambda site: (site.layer, site.depth)):
        width, (rows, columns) = width_and_grid(name, site)
        h = heads or width // (dim or 64)
        attention = Attention(width, context_dim, heads=h, dim_head=width // h, processor=AttnProcessor2_0())
        attention = attention.to(device, dtype).eval()
        hidden = torch.randn(ROWS, rows * columns, width, device=device, dtype=dtype)
        subject = Subject(attention, hidden, text, (rows, columns), {})
        subject.ways = ways(subject, site, images)
        yield subject
        del attention, hidden, subject
        gc.collect()  # hooks and their module reference each other, so only the garbage collector frees them


def width_and_grid(name: str, site: Site) -> tuple[int, Size]:
    """Return the width of a site, and the rows and columns of its queries."""
    layout = SIZES[name][0]
    rows, columns = (side >> site.level for side in LATENT[layout.name])
    return WIDTHS[layout.name][site.level], (rows, columns)


TENSORS_IN_FLIGHT = 12
"""Maximum number of tensors as large as a site's input, such as query and attention, that an implementation holds."""


def needed_bytes(name: str, dtype: torch.dtype) -> int:
    """Return the approximate memory for the largest site of a U-Net, with the weights of every implementation."""
    layout, context_dim, *_ = SIZES[name]
    units = sum(len(counts) for counts in UNITS.values())

    def numbers(site: Site) -> int:
        width, (rows, columns) = width_and_grid(name, site)
        weights = 2 * width * width + 2 * context_dim * width * (1 + units)
        return weights + TENSORS_IN_FLIGHT * ROWS * rows * columns * width

    return dtype.itemsize * max(map(numbers, sites(layout)))


Weights = list[tuple[nn.Linear, nn.Linear]]
"""(to_k_ip, to_v_ip) of each unit."""


def ways(subject: Subject, site: Site, images: dict[int, Tensor]) -> dict[str, Way]:
    """Return the implementations for a site, all with the same weights."""
    width, context_dim = subject.hidden.shape[-1], subject.text.shape[-1]
    made = {"plain": Way(subject.attention, subject.hidden, subject.attention.processor, subject.text)}
    for label, counts in UNITS.items():
        layers = [nn.Linear(context_dim, width, bias=False).to(subject.hidden) for _ in range(2 * len(counts))]
        weights = list(zip(layers[::2], layers[1::2], strict=True))
        tokens = [images[count] for count in counts]
        made[f"ours, {label}"] = ours(subject, site, weights, tokens)
        made[f"diffusers, {label}"] = diffusers(subject, weights, tokens)
        if len(counts) == 1:
            made[f"authors, {label}"] = authors(subject, weights, tokens)
    made["ours, 4 + 16 + 16, controlled"] = controlled(subject, site, weights, tokens)
    made["diffusers, 4 + 16 + 16, controlled"] = masked_diffusers(subject, weights, tokens)
    return made


def masks_of(units: int) -> list[Image.Image]:
    """Return one vertical stripe per unit, with soft edges."""
    masks = []
    for unit in range(units):
        stripe = Image.new("L", (512, 512), 0)
        stripe.paste(255, (512 * unit // units, 0, 512 * (unit + 1) // units, 512))
        masks.append(stripe.filter(ImageFilter.GaussianBlur(8)).convert("F").point(lambda level: level * (1 / 255) + 0))
    return masks


def masked_diffusers(subject: Subject, weights: Weights, tokens: list[Tensor]) -> Way:
    """diffusers with a mask for each adapter, including the time to resize masks at every call."""
    way = diffusers(subject, weights, tokens)
    masks = [torch.tensor(np.asarray(mask))[None, None].to(subject.hidden) for mask in masks_of(len(tokens))]
    return replace(way, more={"ip_adapter_masks": masks})


def controlled(subject: Subject, site: Site, weights: Weights, tokens: list[Tensor]) -> Way:
    """Ours with a mask and a curve for each unit, as `terms` makes them: a new bank for every step of the curve."""
    pairs = [(to_k(each), to_v(each)) for each, (to_k, to_v) in zip(tokens, weights, strict=True)]
    regions = [of_mask(mask, WHOLE, subject.grid) for mask in masks_of(len(tokens))]

    def bank(*_: object) -> Bank:
        weight = 0.05 + 0.95 * random.random() * site.layer / 16
        terms = [Term(*pair, weight, region=region) for pair, region in zip(pairs, regions, strict=True)]
        return make_bank(terms, subject.attention.heads, subject.hidden)

    injection = Injection(nn.Identity(), {site: subject.attention})
    injection.row_kinds = (0, 1)
    plain = subject.attention.processor
    return Way(subject.attention, subject.hidden, plain, subject.text, injection, DenoiserCall((0, 1), bank))


def diffusers(subject: Subject, weights: Weights, tokens: list[Tensor]) -> Way:
    width, context_dim = subject.hidden.shape[-1], subject.text.shape[-1]
    counts = tuple(each.shape[1] for each in tokens)
    processor = IPAdapterAttnProcessor2_0(width, context_dim, counts, [0.7] * len(counts)).to(subject.hidden)
    processor.to_k_ip, processor.to_v_ip = (nn.ModuleList(layers) for layers in zip(*weights, strict=True))
    text = (subject.text, [each[:, None] for each in tokens])
    return Way(subject.attention, subject.hidden, processor, text)


def authors(subject: Subject, weights: Weights, tokens: list[Tensor]) -> Way:
    width, context_dim = subject.hidden.shape[-1], subject.text.shape[-1]
    processor = IPAttnProcessor2_0(width, context_dim, 0.7, tokens[0].shape[1]).to(subject.hidden)
    processor.to_k_ip, processor.to_v_ip = weights[0]
    return Way(subject.attention, subject.hidden, processor, torch.cat([subject.text, tokens[0]], dim=1))


def ours(subject: Subject, site: Site, weights: Weights, tokens: list[Tensor]) -> Way:
    units = [Term(to_k(each), to_v(each), 0.7) for each, (to_k, to_v) in zip(tokens, weights, strict=True)]
    bank = make_bank(units, subject.attention.heads, subject.hidden)
    injection = Injection(nn.Identity(), {site: subject.attention})
    injection.row_kinds = (0, 1)
    plain, call = subject.attention.processor, DenoiserCall((0, 1), lambda *_: bank)
    return Way(subject.attention, subject.hidden, plain, subject.text, injection, call)


def measure(name: str, repetitions: int, device: torch.device, dtype: torch.dtype) -> dict[str, float]:
    """Return the added time of each implementation, relative to the plain time."""
    totals: list[dict[str, float]] = [{} for _ in range(repetitions)]
    with torch.inference_mode():
        for subject in subjects(name, device, dtype):
            run_all_ways(subject, device)  # warm-up
            for total in totals:
                for way, taken in run_all_ways(subject, device).items():
                    total[way] = total.get(way, 0.0) + taken
            del subject  # before the next is created
    labels = [way for way in totals[0] if way != "plain"]
    return {way: statistics.median(total[way] / total["plain"] - 1 for total in totals) for way in labels}


def run_all_ways(subject: Subject, device: torch.device) -> dict[str, float]:
    """Return the time of each implementation for a site, in changing order."""
    return {way: seconds(subject.ways[way], device) for way in random.sample(sorted(subject.ways), len(subject.ways))}


def seconds(way: Way, device: torch.device) -> float:
    """Return the time of one run, without setting up the implementation."""
    way.put_on()
    wait_for(device)
    started = time.perf_counter()
    way.run()
    wait_for(device)
    taken = time.perf_counter() - started
    way.take_off()
    return taken


def wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()

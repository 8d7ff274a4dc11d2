"""Operations and bytes that image tokens add to a call of the U-Net, and the least time that they take on a card.

`python benchmarks/counting.py` prints the tables of docs/performance.md. Nothing runs; all is counted.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT)]

from lib_ipadapter.networks.unet_sites import SD, SDXL, Layout, sites

ROWS, BYTES = 2, 2
"""Rows of a call, prompt and negative prompt, and bytes of a number in half precision."""

PASSES = 5
"""Tensors as large as a site's input that a term reads or writes: the attention reads the query and writes its result,
and the addition reads both summands and writes the sum. Keys and values are thousands of times smaller."""

KERNELS = 2
"""Kernels of a term at a site: one fused attention and one addition, which also multiplies by region and curve."""


@dataclass(frozen=True)
class Network:
    """A U-Net at the size that it was trained for."""

    name: str
    layout: Layout
    latent: int
    """Side of the latent image."""
    widths: tuple[int, ...]
    """Width of the sites at each level."""
    operations: float
    """Floating-point operations of a call with one row, without image tokens, which `tests/test_counting.py` counts."""


NETWORKS = (
    Network("SD1.5 at 512²", SD, 64, (320, 640, 1280, 1280), 803e9),
    Network("SDXL at 1024²", SDXL, 128, (0, 640, 1280), 6761e9),
)

VARIANTS = {
    "one unit, 4 tokens": (4,),
    "one unit, 16 tokens": (16,),
    "one unit, 16 references of 16 tokens": (256,),
    "three units, 4 + 16 + 16 tokens": (4, 16, 16),
}
"""Tokens of each term."""


@dataclass(frozen=True)
class Card:
    """A card's peaks, as its maker states them: half precision with sums in float32, dense, and memory."""

    name: str
    operations: float
    """Per second."""
    bandwidth: float
    """Bytes per second."""


CARDS = (
    Card("RTX 3060", 25.5e12, 360e9),
    Card("RTX 4090", 165.2e12, 1008e9),
    Card("H100 SXM", 989e12, 3350e9),
)


def numbers(network: Network) -> int:
    """Return the numbers in the inputs of all sites: queries times width, for all rows."""
    queries = ((network.latent >> site.level) ** 2 * network.widths[site.level] for site in sites(network.layout))
    return ROWS * sum(queries)


def operations(network: Network, terms: tuple[int, ...]) -> int:
    """Return the added operations: two products of queries and tokens, each a multiplication and an addition."""
    return 4 * sum(terms) * numbers(network)


def moved(network: Network, terms: tuple[int, ...]) -> int:
    """Return the added bytes that are read or written."""
    return PASSES * BYTES * len(terms) * numbers(network)


def kernels(network: Network, terms: tuple[int, ...]) -> int:
    return KERNELS * len(terms) * len(sites(network.layout))


def floor(network: Network, terms: tuple[int, ...], card: Card) -> float:
    """Return the least seconds that the added work takes on a card."""
    return max(operations(network, terms) / card.operations, moved(network, terms) / card.bandwidth)


def share(network: Network, terms: tuple[int, ...], card: Card) -> float:
    """Return `floor` as a share of the least time of the U-Net's own operations."""
    return floor(network, terms, card) / (ROWS * network.operations / card.operations)


def counted() -> list[str]:
    lines = ["| U-Net | image tokens | operations | bytes | kernels |", "| --- | --- | ---: | ---: | ---: |"]
    for network in NETWORKS:
        for label, terms in VARIANTS.items():
            counts = f"{operations(network, terms) / 1e9:.1f} G | {moved(network, terms) / 1e6:.0f} MB"
            lines.append(f"| {network.name} | {label} | {counts} | {kernels(network, terms)} |")
    return lines


def floors() -> list[str]:
    heads = " | ".join(card.name for card in CARDS)
    lines = [f"| U-Net | image tokens | {heads} |", "| --- | --- |" + " ---: |" * len(CARDS)]
    for network in NETWORKS:
        for label, terms in VARIANTS.items():
            each = (f"{floor(network, terms, c) * 1e3:.2f} ms, {share(network, terms, c):.1%}" for c in CARDS)
            lines.append(f"| {network.name} | {label} | {' | '.join(each)} |")
    return lines


def main() -> None:
    print("\n".join([*counted(), "", *floors()]))


if __name__ == "__main__":
    main()

"""The cross-attention sites of Stable Diffusion's U-Nets, in the order in which IP-Adapter files number them.

Key numbers follow diffusers' list of attention processors: down, up, middle. Layer numbers, as in "layer 6", follow
execution order: down, middle, up. `Site` holds both.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TypeVar

from .layout import Found


@dataclass(frozen=True, order=True)
class Site:
    """One attn2 of a U-Net and its position in both orders."""

    index: int
    """Position in the file's order (input, output, middle), from 0; its tensors are `{2 * index + 1}.to_k_ip`."""
    block: str
    """`input`, `middle` or `output`."""
    number: int
    """Number of the block among the U-Net's input or output blocks; 0 for the middle block."""
    depth: int
    """Transformer block inside the spatial transformer, from 0."""
    layer: int
    """Spatial transformer in execution order, from 0: what users mean by "layer 6"."""
    level: int
    """How often the latent image has been halved before this block."""

    @property
    def key(self) -> str:
        return str(2 * self.index + 1)

    @property
    def path(self) -> str:
        """Name of the attn2 module inside the U-Net, as the ldm and sgm code bases name it."""
        block = "middle_block.1" if self.block == "middle" else f"{self.block}_blocks.{self.number}.1"
        return f"{block}.transformer_blocks.{self.depth}.attn2"

    @property
    def diffusers_path(self) -> str:
        """Name of the same module in diffusers' U-Net (its `single_file_utils.convert_ldm_unet_checkpoint`)."""
        n = self.number
        block = {
            "input": f"down_blocks.{(n - 1) // 3}.attentions.{(n - 1) % 3}",
            "middle": "mid_block.attentions.0",
            "output": f"up_blocks.{n // 3}.attentions.{n % 3}",
        }[self.block]
        return f"{block}.transformer_blocks.{self.depth}.attn2"


@dataclass(frozen=True)
class Layout:
    """The spatial transformers of one U-Net architecture, in execution order: (block, number, depth)."""

    name: str
    transformers: tuple[tuple[str, int, int], ...]
    deepest: int
    """How often the latent image is halved up to the middle block."""

    @property
    def blocks(self) -> tuple[str, ...]:
        """The block of each spatial transformer: `input`, `middle` or `output`."""
        return tuple(block for block, _, _ in self.transformers)

    @property
    def sites(self) -> tuple[Site, ...]:
        """The sites in the order of the adapter files' key numbers."""
        return sites(self)

    def fits(self, adapter: Found, loaded: Found) -> bool:
        """Return whether an adapter fits: a pruned U-Net may lack sites, and the widths of the others must match."""
        return loaded.widths.items() <= adapter.widths.items() and loaded.context_dim == adapter.context_dim

    def level(self, block: str, number: int) -> int:
        """Return how often the latent image is halved before a block; each level has three blocks on either side."""
        return {"input": (number - 1) // 3, "middle": self.deepest, "output": self.deepest - number // 3}[block]


def _each(block: str, *depths: tuple[int, int]) -> tuple[tuple[str, int, int], ...]:
    return tuple((block, number, depth) for number, depth in depths)


SD = Layout(
    "SD",
    _each("input", (1, 1), (2, 1), (4, 1), (5, 1), (7, 1), (8, 1))
    + _each("middle", (0, 1))
    + _each("output", (3, 1), (4, 1), (5, 1), (6, 1), (7, 1), (8, 1), (9, 1), (10, 1), (11, 1)),
    deepest=3,
)
"""SD1.x and SD2.x: 16 sites (stablediffusion, `openaimodel.UNetModel`)."""

SDXL = Layout(
    "SDXL",
    _each("input", (4, 2), (5, 2), (7, 10), (8, 10))
    + _each("middle", (0, 10))
    + _each("output", (0, 10), (1, 10), (2, 10), (3, 2), (4, 2), (5, 2)),
    deepest=2,
)
"""SDXL and all its descendants: 70 sites (generative-models, `openaimodel.UNetModel`)."""

LAYOUTS = (SD, SDXL)

FILE_ORDER = ("input", "output", "middle")


@cache
def sites(layout: Layout) -> tuple[Site, ...]:
    """Return the sites of a layout in the order of the adapter files' key numbers."""
    execution = [
        (block, number, depth, layer, layout.level(block, number))
        for layer, (block, number, depths) in enumerate(layout.transformers)
        for depth in range(depths)
    ]
    in_file = sorted(execution, key=lambda place: (FILE_ORDER.index(place[0]), place[1], place[2]))
    return tuple(Site(index, *place) for index, place in enumerate(in_file))


Value = TypeVar("Value")


def found_sites(find: Callable[[Site], Value | None]) -> dict[Site, Value]:
    """Return what `find` returns for the sites of a U-Net, by site; empty for anything but SD and SDXL.

    The two layouts share the names of eight sites, and a pruned SDXL such as SSD-1B lacks some, so the layout with more
    matching sites is taken.
    """
    each = ({site: found for site in sites(layout) if (found := find(site))} for layout in LAYOUTS)
    return max(each, key=len)


def layout_of_count(count: int) -> Layout | None:
    """Return the layout with `count` sites, or None where no known U-Net has as many."""
    return next((layout for layout in LAYOUTS if len(sites(layout)) == count), None)

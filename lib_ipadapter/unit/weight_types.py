"""How the weight is distributed over the layers: the options of the field `weight_type`, and what each does.

The types and their numbers are those of ComfyUI_IPAdapter_plus (`CrossAttentionPatch.ipadapter_attention` and
`IPAdapterPlus.ipadapter_execute`), except that the middle block is included.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

LOW = 0.05
"""Lowest factor of the ease types."""
WEAK = 0.2
"""Factor of a weakened block."""
REST = 0.1
"""Factor of layers that are neither style nor composition layers, in "composition precise"."""

Factor = Callable[[int, str, int], float]
"""(layer, its block, number of layers) -> factor. Division is by the number of layers, so the last layer does not quite
reach the end of the curve."""


def _weak(*blocks: str) -> Factor:
    return lambda layer, block, count: WEAK if block in blocks else 1.0


FACTORS: Mapping[str, Factor] = {
    "linear": lambda layer, block, count: 1.0,
    "ease in": lambda layer, block, count: LOW + (1 - LOW) * (1 - layer / count),
    "ease out": lambda layer, block, count: LOW + (1 - LOW) * layer / count,
    "ease in-out": lambda layer, block, count: LOW + (1 - LOW) * (1 - abs(layer - count / 2) / (count / 2)),
    "reverse in-out": lambda layer, block, count: LOW + (1 - LOW) * abs(layer - count / 2) / (count / 2),
    "weak input": _weak("input"),
    "weak output": _weak("output"),
    "weak middle": _weak("middle"),
    "strong middle": _weak("input", "output"),
}
"""Types with a factor for each layer by its position."""


@dataclass(frozen=True)
class FieldWeight:
    """A weight for some layers: the value of one of the unit's fields, times a factor."""

    field: str
    factor: float = 1.0

    def of(self, unit: object) -> float:
        return self.factor * getattr(unit, self.field)


WEIGHT = FieldWeight("weight")
COMPOSITION_WEIGHT = FieldWeight("composition_weight")


@dataclass(frozen=True)
class Parts:
    """A type with separate weights for style layers, composition layers and all others; None switches them off."""

    style: FieldWeight | None = None
    composition: FieldWeight | None = None
    others: FieldWeight | None = None
    shared: bool = True
    """Whether composition layers get only their share of the weight."""
    style_inverted: bool = False
    """Whether all layers except the composition layers push away from the reference."""
    composition_inverted: bool = False

    @property
    def fields(self) -> frozenset[str]:
        """The fields that the type uses."""
        return frozenset(each.field for each in (self.style, self.composition, self.others) if each)


PARTS: Mapping[str, Parts] = {
    "style transfer": Parts(style=WEIGHT),
    "composition": Parts(composition=WEIGHT),
    "strong style transfer": Parts(style=WEIGHT, others=WEIGHT),
    "style and composition": Parts(style=WEIGHT, composition=COMPOSITION_WEIGHT),
    "strong style and composition": Parts(style=WEIGHT, composition=COMPOSITION_WEIGHT, others=WEIGHT, shared=False),
    "style transfer precise": Parts(style=WEIGHT, composition=FieldWeight("style_boost"), composition_inverted=True),
    "composition precise": Parts(
        style=FieldWeight("composition_boost"),
        composition=WEIGHT,
        others=FieldWeight("composition_boost", REST),
        style_inverted=True,
    ),
}
"""Types that select layers by their role."""

WEIGHT_TYPES = (*FACTORS, *PARTS)

TYPE_GROUPS: Mapping[str, tuple[str, ...]] = {
    "All layers": ("linear", "ease in", "ease out", "ease in-out", "reverse in-out"),
    "Some layers weaker": ("weak input", "weak middle", "weak output", "strong middle"),
    "Style": ("style transfer", "strong style transfer", "style transfer precise"),
    "Composition": ("composition", "composition precise"),
    "Style and composition": ("style and composition", "strong style and composition"),
}
"""The types by what they are for, in the panel's order."""


def types_that_use(field: str) -> tuple[str, ...]:
    """Return the types that use a field such as `composition_weight`."""
    return tuple(name for name, parts in PARTS.items() if field in parts.fields)

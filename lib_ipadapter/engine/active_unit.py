"""What the units of one pass add at a site: keys and values for each kind of row, weight and region."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import lcm

import torch
from torch import Tensor

from ..base.boxes import Size
from ..networks.attention import Term
from ..networks.unet_sites import Site
from ..port import UNCOND, PassInfo
from ..unit.schedule import LayerWeight, acts_in, factor_at, layer_weights, of_pass
from ..weights.loras import Lora
from .prepare import PreparedUnit
from .region_weights import grid_of, of_area, of_boxes, of_mask
from .token_plan import AttentionGroup


@dataclass(frozen=True)
class ActiveUnit:
    """A unit in one pass of sampling."""

    prepared: PreparedUnit
    facts: PassInfo

    @cached_property
    def layers(self) -> dict[int, LayerWeight]:
        """What the unit does at each layer in this pass."""
        return layer_weights(of_pass(self.prepared.unit, self.facts.hires), self.prepared.layout)

    @property
    def acts(self) -> bool:
        """Whether the unit does anything in this pass."""
        unit = self.prepared.unit
        here = unit.inner in ("all", "inner only" if self.facts.inner else "picture only")
        return here and acts_in(unit, self.facts.hires) and bool(self.layers)

    @property
    def pictures(self) -> int:
        """After how many pictures of a batch the unit's references begin again."""
        groups = (self.prepared.plan.groups, self.prepared.plan.composition_groups)
        return lcm(*(len(each) for each in groups if each)) if self.prepared.unit.unfold else 1

    @cached_property
    def regional(self) -> bool:
        """Whether the unit acts on some positions of the picture otherwise than on others."""
        plan = self.prepared.plan
        whole = plan.mask is not None or plan.area is not None
        groups = (*plan.groups, *plan.composition_groups)
        return whole or any(group.mask is not None or group.area is not None or group.tiles for group in groups)

    @property
    def lora(self) -> Lora | None:
        """The LoRA that the unit brings, unless the prompt asks for the same one, which the web UI then applies."""
        lora = self.prepared.lora
        return None if lora is None or lora.names & self.facts.loras else lora

    @cached_property
    def contexts(self) -> Tensor:
        """The image tokens of each kind of row, for what sees them in the place of the text: (kinds, tokens, width).

        Weights have no part in that, as in InstantID, nor have places in the picture.
        """
        sets, groups = self.prepared.keys_values.image_tokens, self.prepared.plan.groups
        each = [group.sets for group in groups] if self.prepared.unit.unfold else [_all_sets(groups)]
        kinds = [own for numbers in each for own in (sets[list(numbers)], sets[[0] * len(numbers)])]
        return torch.stack([kind.flatten(0, 1) for kind in kinds])

    def factor(self, progress: float) -> float:
        return factor_at(self.prepared.unit, progress)

    def terms(self, site: Site, factor: float, period: int, size: Size, queries: int) -> list[Term]:
        """Return what the unit adds at a site where `factor` multiplies its weight, for `period` kinds of pictures."""
        at = self.layers.get(site.layer)
        if at is None or not factor:
            return []
        key = (site, period, size, queries)
        if key not in self._kept:
            self._kept[key] = list(self._at_full_weight(site, at, period, grid_of(size, site.level, queries)))
        return [replace(term, weight=at.weight * factor) for term in self._kept[key]]

    @cached_property
    def _kept(self) -> dict[tuple[Site, int, Size, int], list[Term]]:
        """Terms at weight 1: along a curve the weight changes at every step, and nothing else does."""
        return {}

    @cached_property
    def _regions(self) -> dict[tuple[AttentionGroup | None, Size], Tensor | None]:
        return {}

    def _at_full_weight(self, site: Site, at: LayerWeight, period: int, grid: Size) -> Iterator[Term]:
        plan = self.prepared.plan
        groups = (at.composition and plan.composition_groups) or plan.groups
        pair, scaling = self.prepared.keys_values.of_site[site], self.prepared.unit.scaling
        if self.prepared.unit.unfold:
            each = [of_kinds(*pair, groups[i % len(groups)], at.inverted) for i in range(period)]
            keys, values = (torch.cat(parts) for parts in zip(*each, strict=True))
            yield Term(keys, values, 1.0, scaling, self._region(None, grid))
            return
        for group in groups:
            keys, values = (part.repeat(period, 1, 1) for part in of_kinds(*pair, group, at.inverted))
            yield Term(keys, values, 1.0, scaling, self._region(group, grid))

    def _region(self, group: AttentionGroup | None, grid: Size) -> Tensor | None:
        """Return how far a group acts at each position of a grid, or None where it does so everywhere."""
        if (group, grid) not in self._regions:
            masks = [mask for mask in (self.prepared.plan.mask, group and group.mask) if mask]
            areas = [area for area in (self.prepared.plan.area, group and group.area) if area]
            parts = [of_mask(mask, self.facts.box, grid) for mask in masks]
            parts += [of_area(area, self.facts.box, grid) for area in areas]
            if group and group.tiles:
                parts.append(of_boxes(group.tiles, group.tile, grid))
            self._regions[group, grid] = torch.stack(parts).prod(dim=0) if parts else None
        return self._regions[group, grid]


def of_kinds(keys: Tensor, values: Tensor, group: AttentionGroup, inverted: bool) -> tuple[Tensor, Tensor]:
    """Return the keys and values of a group's sets for rows under the prompt and under the negative prompt.

    (sets, tokens, width) -> (2 kinds, tokens of all sets of the group, width). Where a layer is inverted, the negative
    prompt's rows get what the prompt's would have got, and these get nothing.
    """
    weights = keys.new_tensor(group.weights).view(-1, 1, 1)
    own, nothing = list(group.sets), [0] * len(group.sets)
    cond = keys[own].flatten(0, 1), (values[own] * weights).flatten(0, 1)
    uncond = keys[nothing].flatten(0, 1), (values[nothing] * weights).flatten(0, 1)
    if inverted:
        cond, uncond = (torch.zeros_like(cond[0]), torch.zeros_like(cond[1])), cond
    return torch.stack([cond[0], uncond[0]]), torch.stack([cond[1], uncond[1]])


def _all_sets(groups: Sequence[AttentionGroup]) -> tuple[int, ...]:
    return tuple(number for group in groups for number in group.sets)


def period_of(units: Sequence[ActiveUnit]) -> int:
    """Return after how many pictures of a batch all units' references begin again."""
    return lcm(*(unit.pictures for unit in units))


def kind_of(role: int, picture: int, period: int) -> int:
    """Return the kind of a row: its place in a bank."""
    return 2 * (picture % period) + (role == UNCOND)

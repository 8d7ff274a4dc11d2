"""A unit in one pass of sampling: the terms that it adds at each site, for each row kind."""

from collections.abc import Iterator, Sequence
from functools import cached_property, partial
from math import lcm

import torch
from torch import Tensor

from ..base.boxes import Size
from ..base.errors import IPAdapterError
from ..networks.attention import Term
from ..networks.layout import Site
from ..networks.orthogonal import METHODS, Method
from ..port import UNCOND, PassInfo
from ..unit.passes import INNER
from ..unit.schedule import LayerWeight, acts_in, factor_at, layer_weights, of_pass
from ..weights.loras import Lora
from .prepare import PreparedUnit
from .region_weights import covers, grid_of, of_area, of_boxes, of_mask
from .token_plan import AttentionGroup, TokenSet, sets_of


class ActiveUnit:
    """A prepared unit and the pass that it takes part in."""

    def __init__(self, prepared: PreparedUnit, info: PassInfo) -> None:
        self.prepared = prepared
        self.info = info
        self._regions: dict[tuple[AttentionGroup | None, Size], Tensor | None] = {}

    @cached_property
    def layers(self) -> dict[int, LayerWeight]:
        """The unit's weight at each layer in this pass."""
        return layer_weights(of_pass(self.prepared.unit, self.info.hires), self.prepared.layout)

    @property
    def acts(self) -> bool:
        """Whether the unit is active in this pass."""
        unit = self.prepared.unit
        here = self.info.inner in INNER[unit.inner]
        return here and acts_in(unit, self.info.hires) and bool(self.layers)

    @property
    def pictures(self) -> int:
        """Number of pictures in a batch after which the unit's references repeat: 1 without unfold."""
        groups = (self.prepared.plan.groups, self.prepared.plan.composition_groups)
        return lcm(*(len(each) for each in groups if each)) if self.prepared.unit.unfold else 1

    @cached_property
    def regional(self) -> bool:
        """Whether the unit's weight differs between positions of the picture."""
        plan = self.prepared.plan
        whole = plan.mask is not None or plan.area is not None
        groups = (*plan.groups, *plan.composition_groups)
        return whole or any(group.mask is not None or group.area is not None or group.tiles for group in groups)

    @cached_property
    def method(self) -> Method | None:
        """What is left of the unit's image attention beside the text attention; None leaves all of it."""
        of_family = "method" in self.prepared.adapter.recognised.family.fields
        return METHODS[self.prepared.unit.method] if of_family else None

    @property
    def lora(self) -> Lora | None:
        """The adapter's LoRA, or None where the prompt already loads it, because the web UI then applies it."""
        lora = self.prepared.lora
        return None if lora is None or lora.names & self.info.loras else lora

    @cached_property
    def face_tokens(self) -> Tensor:
        """The image tokens for InstantID's ControlNet, which takes them in place of text: (row kinds, tokens, width).

        Weights and regions do not apply to it, as in InstantID.
        """
        groups, tokens_of = self.prepared.plan.groups, self.prepared.keys_values.tokens_of
        each = [group.sets for group in groups] if self.prepared.unit.unfold else [sets_of(groups)]
        kinds = [tokens_of(sets) for own in each for sets in (own, self._unconditional(own))]
        return torch.stack([kind.flatten(0, 1) for kind in kinds])

    def factor(self, progress: float) -> float:
        """Return the multiplier of the unit's weight at the fraction `progress` (0..1) of the pass's steps."""
        return factor_at(self.prepared.unit, progress)

    def terms(self, site: Site, factor: float, period: int, size: Size, queries: int) -> Iterator[Term]:
        """Yield the unit's terms at a site, with its weight times `factor`, for `period` pictures of a batch."""
        at = self.layers.get(site.layer)
        if at is None or site not in self.prepared.keys_values.of_site:  # a site of another kind of adapter
            return
        plan, grid = self.prepared.plan, grid_of(size, site.level, queries)
        if self.method and not covers(grid, size):
            raise _parts_error(site, size, queries)
        groups = (at.composition and plan.composition_groups) or plan.groups
        weight, scaling = at.weight * factor, self.prepared.unit.scaling
        cross = self.prepared.adapter.cross.get(site)
        term = partial(Term, weight=weight, scaling=scaling, method=self.method, cross=cross)
        if self.prepared.unit.unfold:
            each = [self._of_row_kinds(site, groups[i % len(groups)], at.inverted) for i in range(period)]
            keys, values = (torch.cat(parts) for parts in zip(*each, strict=True))
            yield term(keys, values, region=self._region(None, grid))
            return
        for group in groups:
            pair = self._of_row_kinds(site, group, at.inverted)
            keys, values = (part.repeat(period, 1, 1) for part in pair)
            yield term(keys, values, region=self._region(group, grid))

    def _unconditional(self, sets: Sequence[TokenSet]) -> list[TokenSet]:
        """Return the unconditional counterpart of these sets, with the same number of tokens."""
        return [self.prepared.plan.unconditional] * len(sets)

    def _of_row_kinds(self, site: Site, group: AttentionGroup, inverted: bool) -> tuple[Tensor, Tensor]:
        """Return a group's keys and values for conditional and unconditional rows: (2 row kinds, tokens, width).

        In an inverted layer, unconditional rows get the conditional tokens and conditional rows get zeros.
        """
        keys_values = self.prepared.keys_values
        conditional = _weighted(*keys_values.at(site, group.sets), group.weights, self._kept)
        if inverted:
            zeros = torch.zeros_like(conditional[0]), torch.zeros_like(conditional[1])
            return _stacked(zeros, conditional)
        unconditional = keys_values.at(site, self._unconditional(group.sets))
        return _stacked(conditional, _weighted(*unconditional, group.weights, self._kept))

    @property
    def _kept(self) -> int:
        """Number of tokens that are kept of each token set after the first in a group; 0 keeps all."""
        return 0 if self.prepared.unit.id_mix else self.prepared.adapter.recognised.family.kept_of_others

    def _region(self, group: AttentionGroup | None, grid: Size) -> Tensor | None:
        """Return a group's weight at each position of a grid, 0..1, or None where it is 1 everywhere."""
        if (group, grid) not in self._regions:
            masks = [mask for mask in (self.prepared.plan.mask, group and group.mask) if mask]
            areas = [area for area in (self.prepared.plan.area, group and group.area) if area]
            parts = [of_mask(mask, self.info.box, grid) for mask in masks]
            parts += [of_area(area, self.info.box, grid) for area in areas]
            if group and group.tiles:
                parts.append(of_boxes(group.tiles, group.tile, grid))
            self._regions[group, grid] = torch.stack(parts).prod(dim=0) if parts else None
        return self._regions[group, grid]


Pair = tuple[Tensor, Tensor]


def _weighted(keys: Tensor, values: Tensor, weights: tuple[float, ...], kept: int) -> Pair:
    """Return the sets' keys and values concatenated to (tokens, width), the values multiplied by each set's weight.

    Of each set after the first, only the first `kept` tokens are taken; 0 takes all.
    """
    values = values * keys.new_tensor(weights).view(-1, 1, 1)
    if not kept:
        return keys.flatten(0, 1), values.flatten(0, 1)
    return _first_whole(keys, kept), _first_whole(values, kept)


def _first_whole(sets: Tensor, kept: int) -> Tensor:
    return torch.cat([sets[0], sets[1:, :kept].flatten(0, 1)])


def _parts_error(site: Site, size: Size, queries: int) -> IPAdapterError:
    return IPAdapterError(
        f"PuLID's methods fidelity and style need all positions of the picture, but {site.path} got {queries} of a "
        f"latent image of {size[0]} x {size[1]}, as with token merging of cross-attention. Choose the method neutral, "
        "or switch off what drops them."
    )


def _stacked(conditional: Pair, unconditional: Pair) -> Pair:
    keys, values = (torch.stack(parts) for parts in zip(conditional, unconditional, strict=True))
    return keys, values


def period_of(units: Sequence[ActiveUnit]) -> int:
    """Return the number of pictures in a batch after which the references of all units repeat."""
    return lcm(*(unit.pictures for unit in units))


def row_kind(role: int, picture: int, period: int) -> int:
    """Return the kind of a row: its index in a bank."""
    return 2 * (picture % period) + (role == UNCOND)

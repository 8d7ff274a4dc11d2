"""Decoupled cross-attention at one site (Ye et al. 2023, section 3.2.2).

    out = Attention(Q, K_text, V_text) + sum over terms of region * softmax(Q K_term^T / sqrt(d)) (weight * V_term)

All functions here are pure. Dimensions in shapes: rows (the batch of the U-Net call), queries (positions in the latent
image), heads, dim (of one head), tokens (image tokens of all terms, concatenated) and row kinds. A row's kind selects
the keys and values that it attends: even kinds are conditional, odd ones unconditional, in pairs.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor
from torch.nn import functional

from .cross_attention import CrossLayers
from .orthogonal import Method, orthogonal_attention
from .scaling import SCALED


@dataclass(frozen=True)
class Term:
    """Image tokens of one unit that share a softmax at a site, as keys and values."""

    keys: Tensor
    """Output of `to_k_ip`: (row kinds, tokens, heads * dim)."""
    values: Tensor
    """Output of `to_v_ip`: (row kinds, tokens, heads * dim)."""
    weight: float
    scaling: str = "V only"
    region: Tensor | None = None
    """(queries,): the term's weight at each position, 0..1; None means 1 everywhere."""
    unit: int = 0
    """Index of its unit among the active units."""
    method: Method | None = None
    """What is left of it beside the text attention; None leaves all of it."""
    cross: CrossLayers | None = None
    """Layers of the adapter, where its queries are its own; None where they are the network's."""


@dataclass(frozen=True)
class Bank:
    """The image keys and values of all active terms at one site."""

    keys: Tensor
    """(row kinds, heads, tokens, dim), scaled by dim ** -0.5."""
    values: Tensor
    """(row kinds, heads, tokens, dim), scaled by each term's weight."""
    segments: tuple[int, ...]
    """Number of tokens of each term, with those of zeros. Each term has its own softmax."""
    regions: tuple[Tensor | None, ...]
    """(queries,) for each term."""
    units: tuple[int, ...]
    """Index of each term's unit among the active units."""
    beside: "tuple[tuple[Method, Bank], ...]" = ()
    """The terms of which not all is left beside the text attention, each with its method and in its own bank."""
    across: "tuple[tuple[CrossLayers, Bank], ...]" = ()
    """The terms with queries of their own: an adapter's layers, and its terms in their own bank."""

    @cached_property
    def arranged(self) -> dict[tuple[int, ...], list[tuple[Tensor, Tensor]]]:
        """Keys and values of each term, by the row kinds that they were arranged for; filled by `_by_term`."""
        return {}

    @property
    def bytes(self) -> int:
        held = [self.keys, self.values, *(region for region in self.regions if region is not None)]
        others = [bank.bytes for _, bank in self.beside] + [layers.bytes + bank.bytes for layers, bank in self.across]
        return sum(tensor.numel() * tensor.element_size() for tensor in held) + sum(others)


def split_heads(tensor: Tensor, heads: int) -> Tensor:
    """Return (rows, tokens, heads * dim) as (rows, heads, tokens, dim), without a copy."""
    return tensor.unflatten(-1, (heads, -1)).transpose(-2, -3)


def make_bank(terms: Sequence[Term], heads: int, like: Tensor) -> Bank:
    """Return the bank of one or more terms, in the dtype and on the device of `like`.

    Values are clamped to half the dtype's maximum, so that rounding in attention cannot overflow to infinity; infinity
    times a weight of 0 would be NaN.
    """
    ordinary = [term for term in terms if not term.method and not term.cross]
    beside = tuple((term.method, _bank_of([term], heads, like, term.method.zeros)) for term in terms if term.method)
    across = tuple(_cross_banks(terms, like))
    if ordinary:
        return replace(_bank_of(ordinary, heads, like), beside=beside, across=across)
    nothing = like.new_empty(0, heads, 0, like.shape[-1] // heads)
    return Bank(nothing, nothing, (), (), (), beside, across)


def _cross_banks(terms: Sequence[Term], like: Tensor) -> Iterator[tuple[CrossLayers, Bank]]:
    for layers in dict.fromkeys(term.cross for term in terms if term.cross):
        own = [term for term in terms if term.cross is layers]
        yield layers.like(like), _bank_of(own, layers.heads, like)


def _bank_of(terms: Sequence[Term], heads: int, like: Tensor, zeros: int = 0) -> Bank:
    """Return the bank of terms that each attend a number of zeros besides; without `beside`."""
    exact = torch.promote_types(like.dtype, torch.float32)
    scaled = [SCALED[term.scaling](term.keys.to(exact), term.values.to(exact), term.weight) for term in terms]
    keys, values = (torch.cat(parts, dim=1) for parts in zip(*scaled, strict=True))
    keys = keys * (keys.shape[-1] // heads) ** -0.5
    largest = torch.finfo(like.dtype).max / 2
    fit = [
        split_heads(functional.pad(tensor.clamp(-largest, largest), (0, 0, 0, zeros)), heads)
        .to(like.device, like.dtype)
        .contiguous()
        for tensor in (keys, values)
    ]
    regions = tuple(None if term.region is None else term.region.to(like.device, like.dtype) for term in terms)
    segments, units = tuple(term.keys.shape[1] + zeros for term in terms), tuple(term.unit for term in terms)
    return Bank(fit[0], fit[1], segments, regions, units)


def add_image_attention(
    attended: Tensor, query: Tensor, bank: Bank, row_kinds: Sequence[int], factors: Sequence[float] = ()
) -> Tensor:
    """Return `attended` plus the image attention of every term in `bank`, as a new tensor.

    `attended` is the text attention with merged heads, before the output projection, and `query` the output of `to_q`:
    both (rows, queries, heads * dim). `row_kinds` has the kind of each row. `factors` has one multiplier per unit, for
    weights that change over the steps; empty means 1.
    """
    each = [factors[unit] for unit in bank.units] if factors else [1.0] * len(bank.units)
    exact_on_cpu = query.device.type == "cpu" and query.dtype in (torch.float32, torch.float64)
    add = _add_by_runs if exact_on_cpu else _add_by_rows
    added = add(attended, query, bank, row_kinds, each) if bank.segments else attended
    return _add_beside(added, attended, query, bank.beside, row_kinds, factors) if bank.beside else added


def add_cross_attention(hidden: Tensor, bank: Bank, row_kinds: Sequence[int], factors: Sequence[float] = ()) -> Tensor:
    """Return hidden states (rows, queries, width) plus what each adapter with queries of its own adds to them."""
    added = hidden
    for layers, own in bank.across:
        query = layers.query(hidden)
        added = added + layers.out(add_image_attention(torch.zeros_like(query), query, own, row_kinds, factors))
    return added


def _add_by_runs(
    attended: Tensor, query: Tensor, bank: Bank, row_kinds: Sequence[int], factors: Sequence[float]
) -> Tensor:
    """For full precision on a CPU: consecutive rows of one kind are attended together, so keys are never repeated.

    Logits have tokens before queries. This makes the softmax fast and avoids copying query and result to move the
    heads.
    """
    heads, dim = bank.keys.shape[1], bank.keys.shape[3]
    out = attended.clone(memory_format=torch.contiguous_format)
    query = query.contiguous()
    values = _times(bank.values, bank.segments, factors)
    for kind, rows in _runs(row_kinds):
        q = query[rows].view(-1, heads, dim).permute(1, 2, 0)  # (heads, dim, queries of all rows)
        logits = torch.bmm(bank.keys[kind], q)  # (heads, tokens, queries)
        weights = _segment_softmax(logits, bank, rows.stop - rows.start)  # (heads, tokens, queries)
        run = out[rows].view(-1, heads, dim).transpose(0, 1)  # (heads, queries, dim)
        run.baddbmm_(weights.transpose(1, 2), values[kind])
    return out


def _times(values: Tensor, segments: Sequence[int], factors: Sequence[float]) -> Tensor:
    """Return values (row kinds, heads, tokens, dim) times the factor of each term."""
    if all(factor == 1.0 for factor in factors):
        return values
    each = [factor for factor, tokens in zip(factors, segments, strict=True) for _ in range(tokens)]
    return values * values.new_tensor(each)[:, None]


def _segment_softmax(logits: Tensor, bank: Bank, rows: int) -> Tensor:
    """Return the softmax of each term's logits, (heads, tokens, rows * queries), times its region."""
    parts: list[Tensor] = []
    for part, region in zip(logits.split(list(bank.segments), dim=1), bank.regions, strict=True):
        weights = part.softmax(dim=1)
        parts.append(weights if region is None else weights.mul_(region.repeat(rows)))
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)


def _runs(row_kinds: Sequence[int]) -> Iterator[tuple[int, slice]]:
    first = 0
    for row in range(1, len(row_kinds) + 1):
        if row == len(row_kinds) or row_kinds[row] != row_kinds[first]:
            yield row_kinds[first], slice(first, row)
            first = row


def _add_by_rows(
    attended: Tensor, query: Tensor, bank: Bank, row_kinds: Sequence[int], factors: Sequence[float]
) -> Tensor:
    """For everything else: one fused attention per term, with logits and softmax in float32 for any query dtype.

    Consecutive rows of one kind are attended as one row with more queries, so keys are never repeated.
    """
    kinds = _kinds_of_runs(row_kinds)
    q = split_heads(query.reshape(len(kinds), -1, query.shape[-1]), bank.keys.shape[1])  # (runs, heads, queries, dim)
    own: Tensor | None = None
    for (k, v), region, factor in zip(_by_term(bank, kinds), bank.regions, factors, strict=True):
        image = functional.scaled_dot_product_attention(q, k, v, scale=1.0)  # (runs, heads, queries, dim)
        image = image.transpose(1, 2).reshape(query.shape)  # (rows, queries, heads * dim)
        if region is None:
            own = torch.add(attended, image, alpha=factor, out=own)
        else:
            own = torch.addcmul(attended, image, region[:, None], value=factor, out=own)
        attended = own  # so that all but the first term are added in place
    return attended


def _kinds_of_runs(row_kinds: Sequence[int]) -> tuple[int, ...]:
    """Return the kind of each run of rows of one kind if all runs have the same length, otherwise of each row."""
    runs = list(_runs(row_kinds))
    if len({rows.stop - rows.start for _, rows in runs}) == 1:
        return tuple(kind for kind, _ in runs)
    return tuple(row_kinds)


def _by_term(bank: Bank, kinds: tuple[int, ...]) -> list[tuple[Tensor, Tensor]]:
    """Return each term's keys and values for rows of these kinds, arranged once per bank."""
    if kinds not in bank.arranged:
        segments = list(bank.segments)
        keys, values = (_of_rows(tensor, kinds).split(segments, dim=2) for tensor in (bank.keys, bank.values))
        bank.arranged[kinds] = list(zip(keys, values, strict=True))
    return bank.arranged[kinds]


def _add_beside(
    added: Tensor,
    attended: Tensor,
    query: Tensor,
    banks: Sequence[tuple[Method, Bank]],
    row_kinds: Sequence[int],
    factors: Sequence[float],
) -> Tensor:
    """Return `added` plus what is left of each bank's term beside the text attention; summed in float32 or more."""
    exact = torch.promote_types(query.dtype, torch.float32)
    text, total = attended.to(exact), added.to(exact)
    for method, bank in banks:
        q, (region,), (unit,) = split_heads(query, bank.keys.shape[1]), bank.regions, bank.units
        ((keys, values),) = _by_term(bank, tuple(row_kinds))
        image = orthogonal_attention(text, q, keys, values, method)
        weight = factors[unit] if factors else 1.0
        total = total + weight * image if region is None else total + weight * region.to(exact)[:, None] * image
    largest = torch.finfo(added.dtype).max
    return total.clamp(-largest, largest).to(added.dtype)


def _of_rows(tensor: Tensor, row_kinds: Sequence[int]) -> Tensor:
    """Return (row kinds, ...) expanded to (rows, ...), as a view where possible."""
    first = row_kinds[0]
    if len(set(row_kinds)) == 1:
        return tensor[first].expand(len(row_kinds), *tensor.shape[1:])
    if tuple(row_kinds) == tuple(range(first, first + len(row_kinds))):
        return tensor[first : first + len(row_kinds)]
    return torch.stack([tensor[kind] for kind in row_kinds])

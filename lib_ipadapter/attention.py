"""The mathematics of one cross-attention site: image attention beside the text's (Ye et al. 2023, section 3.2.2).

    out = Attention(Q, K_text, V_text) + sum over units of weight * softmax(Q K_unit^T / sqrt(d)) V_unit

All functions here are pure; shapes use the words rows (of the U-Net call), queries (positions of the picture),
heads, tokens (image tokens of all units of the site, end to end) and dim (of one head).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

COND, UNCOND = 0, 1
"""Roles of a row: under the prompt, or under the negative prompt. They index the first axis of a bank."""


@dataclass(frozen=True)
class Bank:
    """The image keys and values of one site, of every active unit, ready for any rows."""

    keys: Tensor
    """(2 roles, heads, tokens, dim), scaled by dim ** -0.5."""
    values: Tensor
    """(2 roles, heads, tokens, dim), scaled by each unit's weight."""
    segments: tuple[int, ...]
    """Tokens of each unit; their sum is tokens. Each has a softmax of its own."""

    @property
    def bytes(self) -> int:
        return sum(tensor.numel() * tensor.element_size() for tensor in (self.keys, self.values))


def split_heads(tensor: Tensor, heads: int) -> Tensor:
    """Return (rows, tokens, heads * dim) as (rows, heads, tokens, dim), without a copy."""
    return tensor.unflatten(-1, (heads, -1)).transpose(-2, -3)


def make_bank(units: Sequence[tuple[Tensor, Tensor, float]], heads: int, like: Tensor) -> Bank:
    """Return the bank of units given as (keys, values, weight), in the dtype and on the device of `like`.

    Keys and values are (2 roles, tokens, heads * dim) as `to_k_ip` and `to_v_ip` return them. Values that half
    precision cannot hold are brought to its largest number, for infinity times nothing is no number.
    """
    exact = torch.promote_types(like.dtype, torch.float32)
    scale = (units[0][0].shape[-1] // heads) ** -0.5
    keys = torch.cat([keys.to(exact) * scale for keys, _, _ in units], dim=1)
    values = torch.cat([values.to(exact) * weight for _, values, weight in units], dim=1)
    largest = torch.finfo(like.dtype).max
    fit = [
        split_heads(tensor.clamp(-largest, largest), heads).to(like.device, like.dtype).contiguous()
        for tensor in (keys, values)
    ]
    return Bank(fit[0], fit[1], tuple(keys.shape[1] for keys, _, _ in units))


def add_image_attention(attended: Tensor, query: Tensor, bank: Bank, roles: Sequence[int]) -> Tensor:
    """Return `attended` plus the image attention of every unit in `bank`.

    `attended` is the text's attention with merged heads before the output projection, `query` what `to_q` returned:
    both (rows, queries, heads * dim). `roles` names each row COND or UNCOND. The result is a new tensor.
    """
    if query.device.type == "cpu" and query.dtype in (torch.float32, torch.float64):
        return _add_by_runs(attended, query, bank, roles)
    return _add_by_rows(attended, query, bank, roles)


def _add_by_runs(attended: Tensor, query: Tensor, bank: Bank, roles: Sequence[int]) -> Tensor:
    """Full precision on a CPU: neighbouring rows of one role are one long picture, so keys are never repeated.

    Tokens stand before queries in the logits: the softmax then runs along memory, and the heads stay where they are,
    so that neither query nor result is copied.
    """
    heads, dim = bank.keys.shape[1], bank.keys.shape[3]
    out = attended.clone(memory_format=torch.contiguous_format)
    query = query.contiguous()
    for role, rows in _runs(roles):
        q = query[rows].view(-1, heads, dim).permute(1, 2, 0)  # (heads, dim, queries of all rows)
        logits = torch.bmm(bank.keys[role], q)  # (heads, tokens, queries)
        weights = _segment_softmax(logits, bank.segments)  # (heads, tokens, queries)
        run = out[rows].view(-1, heads, dim).transpose(0, 1)  # (heads, queries, dim)
        run.baddbmm_(weights.transpose(1, 2), bank.values[role])
    return out


def _segment_softmax(logits: Tensor, segments: Sequence[int]) -> Tensor:
    if len(segments) == 1:
        return logits.softmax(dim=1)
    return torch.cat([segment.softmax(dim=1) for segment in logits.split(list(segments), dim=1)], dim=1)


def _runs(roles: Sequence[int]) -> Iterator[tuple[int, slice]]:
    first = 0
    for row in range(1, len(roles) + 1):
        if row == len(roles) or roles[row] != roles[first]:
            yield roles[first], slice(first, row)
            first = row


def _add_by_rows(attended: Tensor, query: Tensor, bank: Bank, roles: Sequence[int]) -> Tensor:
    """Everywhere else: one fused attention a unit, whose logits and softmax are float32 whatever the query is."""
    heads = bank.keys.shape[1]
    q = split_heads(query, heads)  # (rows, heads, queries, dim)
    keys, values = (_of_rows(tensor, roles).split(list(bank.segments), dim=2) for tensor in (bank.keys, bank.values))
    for k, v in zip(keys, values, strict=True):
        image = functional.scaled_dot_product_attention(q, k, v, scale=1.0)  # (rows, heads, queries, dim)
        attended = attended + image.transpose(1, 2).flatten(2)  # (rows, queries, heads * dim)
    return attended


def _of_rows(tensor: Tensor, roles: Sequence[int]) -> Tensor:
    """Return (2 roles, ...) as (rows, ...); a view where it can be one."""
    if len(set(roles)) == 1:
        return tensor[roles[0]].expand(len(roles), *tensor.shape[1:])
    return torch.stack([tensor[role] for role in roles])

"""A pass of sampling in AUTOMATIC1111's web UI: finds the role and picture of each row in each call of the model."""

import itertools
from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from modules import shared

from ..base.errors import IPAdapterError
from ..port import COND, UNCOND, Row
from .cond_text import same_texts, seen_texts
from .sampling import Pass, progress


class A1111Pass(Pass):
    """Watches the model inside the denoiser; the rows of its calls are slices of the denoiser's batch."""

    @staticmethod
    def watched(params: Any) -> torch.nn.Module:
        return params.denoiser.inner_model

    def begin_call(self, module: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.run.inject(shared.sd_model.model.diffusion_model)
        table = row_table(self.params, self.first_picture)
        if self.run.unfolds:
            refuse_other_order(table, self.params.x)
        rows = rows_by_place(table, self.params.x, args[0])
        if rows is None:
            rows = rows_by_text(table, self.params, kwargs["cond"] if "cond" in kwargs else args[2])
        self.run.begin_call(rows, progress(self.params.denoiser), self.size, partial(rows_by_text, table, self.params))


def row_table(params: Any, first_picture: int = 0) -> list[Row]:
    """Return the rows of the denoiser's batch: conds of each picture, then unconds (twice in edit models).

    Source: modules/sd_samplers_cfg_denoiser.py, `CFGDenoiser.forward`, where `x_in` is built.
    """
    batch = params.denoiser.sampler.sampler_extra_args["cond"].batch
    conds = [Row(COND, first_picture + picture) for picture, prompts in enumerate(batch) for _ in prompts]
    rows = params.x.shape[0]
    if rows < len(conds):
        raise IPAdapterError(
            f"expected at least {len(conds)} rows in the denoiser's batch, one per prompt; found {rows}."
        )
    return conds + [Row(UNCOND, first_picture + row % len(batch)) for row in range(rows - len(conds))]


def refuse_other_order(table: Sequence[Row], x: torch.Tensor) -> None:
    """Raise `IPAdapterError` where rows of one picture differ, because another extension has changed their order.

    Regional Prompter does so for a batch in its latent mode (scripts/latent.py, `denoiser_callback_s`).
    """
    firsts = {row.picture: place for place, row in reversed(list(enumerate(table)))}
    if not torch.equal(x[: len(table)], x[[firsts[row.picture] for row in table]]):
        raise IPAdapterError(
            "expected the rows of a picture to be equal, but another extension has changed their order, so references "
            "cannot be matched to pictures. Switch off unfold or that extension."
        )


def rows_by_place(table: Sequence[Row], whole: torch.Tensor, part: torch.Tensor) -> Sequence[Row] | None:
    """Return the rows of `table` for `part`, a slice of `whole` that the denoiser made as a view.

    Returns None for anything else, as when another extension calls the model with its own batch.
    """
    if part.untyped_storage().data_ptr() != whole.untyped_storage().data_ptr():
        return None
    first = (int(part.storage_offset()) - int(whole.storage_offset())) // whole.stride(0)
    return table[first : first + len(part)]


def rows_by_text(table: Sequence[Row], params: Any, given: Any) -> list[Row]:
    """Return the rows of a batch that another extension made, identified by their text conditioning.

    Self-attention guidance, for instance, calls the model again with only the negative prompt, and AnimateDiff runs
    the U-Net on a window of frames. Rows with the same text are assigned to the pictures in order. Raises
    `IPAdapterError` for text that matches neither or both of prompt and negative prompt.
    """
    rows = seen_texts(given)
    found = (same_texts(seen_texts(texts), rows) for texts in (params.text_cond, params.text_uncond))
    each = [[*conds, *unconds] for conds, unconds in zip(*found, strict=True)]  # in the order of `table`
    alike = [tuple(i for i, equal in enumerate(row) if equal) for row in each]
    if any(len({table[i].role for i in each}) != 1 for each in alike):
        raise IPAdapterError(
            f"expected the denoiser's {len(table)} rows or a part of them, but another extension uses its own batch of "
            f"{len(alike)} rows, and their text does not show which of them belong to the prompt. "
            "Switch off that extension or the IP-Adapter units."
        )
    turns = {each: itertools.cycle(each) for each in alike}
    return [table[next(turns[each])] for each in alike]

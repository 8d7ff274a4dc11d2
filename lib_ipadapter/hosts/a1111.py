"""The door to AUTOMATIC1111's web UI 1.10: devices, and the way from its denoiser to the U-Net."""

import itertools
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from modules import devices, lowvram, sd_models, sd_unet, shared

from ..base.errors import IPAdapterError
from ..port import COND, UNCOND, PassInfo, Row, SamplingRunPort
from .cond_text import same_text, seen_texts
from .instantid_a1111 import contexts_of, listen
from .sampling import Pass, act, forget, http_error, progress
from .webui import *  # noqa: F403 (what every door has from there)
from .webui import pass_info as common_pass_of


def compute_device() -> torch.device:
    return devices.get_optimal_device() if "all" not in shared.cmd_opts.use_cpu else devices.cpu


def compute_dtype() -> torch.dtype:
    return torch.float32 if compute_device().type == "cpu" else devices.dtype


def free_memory(needed: int) -> None:
    if getattr(shared.sd_model, "lowvram", False):
        lowvram.send_everything_to_cpu()
        devices.torch_gc()


def sampling_unet(p: Any) -> torch.nn.Module:
    """Return the U-Net that will sample `p`; raises `IPAdapterError` where another program computes in its place."""
    if sd_unet.current_unet is not None:
        raise IPAdapterError(
            f"cannot act on the U-Net {sd_unet.current_unet.option.label}, which is not computed by torch. "
            "Set SD Unet to None in the settings, or switch the units off."
        )
    return p.sd_model.model.diffusion_model


def loaded_unet() -> torch.nn.Module | None:
    model = sd_models.model_data.sd_model
    return getattr(getattr(model, "model", None), "diffusion_model", None)


def answer_refusals(app: Any) -> None:
    """Leave it to the web UI's own API, which answers with all that a refusal holds."""


def show_refusals() -> None:
    """Leave it to the web UI's own panel, which shows what a generation raises."""


def before_process(p: Any, feeding: bool) -> None:
    """Prepare a generation in which units may feed ControlNets, before any script does anything for it."""
    forget(p)
    listen(p, feeding, http_error)


def pass_info(p: Any) -> PassInfo:
    return replace(common_pass_of(p), feeds_controlnet=contexts_of(p) is not None)


def while_sampling(p: Any, run: SamplingRunPort | None) -> None:
    contexts = contexts_of(p)
    if contexts:
        contexts.run = run
    act(p, run and A1111Pass(p, run))


class A1111Pass(Pass):
    """Sees the model inside the denoiser, whose rows are always a slice of the denoiser's whole batch."""

    @staticmethod
    def watched(params: Any) -> torch.nn.Module:
        return params.denoiser.inner_model

    def arm(self, module: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.run.inject(shared.sd_model.model.diffusion_model)
        table = row_table(self.params, self.first_picture)
        if self.run.unfolds:
            refuse_other_order(table, self.params.x)
        rows = rows_by_place(table, self.params.x, args[0])
        if rows is None:
            rows = rows_by_text(table, self.params, kwargs["cond"] if "cond" in kwargs else args[2])
        self.run.begin_call(rows, progress(self.params.denoiser), self.size, partial(rows_by_text, table, self.params))


on_cfg_denoiser = A1111Pass.on_cfg_denoiser


def row_table(params: Any, first_picture: int = 0) -> list[Row]:
    """Return what each row of the denoiser's batch is: conds of each picture, then unconds (twice in edit models).

    Source: modules/sd_samplers_cfg_denoiser.py, `CFGDenoiser.forward`, where `x_in` is put together.
    """
    batch = params.denoiser.sampler.sampler_extra_args["cond"].batch
    conds = [Row(COND, first_picture + picture) for picture, prompts in enumerate(batch) for _ in prompts]
    rows = params.x.shape[0]
    if rows < len(conds):
        raise IPAdapterError(f"expected at least {len(conds)} rows in the denoiser's batch, one a prompt; {rows} came.")
    return conds + [Row(UNCOND, first_picture + row % len(batch)) for row in range(rows - len(conds))]


def refuse_other_order(table: Sequence[Row], x: torch.Tensor) -> None:
    """Raise `IPAdapterError` where rows of one picture differ, so that another extension has changed their order.

    Regional Prompter does so for a batch in its latent mode (scripts/latent.py, `denoiser_callback_s`).
    """
    firsts = {row.picture: place for place, row in reversed(list(enumerate(table)))}
    if not all(torch.equal(x[place], x[firsts[row.picture]]) for place, row in enumerate(table)):
        raise IPAdapterError(
            "expected the rows of a picture to be equal, but another extension has changed their order, so which "
            "reference is whose is not known. Switch unfold or that extension off."
        )


def rows_by_place(table: Sequence[Row], whole: torch.Tensor, part: torch.Tensor) -> Sequence[Row] | None:
    """Return the part of `table` for `part`, which the denoiser cut from `whole` along the rows as a view.

    None for what is no view of it, as when another extension calls the model with a batch of its own.
    """
    if part.untyped_storage().data_ptr() != whole.untyped_storage().data_ptr():
        return None
    first = (part.storage_offset() - whole.storage_offset()) // whole.stride(0)
    return table[first : first + len(part)]


def rows_by_text(table: Sequence[Row], params: Any, given: Any) -> list[Row]:
    """Return what the rows are of a batch that another extension made, by the text that each of them sees.

    Self-attention guidance, for instance, calls the model once more with the negative prompt alone, and AnimateDiff
    lets the U-Net see a window of the frames. Rows that see the same text stand for the pictures in their order.
    Raises `IPAdapterError` for a text that is neither the prompt's nor the negative prompt's, or both.
    """
    texts = [*seen_texts(params.text_cond), *seen_texts(params.text_uncond)]  # in the order of `table`
    alike = [tuple(i for i, text in enumerate(texts) if same_text(text, row)) for row in seen_texts(given)]
    if any(len({table[i].role for i in each}) != 1 for each in alike):
        raise IPAdapterError(
            f"expected the denoiser's {len(table)} rows or a part of them, but another extension makes a batch of "
            f"{len(alike)} rows of its own, whose text does not tell which of them are the prompt's. "
            "Switch that extension or the IP-Adapter units off."
        )
    turns = {each: itertools.cycle(each) for each in alike}
    return [table[next(turns[each])] for each in alike]

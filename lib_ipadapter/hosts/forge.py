"""The door to the Forge family (Forge, Forge Neo, reForge, Forge Classic): memory, and the way to the U-Net.

Nothing is put on a patcher, so nothing is copied with one or left on it: hooks of torch on the U-Net see each call's
options, in which Forge says what the rows are, and patches that a call needs go into a copy of those options.
"""

import functools
import importlib
import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from fastapi import Request
from fastapi.responses import JSONResponse
from modules import devices, sd_models, shared

from ..base.errors import IPAdapterError
from ..port import COND, UNCOND, PassInfo, Row, SamplingRunPort
from .cond_text import same_text, seen_texts
from .instantid_a1111 import unfed
from .instantid_forge import Feeding, networks_of
from .other_extensions import controlnets_models
from .sampling import Pass, Refusal, act, forget, progress, stop_on_error
from .webui import *  # noqa: F403 (what every door has from there)
from .webui import pass_info as common_pass_of

MEMORY = ("backend.memory_management", "ldm_patched.modules.model_management")
"""The memory management of Forge and Forge Neo, and of reForge and Forge Classic."""

ROLES = {0: COND, 1: UNCOND}
"""Forge's marks of a chunk of rows (backend/sampling/sampling_function.py, `calc_cond_uncond_batch`)."""

SHOWS = "ip_adapter_shows_refusals"
"""Mark of what was put in the place of the web UI's own, which outlives a reload of the UI."""


@functools.cache
def _memory() -> Any:
    return importlib.import_module(next(name for name in MEMORY if importlib.util.find_spec(name.split(".")[0])))


def compute_device() -> torch.device:
    return _memory().get_torch_device()


def compute_dtype() -> torch.dtype:
    return torch.float32 if compute_device().type == "cpu" else devices.dtype


def free_memory(needed: int) -> None:
    """Let Forge move models off the device until `needed` bytes and what it keeps for computing are free there."""
    device = compute_device()
    if device.type != "cpu":
        _memory().free_memory(needed + _memory().minimum_inference_memory(), device)


def sampling_unet(p: Any) -> torch.nn.Module:
    """Return what will sample `p`, whatever kind of network it is; adapters say themselves whether they fit."""
    return p.sd_model.forge_objects.unet.model.diffusion_model


def loaded_unet() -> torch.nn.Module | None:
    """Return the loaded checkpoint's network; Forge loads the first one when it is first needed."""
    model = sd_models.model_data.sd_model
    return model.forge_objects.unet.model.diffusion_model if hasattr(model, "forge_objects") else None


def answer_refusals(app: Any) -> None:
    """Answer with all that a refusal holds, as AUTOMATIC1111's API does; Forge's tells only the sentence."""

    async def answer(_request: Request, error: Any) -> JSONResponse:
        text = {"error": "Refusal", "detail": error.detail, "errors": str(error), "body": getattr(error, "body", "")}
        return JSONResponse(text, error.status_code)

    app.add_exception_handler(Refusal, answer)
    app.middleware_stack = None  # made anew, with the handler, for the next request


class Refused:
    """Stands in the place of a generation's outputs: to take them raises the refusal, as if that had not been lost."""

    def __init__(self, refusal: Refusal) -> None:
        self.refusal = refusal

    def __iter__(self) -> Any:
        raise self.refusal


def show_refusals() -> None:
    """Let the panel show why a generation was refused where only the console tells it, the panel that None came.

    Source: modules_forge/main_thread.py of reForge and Forge Classic; in Forge and Forge Neo `work` raises nothing.
    """
    task = importlib.import_module("modules_forge.main_thread").Task
    work = task.work
    if hasattr(work, SHOWS):
        return

    def showing(self: Any) -> None:
        try:
            work(self)
        except Refusal as refusal:
            self.result = Refused(refusal)

    setattr(showing, SHOWS, True)
    task.work = showing


def before_process(p: Any, feeding: bool) -> None:
    """Forget an earlier generation of this record; what this one's ControlNets see is set in each pass."""
    forget(p)


def pass_info(p: Any) -> PassInfo:
    """Return what is known of the pass; InstantID's ControlNet is not fed beside an adapter of ControlNet's own.

    That one says what all ControlNets see (sd_forge_ipadapter, lib_ipadapter/IPAdapterPlus.py).
    """
    return replace(common_pass_of(p), feeds_controlnet=bool(unfed(controlnets_models(p))))


def while_sampling(p: Any, run: SamplingRunPort | None) -> None:
    with stop_on_error(p):
        act(p, run and ForgePass(p, run, networks_of(p) if run.feeds_controlnet else ()))


class ForgePass(Pass):
    """Sees the U-Net itself, to which Forge tells with each call what the rows are."""

    def __init__(self, p: Any, run: SamplingRunPort, networks: Sequence[Any]) -> None:
        super().__init__(p, run)
        self._feeding = Feeding(networks, self._tokens)

    @staticmethod
    def watched(params: Any) -> torch.nn.Module:
        return shared.sd_model.forge_objects.unet.model.diffusion_model

    def expect(self, params: Any) -> None:
        super().expect(params)
        self.run.inject(self.watched(params))  # after the hook that arms, and before the call
        self._feeding.put_on(shared.sd_model.forge_objects.unet)

    def end(self) -> None:
        self._feeding.take_off()
        super().end()

    def _tokens(self, number: int, options: Mapping[str, Any], text: torch.Tensor) -> torch.Tensor:
        """Return what one of InstantID's ControlNets sees, which is called before the U-Net, with the same rows."""
        self._tell(rows_of(options, self.first_picture), text)
        return self.run.face_tokens(number, len(text)).to(text)

    def _tell(self, rows: list[Row], text: torch.Tensor) -> None:
        self.run.begin_call(told_by_text(rows, self.params, text), progress(self.params.denoiser), self.size)

    def arm(self, module: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        options: Mapping[str, Any] = kwargs.get("transformer_options", {})
        rows = rows_of(options, self.first_picture)
        self._tell(rows, kwargs["context"] if "context" in kwargs else args[2])
        if options.get("patches", {}).get("attn2_patch"):
            return args, {**kwargs, "transformer_options": {**options, "patches": around(options["patches"], self.run)}}
        return None


on_cfg_denoiser = ForgePass.on_cfg_denoiser


def rows_of(options: Mapping[str, Any], first_picture: int) -> list[Row]:
    """Return what each row of a call of the U-Net is: chunks, each of them one row for every picture.

    A chunk is one prompt, or one part of a prompt joined by AND, for all pictures; there may be any number, and of one
    role only. Source: backend/sampling/sampling_function.py, `calc_cond_uncond_batch`.
    """
    if "cond_or_uncond" not in options or "sigmas" not in options:
        raise IPAdapterError(
            "expected the web UI to say which rows of the U-Net's batch belong to the prompt, but another extension "
            "calls the U-Net without that. Switch that extension or the IP-Adapter units off."
        )
    pictures = range(first_picture, first_picture + len(options["sigmas"]))
    return [Row(ROLES[chunk], picture) for chunk in options["cond_or_uncond"] for picture in pictures]


def told_by_text(rows: list[Row], params: Any, text: torch.Tensor) -> list[Row]:
    """Return the rows of a call that has none of the negative prompt by its marks, by the text that they see.

    Forge marks as the prompt's whatever an extension evaluates by itself, and self-attention guidance so evaluates the
    negative prompt (extensions-builtin/sd_forge_sag, `post_cfg_function`). Where both texts are equal, marks count.
    """
    if params.text_uncond is None or len(text) != len(rows) or any(row.role == UNCOND for row in rows):
        return rows
    prompts, negatives = seen_texts(params.text_cond), seen_texts(params.text_uncond)

    def negative(seen: torch.Tensor) -> bool:
        return any(same_text(each, seen) for each in negatives) and not any(same_text(each, seen) for each in prompts)

    return [row._replace(role=UNCOND) if negative(seen) else row for row, seen in zip(rows, text, strict=True)]


def around(patches: Mapping[str, Any], run: SamplingRunPort) -> dict[str, Any]:
    """Return the patches with ours first and last around attn2, for others between may change the number of rows.

    Source: backend/nn/unet.py, `BasicTransformerBlock._forward`.
    """

    def enter(hidden: Any, context: Any, value: Any, options: Mapping[str, Any]) -> tuple[Any, Any, Any]:
        run.enter(_path(options), hidden)
        return hidden, context, value

    def leave(output: Any, options: Mapping[str, Any]) -> Any:
        return run.leave(_path(options), output)

    last = patches.get("attn2_output_patch", [])
    return {**patches, "attn2_patch": [enter, *patches["attn2_patch"]], "attn2_output_patch": [*last, leave]}


def _path(options: Mapping[str, Any]) -> str:
    """Return the name of the cross-attention at work inside the U-Net."""
    block, number = options["block"]
    place = "middle_block.1" if block == "middle" else f"{block}_blocks.{number}.1"
    return f"{place}.transformer_blocks.{options['block_index']}.attn2"

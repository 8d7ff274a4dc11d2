"""A pass of sampling in the Forge family: finds the role and picture of each row in each call of the U-Net.

Nothing is added to a patcher, so nothing can be cloned with it or left on it. Torch hooks on the U-Net read each call's
transformer options, in which Forge marks the rows; patches for a call go into a copy of the options.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from modules import shared

from ..base.errors import IPAdapterError
from ..port import COND, UNCOND, Row, SamplingRunPort
from .cond_text import same_texts, seen_texts
from .instantid_forge import Feeding
from .sampling import Pass, progress

ROLES = {0: COND, 1: UNCOND}
"""Forge's `cond_or_uncond` values (backend/sampling/sampling_function.py, `calc_cond_uncond_batch`)."""


class ForgePass(Pass):
    """Watches the U-Net itself, which Forge calls with a mark for each chunk of rows."""

    def __init__(self, p: Any, run: SamplingRunPort, controlnets: Sequence[Any]) -> None:
        super().__init__(p, run)
        self._feeding = Feeding(controlnets, self._tokens)

    @staticmethod
    def watched(params: Any) -> torch.nn.Module:
        return shared.sd_model.forge_objects.unet.model.diffusion_model

    def expect(self, params: Any) -> None:
        super().expect(params)
        self.run.inject(self.watched(params))  # after the hook for each call, but before the call itself
        self._feeding.put_on(shared.sd_model.forge_objects.unet)

    def end(self) -> None:
        self._feeding.take_off()
        super().end()

    def _tokens(self, number: int, options: Mapping[str, Any], text: torch.Tensor) -> torch.Tensor:
        """Return the tokens for one of InstantID's ControlNets, which is called before the U-Net with the same rows."""
        self._begin(rows_of(options, self.first_picture), text)
        return self.run.face_tokens(number, len(text)).to(text)

    def _begin(self, rows: list[Row], text: torch.Tensor) -> None:
        self.run.begin_call(corrected_by_text(rows, self.params, text), progress(self.params.denoiser), self.size)

    def begin_call(self, module: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        options: Mapping[str, Any] = kwargs.get("transformer_options", {})
        rows = rows_of(options, self.first_picture)
        self._begin(rows, kwargs["context"] if "context" in kwargs else args[2])
        if options.get("patches", {}).get("attn2_patch"):
            return args, {**kwargs, "transformer_options": {**options, "patches": around(options["patches"], self.run)}}
        return None


def rows_of(options: Mapping[str, Any], first_picture: int) -> list[Row]:
    """Return the rows of a call of the U-Net, which consists of chunks with one row per picture.

    A chunk is a prompt, or a part of a prompt joined by AND, for all pictures. A call may have any number of chunks,
    even of only one role. Source: backend/sampling/sampling_function.py, `calc_cond_uncond_batch`.
    """
    if "cond_or_uncond" not in options or "sigmas" not in options:
        raise IPAdapterError(
            "expected the web UI to mark which rows of the U-Net's batch belong to the prompt, but another extension "
            "calls the U-Net without these marks. Switch off that extension or the IP-Adapter units."
        )
    pictures = range(first_picture, first_picture + len(options["sigmas"]))
    return [Row(ROLES[chunk], picture) for chunk in options["cond_or_uncond"] for picture in pictures]


def corrected_by_text(rows: list[Row], params: Any, text: torch.Tensor) -> list[Row]:
    """Return the rows of a call without unconditional marks, with roles corrected by their text conditioning.

    Forge marks everything that an extension evaluates as conditional, but self-attention guidance evaluates the
    negative prompt (extensions-builtin/sd_forge_sag, `post_cfg_function`). If both texts are equal, marks are trusted.
    """
    if params.text_uncond is None or len(text) != len(rows) or any(row.role == UNCOND for row in rows):
        return rows
    prompts, negatives = seen_texts(params.text_cond), seen_texts(params.text_uncond)
    pictures = len({row.picture for row in rows})
    firsts = text[::pictures]  # of each chunk, whose rows have one role
    prompted, negated = (map(any, same_texts(texts, firsts)) for texts in (prompts, negatives))
    roles = [UNCOND if no and not yes else COND for yes, no in zip(prompted, negated, strict=True)]
    return [row._replace(role=roles[index // pictures]) for index, row in enumerate(rows)]


def around(patches: Mapping[str, Any], run: SamplingRunPort) -> dict[str, Any]:
    """Return the patches with ours outermost around attn2, because other patches may change the number of rows.

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
    """Return the path of the current cross-attention in the U-Net."""
    block, number = options["block"]
    place = "middle_block.1" if block == "middle" else f"{block}_blocks.{number}.1"
    return f"{place}.transformer_blocks.{options['block_index']}.attn2"

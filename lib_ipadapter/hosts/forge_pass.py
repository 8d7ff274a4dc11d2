"""One pass of sampling in the Forge family: what each row of each call of the U-Net is.

Nothing is put on a patcher, so nothing is copied with one or left on it: hooks of torch on the U-Net see each call's
options, in which Forge says what the rows are, and patches that a call needs go into a copy of those options.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from modules import shared

from ..base.errors import IPAdapterError
from ..port import COND, UNCOND, Row, SamplingRunPort
from .cond_text import same_text, seen_texts
from .instantid_forge import Feeding
from .sampling import Pass, progress

ROLES = {0: COND, 1: UNCOND}
"""Forge's marks of a chunk of rows (backend/sampling/sampling_function.py, `calc_cond_uncond_batch`)."""


class ForgePass(Pass):
    """Watches the U-Net itself, which Forge calls with marks of what the rows are."""

    def __init__(self, p: Any, run: SamplingRunPort, controlnets: Sequence[Any]) -> None:
        super().__init__(p, run)
        self._feeding = Feeding(controlnets, self._tokens)

    @staticmethod
    def watched(params: Any) -> torch.nn.Module:
        return shared.sd_model.forge_objects.unet.model.diffusion_model

    def expect(self, params: Any) -> None:
        super().expect(params)
        self.run.inject(self.watched(params))  # after the hook of each call, and before the call
        self._feeding.put_on(shared.sd_model.forge_objects.unet)

    def end(self) -> None:
        self._feeding.take_off()
        super().end()

    def _tokens(self, number: int, options: Mapping[str, Any], text: torch.Tensor) -> torch.Tensor:
        """Return what one of InstantID's ControlNets sees, which is called before the U-Net, with the same rows."""
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
    """Return what each row of a call of the U-Net is: chunks, each of them one row for every picture.

    A chunk is one prompt, or one part of a prompt joined by AND, for all pictures. A call has any number of them, also
    of one role only. Source: backend/sampling/sampling_function.py, `calc_cond_uncond_batch`.
    """
    if "cond_or_uncond" not in options or "sigmas" not in options:
        raise IPAdapterError(
            "expected the web UI to say which rows of the U-Net's batch belong to the prompt, but another extension "
            "calls the U-Net without that. Switch that extension or the IP-Adapter units off."
        )
    pictures = range(first_picture, first_picture + len(options["sigmas"]))
    return [Row(ROLES[chunk], picture) for chunk in options["cond_or_uncond"] for picture in pictures]


def corrected_by_text(rows: list[Row], params: Any, text: torch.Tensor) -> list[Row]:
    """Return the rows of a call whose marks name no row of the negative prompt, by the text that they see.

    Forge marks whatever an extension evaluates by itself as the prompt's, and self-attention guidance evaluates the
    negative prompt so (extensions-builtin/sd_forge_sag, `post_cfg_function`). Where both texts are equal, marks count.
    """
    if params.text_uncond is None or len(text) != len(rows) or any(row.role == UNCOND for row in rows):
        return rows
    prompts, negatives = seen_texts(params.text_cond), seen_texts(params.text_uncond)

    def negative(seen: torch.Tensor) -> bool:
        return any(same_text(each, seen) for each in negatives) and not any(same_text(each, seen) for each in prompts)

    return [row._replace(role=UNCOND) if negative(seen) else row for row, seen in zip(rows, text, strict=True)]


def around(patches: Mapping[str, Any], run: SamplingRunPort) -> dict[str, Any]:
    """Return the patches with ours first and last around attn2, because others may change the number of rows.

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

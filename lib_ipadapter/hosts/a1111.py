"""AUTOMATIC1111's web UI 1.10 as a host: its devices, and the U-Net behind its denoiser."""

from pathlib import Path
from typing import Any

import torch
from modules import devices, lowvram, sd_models, sd_unet, shared

from ..base.errors import IPAdapterError
from ..port import SamplingRunPort
from .a1111_pass import A1111Pass
from .instantid_a1111 import face_tokens_of, prepare
from .sampling import use_pass
from .webui import WebUI


class A1111(WebUI):
    pass_class = A1111Pass
    family = "AUTOMATIC1111"

    def compute_device(self) -> torch.device:
        return devices.get_optimal_device() if "all" not in shared.cmd_opts.use_cpu else devices.cpu

    def compute_dtype(self) -> torch.dtype:
        return torch.float32 if self.compute_device().type == "cpu" else devices.dtype

    def free_memory(self, needed: int) -> None:
        if getattr(shared.sd_model, "lowvram", False):
            lowvram.send_everything_to_cpu()
            devices.torch_gc()

    def sampling_unet(self, p: Any) -> torch.nn.Module:
        """Return the U-Net that will sample `p`; raises `IPAdapterError` if an SD Unet, as TensorRT's, replaces it."""
        if sd_unet.current_unet is not None:
            raise IPAdapterError(
                f"units do not work with the U-Net {sd_unet.current_unet.option.label}, which does not run in torch. "
                "Set SD Unet to None in the settings, or switch the units off."
            )
        return p.sd_model.model.diffusion_model

    def checkpoint_to_load(self) -> Path | None:
        """Return None: the web UI loads a checkpoint as soon as it is chosen."""

    def loaded_unet(self) -> torch.nn.Module | None:
        model = sd_models.model_data.sd_model
        return getattr(getattr(model, "model", None), "diffusion_model", None)

    def before_process(self, p: Any, feeds_controlnet: bool) -> None:
        super().before_process(p, feeds_controlnet)
        prepare(p, feeds_controlnet, self.http_error)

    def feeds_controlnet(self, p: Any) -> bool:
        return face_tokens_of(p) is not None

    def while_sampling(self, p: Any, run: SamplingRunPort | None) -> None:
        tokens = face_tokens_of(p)
        if tokens:
            tokens.run = run
        use_pass(p, A1111Pass(p, run) if run else None)

    def answer_refusals(self, app: Any) -> None:
        """Do nothing: the web UI's API already returns all details of an error."""

    def show_refusals(self) -> None:
        """Do nothing: the web UI's page already shows errors of a generation."""

"""The Forge family as a host: Forge, Forge Neo, reForge and Forge Classic, which differ mainly in module names."""

import functools
import importlib
import importlib.util
from pathlib import Path
from typing import Any

import torch
from fastapi import Request
from fastapi.responses import JSONResponse
from modules import devices, sd_models

from ..port import SamplingRunPort
from .forge_pass import ForgePass
from .instantid import controlnets_without_adapter
from .instantid_forge import networks_of
from .other_extensions import controlnets_models
from .refusal import Refusal
from .sampling import use_pass
from .webui import WebUI

MEMORY = ("backend.memory_management", "ldm_patched.modules.model_management")
"""Module of the memory management in Forge and Forge Neo, and in reForge and Forge Classic."""

SHOWS = "ip_adapter_shows_refusals"
"""Attribute that marks our replacement of the web UI's function, which stays after Reload UI."""


class Forge(WebUI):
    pass_class = ForgePass
    family = "Forge family"

    @functools.cached_property
    def memory_management(self) -> Any:
        name = next(name for name in MEMORY if importlib.util.find_spec(name.split(".")[0]))
        return importlib.import_module(name)

    def compute_device(self) -> torch.device:
        return self.memory_management.get_torch_device()

    def compute_dtype(self) -> torch.dtype:
        return torch.float32 if self.compute_device().type == "cpu" else devices.dtype

    def free_memory(self, needed: int) -> None:
        """Let Forge unload models from the device until `needed` bytes and its own inference memory are free."""
        device, memory = self.compute_device(), self.memory_management
        if device.type != "cpu":
            memory.free_memory(needed + memory.minimum_inference_memory(), device)

    def sampling_unet(self, p: Any) -> torch.nn.Module:
        """Return the network that will sample `p`, of any kind; whether adapters fit it is checked elsewhere."""
        return p.sd_model.forge_objects.unet.model.diffusion_model

    def checkpoint_to_load(self) -> Path | None:
        """Return the chosen checkpoint, because Forge loads it only when it is needed."""
        chosen = sd_models.checkpoint_aliases.get(self.checkpoint_name())
        return Path(chosen.filename) if chosen else None

    def loaded_unet(self) -> torch.nn.Module | None:
        """Return the loaded checkpoint's network, or None, because Forge loads a checkpoint only when it is needed."""
        model = sd_models.model_data.sd_model
        return model.forge_objects.unet.model.diffusion_model if hasattr(model, "forge_objects") else None

    def feeds_controlnet(self, p: Any) -> bool:
        """Return whether InstantID's ControlNets take our tokens: not if ControlNet's own adapter is active, which sets
        the tokens for all ControlNets.

        Source: sd_forge_ipadapter, lib_ipadapter/IPAdapterPlus.py.
        """
        return bool(controlnets_without_adapter(controlnets_models(p)))

    def while_sampling(self, p: Any, run: SamplingRunPort | None) -> None:
        with self.stop_on_error(p):
            use_pass(p, self._pass(p, run) if run else None)

    def _pass(self, p: Any, run: SamplingRunPort) -> ForgePass:
        return ForgePass(p, run, networks_of(p) if run.feeds_controlnet else ())

    def answer_refusals(self, app: Any) -> None:
        """Make the API return all details of an error, as AUTOMATIC1111's does; Forge's returns only its text."""

        async def answer(_request: Request, error: Any) -> JSONResponse:
            body = getattr(error, "body", "")
            text = {"error": "Refusal", "detail": error.detail, "errors": str(error), "body": body}
            return JSONResponse(text, error.status_code)

        app.add_exception_handler(Refusal, answer)
        app.middleware_stack = None  # rebuilt with the handler at the next request

    def show_refusals(self) -> None:
        """Make the page show why a generation was stopped; otherwise only the console shows it.

        Source: modules_forge/main_thread.py of reForge and Forge Classic; in Forge and Forge Neo `work` raises nothing.
        """
        task = importlib.import_module("modules_forge.main_thread").Task
        work = task.work
        if hasattr(work, SHOWS):
            return

        def showing(task: Any) -> None:
            try:
                work(task)
            except Refusal as refusal:
                task.result = RefusedResult(refusal)

        setattr(showing, SHOWS, True)
        task.work = showing


class RefusedResult:
    """Replaces a generation's outputs; unpacking it raises the error that the web UI would otherwise lose."""

    def __init__(self, refusal: Refusal) -> None:
        self.refusal = refusal

    def __iter__(self) -> Any:
        raise self.refusal

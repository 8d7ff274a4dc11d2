"""The door to AUTOMATIC1111's web UI 1.10: folders, devices, and the way from its denoiser to the U-Net."""

import logging
import secrets
import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from fastapi import Depends, HTTPException, Request
from fastapi.security import HTTPBasic, HTTPBasicCredentials
from modules import devices, lowvram, paths_internal, sd_models, sd_unet, shared

from ..attention import COND, UNCOND
from ..errors import IPAdapterError, UnitError
from ..library import Folders
from ..regions import WHOLE, Box
from .host import PassFacts, Row, SamplingRun

log = logging.getLogger(__name__)

WARN_ONLY = "ipadapter_warn_only"
"""Setting: a unit that cannot run is left out with a warning, instead of stopping the generation."""

UNCONDITIONAL = "ipadapter_unconditional"
"""Setting: what unconditional rows see where no negative reference is given."""

BASIC = HTTPBasic(auto_error=False)

RUN = "ip_adapter_run"
"""Attribute of a denoiser, which lives as long as one pass of sampling, that holds the pass's run."""


class Refusal(HTTPException):
    """Stops a generation with a sentence: the API answers with the status, the panel shows the text."""

    def __init__(self, error: IPAdapterError) -> None:
        super().__init__(422, str(error))
        if isinstance(error, UnitError):
            self.body = {"field": error.field, "value": error.value}

    def __str__(self) -> str:
        return str(self.detail)


def folders() -> Folders:
    """Return where users of this extension, of ControlNet and of Forge keep files; insightface's own folder is last."""
    models = Path(paths_internal.models_path)
    controlnets = sorted(Path(paths_internal.extensions_dir).glob("*controlnet*"))
    annotators = [*_chosen("control_net_modules_path", "controlnet_annotator_models_path")]
    annotators += [extension / "annotator" / "downloads" for extension in controlnets]
    adapters = [models / "ipadapter", models / "ControlNet", *_chosen("control_net_models_path", "controlnet_dir")]
    adapters += [extension / "models" for extension in controlnets]
    encoders = [models / "clip_vision", models / "ipadapter", models / "ControlNetPreprocessor"]
    encoders += [*_chosen("", "controlnet_preprocessor_models_dir"), *(path / "clip_vision" for path in annotators)]
    own = _chosen("ipadapter_folder", "")
    faces = [folder / "insightface" / "models" for folder in (models, *annotators, *own)]
    faces.append(Path.home() / ".insightface" / "models")
    loras = _chosen("", "lora_dir") or [models / "Lora"]
    return Folders((*own, *adapters), (*own, *encoders), tuple(faces), (*own, *loras))


def _chosen(option: str, flag: str) -> list[Path]:
    """Return the folders that a setting and a command line flag name; both belong to extensions that may be absent."""
    named = [shared.opts.data.get(option), getattr(shared.cmd_opts, flag, None)]
    return [Path(shared.data_path, name) for name in named if name]


def compute_device() -> torch.device:
    return devices.get_optimal_device() if "all" not in shared.cmd_opts.use_cpu else devices.cpu


def compute_dtype() -> torch.dtype:
    return torch.float32 if compute_device().type == "cpu" else devices.dtype


def make_room() -> None:
    if getattr(shared.sd_model, "lowvram", False):
        lowvram.send_everything_to_cpu()
        devices.torch_gc()


def unconditional() -> str:
    return shared.opts.data.get(UNCONDITIONAL, "mean")


def pass_of(p: Any) -> PassFacts:
    return PassFacts(bool(getattr(p, "is_hr_pass", False)), box_of(p), loras_of_prompt())


def loras_of_prompt() -> frozenset[str]:
    """Return the LoRAs that are at work because the prompt names them.

    Source: extensions-builtin/Lora/networks.py, which keeps what the last parsed prompt asked for, also of hires fix.
    """
    loaded = getattr(sys.modules.get("networks"), "loaded_networks", ())
    return frozenset(Path(network.network_on_disk.filename).stem.lower() for network in loaded)


def box_of(p: Any) -> Box:
    """Return the part of the whole picture that is sampled, which inpainting "only masked" cuts out.

    Source: modules/processing.py, `StableDiffusionProcessingImg2Img.init`, which keeps where to paste the result.
    """
    pasted, pictures = getattr(p, "paste_to", None), getattr(p, "init_images", None)
    if not pasted or not pictures:
        return WHOLE
    (left, upper, width, height), (whole_width, whole_height) = pasted, pictures[0].size
    return (
        left / whole_width,
        upper / whole_height,
        (left + width) / whole_width,
        (upper + height) / whole_height,
    )


def unet_of(p: Any) -> torch.nn.Module:
    """Return the U-Net that will sample `p`; raises `IPAdapterError` where another program computes in its place."""
    if sd_unet.current_unet is not None:
        raise IPAdapterError(
            f"IP-Adapter cannot act on the U-Net {sd_unet.current_unet.option.label}, which is not computed by torch. "
            "Set SD Unet to None in the settings, or switch the units off."
        )
    return p.sd_model.model.diffusion_model


def loaded_unet() -> torch.nn.Module | None:
    model = sd_models.model_data.sd_model
    return getattr(getattr(model, "model", None), "diffusion_model", None)


def route_guards(app: Any) -> list[Any]:
    """Return the dependency that asks a route's caller for an account of the API or a log-in of the web UI.

    Source: modules/api/api.py, `Api.auth`, and gradio's routes; neither of them covers an extension's routes.
    """
    pairs = (shared.cmd_opts.api_auth or "").split(",")
    accounts = dict(pair.strip().split(":", 1) for pair in pairs if ":" in pair)
    logins = getattr(app, "auth", None)
    known = accounts | (logins if isinstance(logins, dict) else {})

    def allowed(request: Request, given: HTTPBasicCredentials | None = Depends(BASIC)) -> None:  # noqa: B008
        token = request.cookies.get("access-token") or request.cookies.get("access-token-unsecure")
        open_to_all = not accounts and logins is None
        logged_in = token is not None and token in getattr(app, "tokens", {})
        if not (open_to_all or logged_in or (given and _knows(known, given))):
            raise HTTPException(401, "Incorrect username or password", {"WWW-Authenticate": "Basic"})

    return [Depends(allowed)]


def _knows(accounts: dict[str, str], given: HTTPBasicCredentials) -> bool:
    password = accounts.get(given.username)
    return password is not None and secrets.compare_digest(given.password.encode(), password.encode())


@contextmanager
def refusing(p: Any, unit: int | None = None) -> Generator[None, None, None]:
    """Let any error in the context stop the generation of `p`, or with the setting for it become a comment.

    The script runner swallows what a script raises, and a picture made without its image prompt is a wrong picture.
    """
    try:
        yield
    except IPAdapterError as error:
        error.unit = error.unit or unit
        if shared.opts.data.get(WARN_ONLY, False):
            log.warning("%s The picture is made without it.", error)
            p.comment(f"{error} The picture was made without it.")
        else:
            _refuse(p, error)
    except Exception as error:
        log.exception("IP-Adapter failed")
        _refuse(p, IPAdapterError(f"failed with {type(error).__name__}: {error}. The console has the details."))


def _refuse(p: Any, error: IPAdapterError) -> None:
    """Raise the error from where nothing catches it: when this one generation samples, or its next pass does."""

    def raise_refusal(*_args: Any, **_kwargs: Any) -> None:
        raise Refusal(error)

    p.sample = raise_refusal
    if p.sampler is not None:
        p.sampler.launch_sampling = raise_refusal


def while_sampling(p: Any, run: SamplingRun) -> None:
    """Let `run` act while the sampler of this pass, a fresh object, is at work, and not a moment longer."""
    sampler, denoiser = p.sampler, p.sampler.model_wrap_cfg
    launch: Callable[..., Any] = sampler.launch_sampling

    def launch_sampling(*args: Any, **kwargs: Any) -> Any:
        setattr(denoiser, RUN, Pass(run, p.iteration * p.batch_size))
        try:
            return launch(*args, **kwargs)
        finally:
            denoiser.__dict__.pop(RUN).end()

    sampler.launch_sampling = launch_sampling


def on_cfg_denoiser(params: Any) -> None:
    """Tell the pass, if this denoiser has one, that its next calls of the model are slices of `params.x`."""
    current: Pass | None = getattr(params.denoiser, RUN, None)
    if current:
        current.expect(params)


class Pass:
    """One pass of sampling: arms the run for each call of the model, with the rows of exactly that call."""

    def __init__(self, run: SamplingRun, first_picture: int) -> None:
        self._run = run
        self._first_picture = first_picture
        self._params: Any = None
        self._inner: Any = None
        self._handles: list[Any] = []

    def expect(self, params: Any) -> None:
        """Take note of the denoiser's whole batch; other callbacks may still replace `params.x`, so keep `params`."""
        self._params = params
        if params.denoiser.inner_model is not self._inner:  # new at the start and after the refiner's switch
            self._release()
            self._inner = params.denoiser.inner_model
            self._handles = [
                self._inner.register_forward_pre_hook(self._arm),
                self._inner.register_forward_hook(self._disarm),
            ]

    def end(self) -> None:
        self._release()
        self._run.eject()

    def _release(self) -> None:
        while self._handles:
            self._handles.pop().remove()

    def _arm(self, _inner: Any, args: tuple[Any, ...]) -> None:
        try:
            self._run.inject(shared.sd_model.model.diffusion_model)
            table = row_table(self._params, self._first_picture)
            self._run.arm(_slice(table, self._params.x, args[0]), progress(self._params.denoiser))
        except IPAdapterError as error:
            raise Refusal(error) from error

    def _disarm(self, *_: Any) -> None:
        self._run.disarm()


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


def _slice(table: Sequence[Row], whole: torch.Tensor, part: torch.Tensor) -> Sequence[Row]:
    """Return the part of `table` for `part`, which the denoiser cut from `whole` along the rows as a view."""
    if len(part) == len(table):
        return table
    if part.untyped_storage().data_ptr() != whole.untyped_storage().data_ptr():
        raise IPAdapterError(
            f"expected a slice of the denoiser's {len(table)} rows, but a copy of {len(part)} rows came: another "
            "extension changes the batch. Switch that extension or the IP-Adapter units off."
        )
    first = (part.storage_offset() - whole.storage_offset()) // whole.stride(0)
    return table[first : first + len(part)]


def progress(denoiser: Any) -> float:
    """Return the fraction 0..1 of the pass's calls that are done; samplers of second order call twice a step."""
    return min(max(denoiser.step / denoiser.total_steps, 0.0), 1.0)

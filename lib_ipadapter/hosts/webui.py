"""What the doors to the web UIs have in common, all being children of AUTOMATIC1111's: folders, routes, refusals, and
the length of one pass of sampling."""

import logging
import secrets
import sys
from collections.abc import Callable, Collection, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from fastapi import Depends, HTTPException, Request
from fastapi.security import HTTPBasic, HTTPBasicCredentials
from modules import call_queue, paths_internal, shared
from modules import progress as tasks

from ..errors import STATUS, IPAdapterError
from ..fields import HASH
from ..library import Folders
from ..regions import WHOLE, Box, Size
from ..units import Unit
from .host import Made, Memory, PassFacts, Reporting, SamplingRun, Shelter

__all__ = [
    "begin",
    "comment",
    "folders",
    "in_turn",
    "made",
    "memory",
    "on_cfg_denoiser",
    "pass_of",
    "refusal",
    "refusing",
    "reporting",
    "route_guards",
    "shelter",
    "tell",
    "unconditional",
]
"""What every door has from here, so that it offers all of `host.Host`."""

log = logging.getLogger(__name__)

WARN_ONLY = "ipadapter_warn_only"
"""Setting: a unit that cannot run is left out with a warning, instead of stopping the generation."""

UNCONDITIONAL = "ipadapter_unconditional"
"""Setting: what unconditional rows see where no negative reference is given."""

KEPT = "ipadapter_kept_references"
"""Setting: mebibytes of references that are kept, so that a picture's parameters restore them; 0 for none."""

LIKENESS = "ipadapter_likeness"
"""Setting: it is told how alike the faces in a picture are to their references."""

LIKENESS_LOG = "ipadapter_likeness_log"
"""Setting: kind of the file with it that is written for each run."""

BASIC = HTTPBasic(auto_error=False)

OWN_SAMPLING = ("img2img alternative test",)
"""Titles of scripts that call the sampler where no extension is told of it."""

TITLE = "IP-Adapter"
"""Title of this extension's script, by which programs and other machines know it."""

ENTRY = "ip_adapter"
"""Name of this extension's entry file, by which ADetailer knows it."""
FEATURES, KEYS_VALUES = "ipadapter_kept_features", "ipadapter_kept_keys_values"
"""Settings: mebibytes of what encoders returned, and of image keys and values, that are kept in memory."""

CURRENT = "ip_adapter_pass"
"""Attribute that holds the pass: of a sampler until its pass ends, and of its denoiser while it is at work."""


PASSED_BY = (
    "expected the checkpoint's own U-Net to be called, but something computed in its place, such as a compiled or "
    "converted U-Net, so the units could not act. Switch that off, or the units."
)


class Refusal(HTTPException):
    """Stops a generation with a sentence: the API answers with the status, the panel shows the text."""

    def __init__(self, error: IPAdapterError) -> None:
        super().__init__(STATUS, str(error))
        self.body = error.problem()

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
    kept = [*_chosen("ipadapter_kept_folder", ""), models]
    loras = [*_chosen("", "lora_dir"), *map(Path, getattr(shared.cmd_opts, "lora_dirs", ()))]  # Forge Neo has several
    return Folders(
        (*own, *adapters),
        (*own, *encoders),
        saved=tuple(folder / "ipadapter_references" for folder in kept),
        faces=tuple(faces),
        loras=(*own, *(loras or [models / "Lora"])),
        presets=Path(shared.data_path, "ipadapter-presets.json"),
        subjects=tuple(folder / "ipadapter_subjects" for folder in kept),
    )


def _chosen(option: str, flag: str) -> list[Path]:
    """Return the folders that a setting and a command line flag name; both belong to extensions that may be absent."""
    named = [shared.opts.data.get(option), getattr(shared.cmd_opts, flag, None)]
    return [Path(shared.data_path, name) for name in named if name]


def unconditional() -> str:
    return shared.opts.data.get(UNCONDITIONAL, "mean")


def memory() -> Memory:
    kept = zip((FEATURES, KEYS_VALUES), Memory(), strict=True)
    return Memory(*(shared.opts.data.get(option, default >> 20) << 20 for option, default in kept))


def shelter() -> Shelter:
    return Shelter(Path(shared.data_path, "cache", "ipadapter-references"), shared.opts.data.get(KEPT, 256) << 20)


def reporting(p: Any) -> Reporting:
    likeness = shared.opts.data.get(LIKENESS, False) and not is_inner(p)
    folder = Path(shared.data_path, "log", "ipadapter-likeness")
    return Reporting(likeness, shared.opts.data.get(LIKENESS_LOG, "none"), folder)


def made(p: Any) -> Made:
    """Source: modules/processing.py, `process_images_inner`, which goes through a batch's pictures one by one."""
    return Made(p.iteration * p.batch_size + p.batch_index, p.batch_index, len(p.seeds), p.seeds[p.batch_index])


def comment(p: Any, text: str) -> None:
    p.comment(text)


def pass_of(p: Any) -> PassFacts:
    return PassFacts(bool(getattr(p, "is_hr_pass", False)), is_inner(p), box_of(p), loras_of_prompt())


def is_inner(p: Any) -> bool:
    """Tell whether ADetailer generates `p`, for a face of a picture (scripts/!adetailer.py, `get_i2i_p`)."""
    return bool(getattr(p, "_ad_inner", False))


def begin(p: Any, adapters: Collection[str], units: Collection[Unit]) -> None:
    if is_inner(p):
        return
    refuse_own_sampling(p)
    refuse_workers_without(p, any(unit.unfold for unit in units))
    if any(unit.inner == "inner only" for unit in units) and not in_inner_generations():
        raise IPAdapterError(
            "A unit acts in inner generations only, but ADetailer leaves this extension out of these: in Settings, "
            f"ADetailer, add {ENTRY} to the names of scripts to apply, or set the unit's inner generations to all."
        )
    for name in sorted({Path(name).stem.lower() for name in adapters} & controlnets_models(p)):
        text = f"IP-Adapter: {name} is active in ControlNet's units, too, and both take effect. Switch one of them off."
        log.warning(text)
        p.comment(text)


def refuse_own_sampling(p: Any) -> None:
    """Raise `IPAdapterError` for a script that calls the sampler where no extension is told (modules/scripts.py)."""
    chosen = p.script_args[0] if p.script_args else 0  # its number from 1, or 0, or what the API's infotext names
    runs = isinstance(chosen, int) and chosen
    title = p.scripts.selectable_scripts[chosen - 1].title() if runs else ""
    if title in OWN_SAMPLING:
        raise IPAdapterError(
            f"The script {title} samples in a way of its own, in which units cannot act. Choose another script, or "
            "switch the units off."
        )


def refuse_workers_without(p: Any, unfold: bool) -> None:
    """Raise `IPAdapterError` where machines without this extension get a part of the pictures.

    With `unfold` none may, for each begins to count its pictures anew.

    Source: papuSpartan/stable-diffusion-webui-distributed 8fd65eb, scripts/spartan/world.py and worker.py, which gives
    out the work before the generation begins and sends each machine the args of those scripts that it has.
    """
    worlds = [script.world for script in p.scripts.alwayson_scripts if script.title() == "Distribute"]
    mode = "img2img" if getattr(p, "init_images", None) else "txt2img"
    at_work = {
        job.worker.label: map(str.lower, job.worker.supported_scripts.get(mode, ()))
        for world in worlds
        if (world.enabled_i2i if mode == "img2img" else world.enabled)
        for job in world.jobs
        if job.batch_size and not job.worker.master
    }
    if unfold and at_work:
        raise IPAdapterError(
            "One reference for each picture (unfold) cannot be shared with other machines, which count their pictures "
            "from the first. Switch unfold or the extension Distributed off."
        )
    without = sorted(label for label, scripts in at_work.items() if TITLE.lower() not in scripts)
    if without:
        raise IPAdapterError(
            f"Machines that get a part of the pictures lack this extension: {', '.join(without)}. Install it there, "
            "disable them in the extension Distributed, or switch the units off."
        )


def in_inner_generations() -> bool:
    """Tell whether ADetailer runs this extension in its generations (scripts/!adetailer.py, `script_filter`)."""
    names = shared.opts.data.get("ad_script_names", "").split(",")
    return not shared.opts.data.get("ad_only_selected_scripts", True) or ENTRY in map(str.strip, names)


def controlnets_models(p: Any) -> set[str]:
    """Return the models of ControlNet's units that are enabled in `p`: names in lower case, without folder and hash.

    Source: Mikubill/sd-webui-controlnet 1.1.455, scripts/controlnet.py; Forge's own has the same title and fields.
    """
    scripts = [script for script in p.scripts.alwayson_scripts if script.title().lower() == "controlnet"]
    args = [arg for script in scripts for arg in p.script_args[script.args_from : script.args_to]]
    units = [
        arg if isinstance(arg, dict) else vars(arg) for arg in args if isinstance(arg, dict) or hasattr(arg, "model")
    ]
    models = [str(unit.get("model")) for unit in units if unit.get("enabled", True)]
    return {Path(HASH.sub("", model)).stem.lower() for model in models}


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
def in_turn(task: str = "") -> Generator[None, None, None]:
    """Hold the web UI's lock as a generation does (modules/call_queue.py, `wrap_gradio_gpu_call`)."""
    task = task or "IP-Adapter"
    tasks.add_task_to_queue(task)
    with call_queue.queue_lock:
        shared.state.begin(job=task)
        shared.state.job_count = 1
        tasks.start_task(task)
        try:
            yield
        finally:
            tasks.finish_task(task)
            shared.state.end()


def tell(what: str, done: int, total: int) -> None:
    state, over = shared.state, done == total
    state.textinfo = None if over else f"IP-Adapter: {what}, {done} of {total}"
    state.sampling_step, state.sampling_steps = (0, 0) if over else (done, total)
    if state.interrupted or state.stopping_generation:
        raise IPAdapterError(f"Interrupted while {what}, of which {done} of {total} were done.")


def refusal(error: IPAdapterError) -> Exception:
    return Refusal(error)


@contextmanager
def refusing(p: Any, unit: int | None = None) -> Generator[None, None, None]:
    """Let any error in the context stop the generation of `p`, or with the setting for it become a comment.

    The script runner swallows what a script raises, and a picture made without its image prompt is a wrong picture.
    """
    try:
        yield
    except IPAdapterError as error:
        error.unit = error.unit or unit
        if not _warned(p, error):
            _refuse(p, error)
    except Exception as error:
        log.exception("IP-Adapter failed")
        _refuse(p, IPAdapterError(f"failed with {type(error).__name__}: {error}. The console has the details."))


def _warned(p: Any, error: IPAdapterError) -> bool:
    """Tell of an error in the log and beside the picture, if the setting says that this is enough."""
    enough = bool(shared.opts.data.get(WARN_ONLY, False))
    if enough:
        log.warning("%s The picture is made without it.", error)
        p.comment(f"{error} The picture was made without it.")
    return enough


def _refuse(p: Any, error: IPAdapterError) -> None:
    """Raise the error from where nothing catches it: when this one generation samples, or its next pass does."""

    def raise_refusal(*_args: Any, **_kwargs: Any) -> None:
        raise Refusal(error)

    p.sample = raise_refusal
    if p.sampler is not None:
        p.sampler.launch_sampling = raise_refusal


class Pass:
    """One pass of sampling: arms the run for each call of a module through which every call of the model goes.

    A door says in its own subclass which module that is, and what rows each call has.
    """

    def __init__(self, p: Any, run: SamplingRun) -> None:
        self.run = run
        self.first_picture = p.iteration * p.batch_size
        self.params: Any = None
        self.refusal: Refusal | None = None
        """What a call was refused with; the web UI swallows it where the call is another extension's own."""
        self._armed = False
        self._watched: torch.nn.Module | None = None
        self._handles: list[Any] = []

    def watched(self, params: Any) -> torch.nn.Module:
        """Return the module to watch, by what the denoiser tells before it calls the model."""
        raise NotImplementedError

    def arm(self, module: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Arm the run for this call of the watched module; may return the call's arguments changed."""
        raise NotImplementedError

    def expect(self, params: Any) -> None:
        """Take note of the denoiser's whole batch; other callbacks may still replace `params.x`, so keep `params`."""
        self.params = params
        module = self.watched(params)
        if module is not self._watched:  # new at the start and after the refiner's switch
            self._release()
            self._watched = module
            self._handles = [
                module.register_forward_pre_hook(self._arm, with_kwargs=True),
                module.register_forward_hook(self._disarm),
            ]

    @property
    def size(self) -> Size:
        """Height and width of the whole latent picture."""
        return self.params.x.shape[-2], self.params.x.shape[-1]

    @property
    def passed_by(self) -> bool:
        """Whether the denoiser called a model, but not the one that is watched, or not with its cross-attentions."""
        return self.params is not None and (not self._armed or self.run.passed_by)

    def end(self) -> None:
        self._release()
        self.run.eject()

    def _release(self) -> None:
        while self._handles:
            self._handles.pop().remove()

    def _arm(self, module: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        self._armed = True
        try:
            return self.arm(module, args, kwargs)
        except IPAdapterError as error:
            self.refusal = Refusal(error)
            raise self.refusal from error

    def _disarm(self, *_: Any) -> None:
        self.run.disarm()


def act(p: Any, current: Pass) -> None:
    """Let a pass act while the sampler of `p`, a fresh object, is at work, and not a moment longer.

    Forge calls scripts twice before the second pass of hires fix; the later call counts.
    """
    sampler, denoiser = p.sampler, p.sampler.model_wrap_cfg
    wrapped = hasattr(sampler, CURRENT)
    setattr(sampler, CURRENT, current)
    if wrapped:
        return
    launch: Callable[..., Any] = sampler.launch_sampling

    def launch_sampling(*args: Any, **kwargs: Any) -> Any:
        acting: Pass = getattr(sampler, CURRENT)
        setattr(denoiser, CURRENT, acting)
        try:
            made = launch(*args, **kwargs)
            if acting.refusal:
                raise acting.refusal
            if acting.passed_by and not _warned(p, error := IPAdapterError(PASSED_BY)):
                raise Refusal(error)
            return made
        except IPAdapterError as error:  # of a hook inside the model
            raise Refusal(error) from error
        finally:
            del denoiser.__dict__[CURRENT]
            acting.end()

    sampler.launch_sampling = launch_sampling


def on_cfg_denoiser(params: Any) -> None:
    """Tell the pass, if this denoiser has one, that the model is about to be called for `params.x`."""
    current: Pass | None = getattr(params.denoiser, CURRENT, None)
    if current:
        current.expect(params)


def progress(denoiser: Any) -> float:
    """Return the fraction 0..1 of the pass's calls that are done; samplers of second order call twice a step."""
    return min(max(denoiser.step / denoiser.total_steps, 0.0), 1.0)

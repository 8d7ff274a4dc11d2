"""What the doors to the web UIs have in common, all being children of AUTOMATIC1111's: folders, settings, routes."""

import secrets
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fastapi import Depends, HTTPException, Request
from fastapi.security import HTTPBasic, HTTPBasicCredentials
from modules import call_queue, paths_internal, shared
from modules import progress as tasks

from ..base.boxes import WHOLE, Box
from ..base.errors import IPAdapterError
from ..port import CacheLimits, Folders, GeneratedPicture, PassInfo, ReferenceStoreConfig, ReportSettings
from .other_extensions import check_other_extensions, is_inner, loras_of_prompt
from .sampling import expect_passes, http_error, stop_on_error

__all__ = [
    "cache_limits",
    "check_other_extensions",
    "comment",
    "exclusive",
    "expect_passes",
    "folders",
    "generated_picture",
    "http_error",
    "pass_info",
    "reference_store",
    "report_progress",
    "report_settings",
    "route_guards",
    "stop_on_error",
    "unconditional",
]
"""What every door has from here, so that it offers all of `host.Host`."""

UNCONDITIONAL = "ipadapter_unconditional"
"""Setting: what unconditional rows see where no negative reference is given."""

KEPT = "ipadapter_kept_references"
"""Setting: mebibytes of references that are kept, so that a picture's parameters restore them; 0 for none."""

LIKENESS = "ipadapter_likeness"
"""Setting: it is told how alike the faces in a picture are to their references."""

LIKENESS_LOG = "ipadapter_likeness_log"
"""Setting: kind of the file with it that is written for each run."""

BASIC = HTTPBasic(auto_error=False)

FEATURES, KEYS_VALUES = "ipadapter_kept_features", "ipadapter_kept_keys_values"
"""Settings: mebibytes of what encoders returned, and of image keys and values, that are kept in memory."""


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


def cache_limits() -> CacheLimits:
    kept = zip((FEATURES, KEYS_VALUES), CacheLimits(), strict=True)
    return CacheLimits(*(shared.opts.data.get(option, default >> 20) << 20 for option, default in kept))


def reference_store() -> ReferenceStoreConfig:
    return ReferenceStoreConfig(
        Path(shared.data_path, "cache", "ipadapter-references"), shared.opts.data.get(KEPT, 256) << 20
    )


def report_settings(p: Any) -> ReportSettings:
    likeness = shared.opts.data.get(LIKENESS, False) and not is_inner(p)
    folder = Path(shared.data_path, "log", "ipadapter-likeness")
    return ReportSettings(likeness, shared.opts.data.get(LIKENESS_LOG, "none"), folder)


def generated_picture(p: Any) -> GeneratedPicture:
    """Source: modules/processing.py, `process_images_inner`, which goes through a batch's pictures one by one."""
    return GeneratedPicture(
        p.iteration * p.batch_size + p.batch_index, p.batch_index, len(p.seeds), p.seeds[p.batch_index]
    )


def comment(p: Any, text: str) -> None:
    p.comment(text)


def pass_info(p: Any) -> PassInfo:
    return PassInfo(bool(getattr(p, "is_hr_pass", False)), is_inner(p), box_of(p), loras_of_prompt())


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
def exclusive(task: str = "") -> Generator[None, None, None]:
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


def report_progress(what: str, done: int, total: int) -> None:
    state, over = shared.state, done == total
    state.textinfo = None if over else f"IP-Adapter: {what}, {done} of {total}"
    state.sampling_step, state.sampling_steps = (0, 0) if over else (done, total)
    if state.interrupted or state.stopping_generation:
        raise IPAdapterError(f"Interrupted while {what}, of which {done} of {total} were done.")

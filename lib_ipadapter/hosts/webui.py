"""The common part of AUTOMATIC1111's web UI and all its forks: folders, settings, routes, queue and progress."""

from collections.abc import Collection, Generator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar

import torch
from modules import call_queue, paths_internal, sd_models, shared
from modules import progress as tasks

from ..base.boxes import WHOLE, Box
from ..base.errors import IPAdapterError
from ..port import CacheLimits, Folders, GeneratedPicture, PassInfo, ReferenceStoreConfig, ReportSettings
from ..unit.unit import Unit
from .other_extensions import (
    SCRIPT_NAMES,
    check,
    in_inner_generations,
    is_inner,
    join_inner_generations,
    loras_of_prompt,
)
from .refusal import Refusal, expect_passes, forget, stop_on_error
from .route_guards import guards
from .sampling import Pass

UNCONDITIONAL = "ipadapter_unconditional"
"""Setting: the unconditional picture without a negative reference."""

FACE_DEVICE = "ipadapter_face_device"
"""Setting: whether face models run on the encoders' device or on the CPU."""

KEPT = "ipadapter_kept_references"
"""Setting: mebibytes of stored references, which infotext can restore; 0 for none."""

LIKENESS = "ipadapter_likeness"
"""Setting: whether generated faces are compared with their references."""

LIKENESS_LOG = "ipadapter_likeness_log"
"""Setting: format of the log file for each run."""

DOWNLOADS = "ipadapter_downloads"
"""Setting: whether models may be downloaded."""

FEATURES, KEYS_VALUES = "ipadapter_kept_features", "ipadapter_kept_keys_values"
"""Settings: mebibytes of encoder outputs, and of image keys and values, in the memory caches."""


FACEXLIB = ("facexlib", "GFPGAN", "Codeformer")
"""Folders of models in which facexlib's own may be: the web UI's face restoration keeps them with those of GFPGAN
(modules/face_restoration_utils.py, `patch_facexlib`)."""


class WebUI:
    """The methods of `port.Host` that are the same in every web UI; each web UI's class adds the rest."""

    pass_class: ClassVar[type[Pass]]
    """The web UI's subclass of `Pass`."""

    family: ClassVar[str]
    """Kind of the web UI, in words."""

    def about(self) -> str:
        """Source: modules/launch_utils.py, `git_tag`, which is the version in the page's footer."""
        return f"{self.family} {import_module('modules.launch_utils').git_tag()}"

    def folders(self) -> Folders:
        """Return the folders of this extension, of ControlNet and of Forge; insightface's own folder is last."""
        models = Path(paths_internal.models_path)
        controlnets = sorted(Path(paths_internal.extensions_dir).glob("*controlnet*"))
        annotators = [*_chosen("control_net_modules_path", "controlnet_annotator_models_path")]
        annotators += [extension / "annotator" / "downloads" for extension in controlnets]
        networks = [*_chosen("control_net_models_path", "controlnet_dir"), models / "ControlNet"]
        networks += [extension / "models" for extension in controlnets]
        adapters = [models / "ipadapter", *networks]
        encoders = [models / "clip_vision", models / "ipadapter", models / "ControlNetPreprocessor"]
        encoders += [*_chosen("", "controlnet_preprocessor_models_dir"), *(path / "clip_vision" for path in annotators)]
        own = _chosen("ipadapter_folder", "ipadapter_dir")
        faces = [folder / "insightface" / "models" for folder in (models, *annotators, *own)]
        faces.append(Path.home() / ".insightface" / "models")
        kept = [*_chosen("ipadapter_kept_folder", ""), models]
        loras = [*_chosen("", "lora_dir"), *map(Path, getattr(shared.cmd_opts, "lora_dirs", ()))]  # Neo has several
        return Folders(
            (*own, *adapters),
            (*own, *encoders),
            saved=tuple(folder / "ipadapter_references" for folder in kept),
            faces=tuple(faces),
            facexlib=tuple(models / name for name in FACEXLIB),
            loras=(*own, *(loras or [models / "Lora"])),
            presets=Path(shared.data_path, "ipadapter-presets.json"),
            strengths=Path(shared.data_path, "ipadapter-strengths.json"),
            subjects=tuple(folder / "ipadapter_subjects" for folder in kept),
            controlnets=tuple(networks),
            models=(models,),
            digests=Path(shared.data_path, "cache", "ipadapter-hashes.json"),
            noted=Path(shared.data_path, "ipadapter-version.json"),
            features=Path(shared.data_path, "cache", "ipadapter-features"),
        )

    def downloads_refused(self) -> str:
        """Follow the web UI's rule for installing extensions (modules/shared_cmd_options.py, modules/ui_extensions.py).

        Unlike there, a login for the page is also enough, because then not just anyone can request a download.
        """
        flags = shared.cmd_opts
        if getattr(flags, "ipadapter_no_download", False):
            return "Model downloads are off: the web UI was started with --ipadapter-no-download."
        if not shared.opts.data.get(DOWNLOADS, True):
            return "Model downloads are off in Settings > IP-Adapter."
        login = getattr(flags, "gradio_auth", None) or getattr(flags, "gradio_auth_path", None)
        if getattr(flags, "disable_extension_access", False) and not login:
            return (
                "Model downloads are off, because others can open this web UI without logging in. Start it with "
                "--gradio-auth, or with --enable-insecure-extension-access, which also lets them install extensions."
            )
        return ""

    def reference_store(self) -> ReferenceStoreConfig:
        folder = Path(shared.data_path, "cache", "ipadapter-references")
        return ReferenceStoreConfig(folder, shared.opts.data.get(KEPT, 256) << 20)

    def cache_limits(self) -> CacheLimits:
        kept = zip((FEATURES, KEYS_VALUES), CacheLimits(), strict=True)
        return CacheLimits(*(shared.opts.data.get(option, default >> 20) << 20 for option, default in kept))

    def unconditional(self) -> str:
        return shared.opts.data.get(UNCONDITIONAL, "mean")

    def compute_device(self) -> torch.device:
        """Return the device for encoders."""
        raise NotImplementedError

    def face_device(self) -> torch.device:
        return torch.device("cpu") if shared.opts.data.get(FACE_DEVICE) == "CPU" else self.compute_device()

    def checkpoint_name(self) -> str:
        return shared.opts.data.get("sd_model_checkpoint") or ""

    def checkpoint_metadata(self) -> Mapping[str, Any]:
        """Return the metadata that the web UI has read from the file's header."""
        chosen = sd_models.checkpoint_aliases.get(self.checkpoint_name())
        return chosen.metadata if chosen else {}

    def report_settings(self, p: Any) -> ReportSettings:
        likeness = shared.opts.data.get(LIKENESS, False) and not is_inner(p)
        folder = Path(shared.data_path, "log", "ipadapter-likeness")
        return ReportSettings(likeness, shared.opts.data.get(LIKENESS_LOG, "none"), folder)

    def generated_picture(self, p: Any) -> GeneratedPicture:
        """Source: modules/processing.py, `process_images_inner`, which processes a batch's pictures one by one."""
        number = p.iteration * p.batch_size + p.batch_index
        return GeneratedPicture(number, p.batch_index, len(p.seeds), p.seeds[p.batch_index])

    def comment(self, p: Any, text: str) -> None:
        p.comment(text)

    def before_process(self, p: Any, feeds_controlnet: bool) -> None:
        forget(p)

    def stop_on_error(self, p: Any, unit: int | None = None) -> AbstractContextManager[None]:
        return stop_on_error(p, unit)

    def check_other_extensions(self, p: Any, adapters: Collection[str], units: Collection[Unit]) -> None:
        check(p, adapters, units)

    def inner_left_out(self) -> bool:
        return SCRIPT_NAMES in shared.opts.data_labels and not in_inner_generations()

    def join_inner(self) -> Mapping[str, str]:
        return join_inner_generations()

    def expect_passes(self, p: Any) -> None:
        expect_passes(p)

    def pass_info(self, p: Any) -> PassInfo:
        hires, inner = bool(getattr(p, "is_hr_pass", False)), is_inner(p)
        return PassInfo(hires, inner, box_of(p), loras_of_prompt(), self.feeds_controlnet(p))

    def feeds_controlnet(self, p: Any) -> bool:
        """Return whether InstantID's ControlNets in a generation may take units' image tokens."""
        raise NotImplementedError

    def on_cfg_denoiser(self, params: Any) -> None:
        self.pass_class.on_cfg_denoiser(params)

    @contextmanager
    def exclusive(self, task: str = "") -> Generator[None, None, None]:
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

    def report_progress(self, what: str, done: int, total: int) -> None:
        state, over = shared.state, done == total
        state.textinfo = None if over else f"IP-Adapter: {what}, {done} of {total}"
        state.sampling_step, state.sampling_steps = (0, 0) if over else (done, total)
        if state.interrupted or state.stopping_generation:
            raise IPAdapterError(f"Interrupted while {what}, with {done} of {total} done.")

    def route_guards(self, app: Any) -> Sequence[Any]:
        return guards(app, shared.cmd_opts.api_auth)

    def http_error(self, error: IPAdapterError) -> Exception:
        return Refusal(error)


def _chosen(option: str, flag: str) -> list[Path]:
    """Return the folders in a setting and a command line flag of other extensions, which may not be installed."""
    named = [shared.opts.data.get(option), getattr(shared.cmd_opts, flag, None)]
    return [Path(shared.data_path, name) for name in named if name]


def box_of(p: Any) -> Box:
    """Return the part of the picture that is sampled; less than the whole for inpainting "only masked".

    Source: modules/processing.py, `StableDiffusionProcessingImg2Img.init`, which stores where to paste the result.
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

"""Doubles of the web UIs' script runners: the same calls, in the same order, with arguments of the same kinds.

A double runs entry files of extensions, such as scripts/ip_adapter.py, on its own modules, and generates with a
given U-Net. tests/host/test_contract.py makes a real web UI and its double call one script that records all calls,
and compares them, so a test with a double tests what a real web UI does.

Source: modules/processing.py, modules/scripts.py and modules/sd_samplers_cfg_denoiser.py of each.
"""

import contextlib
import hashlib
import importlib.util
import logging
import sys
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import torch
from small_host import CONTEXT
from torch import Tensor, nn

ENTRY = Path(__file__).resolve().parent.parent / "scripts" / "ip_adapter.py"
"""The extension's own entry file."""
LIBRARY = "sd_webui_ip_adapter"
"""The name under which the entry file imports the library."""

log = logging.getLogger(__name__)


class Script:
    """The web UI's base class."""

    args_from: int
    args_to: int

    def show(self, is_img2img: bool) -> object:
        return True


ALWAYS_VISIBLE = object()
COND, UNCOND = 0, 1
"""Forge's marks of a chunk."""


class MulticondLearnedConditioning:
    """The prompts of each picture."""

    def __init__(self, batch: Sequence[Sequence[str]]) -> None:
        self.batch = batch


class PostSampleArgs: ...


class PostprocessBatchListArgs: ...


class PostprocessImageArgs: ...


class PostProcessMaskOverlayArgs: ...


class Processed: ...


@dataclass
class Processing:
    """One generation: the request, and what the web UI records with it."""

    prompt: str = "a red cat"
    negative_prompt: str = "blurry"
    n_iter: int = 1
    batch_size: int = 1
    steps: int = 2
    cfg_scale: float = 3.0
    enable_hr: bool = False
    init_images: Sequence[Any] | None = None
    separate: bool = False
    """Whether each prompt is evaluated separately, as when memory is low."""
    args: Mapping[str, Sequence[Any]] = field(default_factory=dict[str, Sequence[Any]])
    """Each script's arguments, by its title."""
    self_guidance: bool = False
    """Whether an extension evaluates the negative prompt alone once more, as self-attention guidance does."""
    at_step: Callable[[int], None] = lambda step: None
    """Called when a step begins."""

    def __post_init__(self) -> None:
        self.iteration, self.is_hr_pass = 0, False
        self.sampler: Any = None
        self.sd_model: Any = None
        self.sample: Callable[[], Tensor]  # scripts may replace it
        self.scripts: Any = None
        self.script_args: list[Any] = []
        self.extra_generation_params: dict[str, Any] = {}
        self.comments: list[str] = []

    @property
    def prompts(self) -> list[str]:
        """The parts of the prompt that are joined by `AND`."""
        return self.prompt.split(" AND ")

    def comment(self, text: str) -> None:
        self.comments.append(text)


class Interrupted(BaseException):
    """Ends a pass early, with the latents as they are."""


class Sampler:
    """Subtracts a tenth of the prediction at each step."""

    def __init__(self, double: "Double", p: Processing) -> None:
        self.p = p
        self.sampler_extra_args = {"cond": MulticondLearnedConditioning([p.prompts] * p.batch_size)}
        self.model_wrap_cfg = Denoiser(double, p, self)

    def sample(self, latents: Tensor) -> Tensor:
        self.latents = latents
        return self.launch_sampling(self.p.steps, self._steps)

    def _steps(self) -> Tensor:
        for _ in range(self.p.steps):
            self.latents = stepped(self.latents, self.model_wrap_cfg(self.latents))
        return self.latents

    def launch_sampling(self, steps: int, func: Callable[[], Tensor]) -> Tensor:
        self.model_wrap_cfg.total_steps = steps
        try:
            return func()
        except Interrupted:
            return self.latents


class Denoiser:
    def __init__(self, double: "Double", p: Processing, sampler: Sampler) -> None:
        self.double, self.p, self.sampler = double, p, sampler
        self.step, self.total_steps = 0, 0

    @property
    def inner_model(self) -> nn.Module:
        return self.double.sd_model.called

    def __call__(self, x: Tensor) -> Tensor:
        self.p.at_step(self.step)
        made = self.double.denoise(self, x)
        if self.p.self_guidance:
            made = self_guided(made, self.double.negative_alone(self, x))
        self.step += 1
        return made


class Double:
    """A web UI; the differences between web UIs are in subclasses."""

    modules: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    """Modules that only this web UI has, with their contents."""
    no_gradients: ClassVar[Callable[[], contextlib.AbstractContextManager[Any]]] = torch.no_grad
    """The context in which batches are made."""

    def __init__(self, unet: nn.Module, models: Path) -> None:
        self.models = models
        self.entries: list[types.ModuleType] = []
        self.scripts: list[Any] = []
        self.cfg_denoiser: list[Callable[[Any], None]] = []
        self.options: dict[str, Any] = {}
        self.shared: Any = None
        self.sd_model: Any = None
        self.use(unet)

    def use(self, unet: nn.Module) -> None:
        """Load a checkpoint with this U-Net."""
        self.sd_model = self.checkpoint(unet)
        if self.shared:
            self.shared.sd_model = sys.modules["modules.sd_models"].model_data.sd_model = self.sd_model

    def checkpoint(self, unet: nn.Module) -> Any:
        raise NotImplementedError

    @contextlib.contextmanager
    def at_work(self, *entries: Path) -> Iterator["Double"]:
        """Install this web UI's modules and the scripts of these entry files, and remove both afterwards."""
        planted = self._modules()
        before = {name: sys.modules.get(name) for name in planted}
        sys.modules.update(planted)
        self.shared = planted["modules.shared"]
        try:
            for entry in entries:
                self._load(entry)
            yield self
        finally:
            for name in [*planted, *(name for name in sys.modules if name.startswith(LIBRARY))]:
                del sys.modules[name]
            sys.modules.update({name: there for name, there in before.items() if there})

    def _modules(self) -> dict[str, types.ModuleType]:
        named = ("on_before_ui", "on_app_started", "on_ui_settings", "on_script_unloaded")
        parts: dict[str, Mapping[str, Any]] = {
            "call_queue": {"queue_lock": contextlib.nullcontext()},
            "progress": {},
            "devices": {"cpu": torch.device("cpu"), "dtype": torch.float32},
            "lowvram": {},
            "paths_internal": {"models_path": str(self.models), "extensions_dir": str(self.models / "extensions")},
            "processing": {},
            "script_callbacks": dict.fromkeys(named, ignored) | {"on_cfg_denoiser": self.cfg_denoiser.append},
            "scripts": {"Script": Script, "AlwaysVisible": ALWAYS_VISIBLE},
            "sd_models": {
                "model_data": types.SimpleNamespace(sd_model=self.sd_model),
                "checkpoint_aliases": {},
            },
            "sd_unet": {"current_unet": None},
            "shared": {
                "opts": types.SimpleNamespace(data=self.options),
                "cmd_opts": types.SimpleNamespace(use_cpu=["all"]),
                "data_path": str(self.models),
                "sd_model": self.sd_model,
                "state": types.SimpleNamespace(interrupted=False, stopping_generation=False),
            },
            "ui_components": {},
        }
        web_ui = {f"modules.{name}": content for name, content in parts.items()}
        every = {"gradio": {}, "modules": {}, **web_ui, **self.modules}
        made = {name: module(name, content) for name, content in every.items()}
        for name in parts:
            setattr(made["modules"], name, made[f"modules.{name}"])
        return made

    def _load(self, entry: Path) -> None:
        """Execute an entry file as the web UI does, without entering it in `sys.modules`."""
        spec = importlib.util.spec_from_file_location(entry.name, entry)
        assert spec
        assert spec.loader
        executed = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(executed)
        self.entries.append(executed)
        classes = [each for each in vars(executed).values() if isinstance(each, type) and issubclass(each, Script)]
        self.scripts += [script for script in (each() for each in classes) if script.show(False) is ALWAYS_VISIBLE]

    def call(self, method: str, p: Processing, *given: Any, **named: Any) -> None:
        """Call a method of every script that has it, with the script's own arguments; its errors are only reported."""
        for script in self.scripts:
            if hasattr(script, method):
                try:
                    getattr(script, method)(p, *given, *p.args.get(title_of(script), ()), **named)
                except Exception:
                    log.exception("a script failed in %s", method)

    def generate(self, p: Processing) -> Tensor:
        """Return the latents of all pictures."""
        p.sd_model = self.sd_model
        p.sample = lambda: self.sample(p)
        p.scripts = types.SimpleNamespace(alwayson_scripts=self.scripts, selectable_scripts=[])
        p.script_args = [0]  # the number of the selectable script, of which none is chosen
        for script in self.scripts:
            script.args_from = len(p.script_args)
            p.script_args += p.args.get(title_of(script), ())
            script.args_to = len(p.script_args)
        self.call("before_process", p)
        self.call("process", p)
        made = []
        with self.no_gradients():
            for number in range(p.n_iter):
                p.iteration = number
                made.append(self.batch(p))
        self.call("postprocess", p, Processed())
        return torch.cat(made)

    def batch(self, p: Processing) -> Tensor:
        lists = {name: [None] * p.batch_size for name in ("prompts", "seeds", "subseeds")}
        self.call("before_process_batch", p, batch_number=p.iteration, **lists)
        self.call("process_batch", p, batch_number=p.iteration, **lists)
        made = p.sample()
        self.call("post_sample", p, PostSampleArgs())
        self.call("postprocess_batch", p, images=made, batch_number=p.iteration)
        self.call("postprocess_batch_list", p, PostprocessBatchListArgs(), batch_number=p.iteration)
        for _ in made:
            self.call("postprocess_image", p, PostprocessImageArgs())
            self.call("postprocess_maskoverlay", p, PostProcessMaskOverlayArgs())
            self.call("postprocess_image_after_composite", p, PostprocessImageArgs())
        return made

    def sample(self, p: Processing) -> Tensor:
        p.sampler = Sampler(self, p)
        latents = noise_of(p)
        self.before_sampling(p, latents)
        latents = p.sampler.sample(latents)
        if p.enable_hr:
            p.is_hr_pass = True
            latents = enlarged(latents)
            p.sampler = Sampler(self, p)
            self.before_hires(p, latents)
            latents = p.sampler.sample(latents)
            p.is_hr_pass = False
        return latents

    def before_sampling(self, p: Processing, latents: Tensor) -> None:
        conds = {"c": p.sampler.sampler_extra_args["cond"], "uc": self.uncond(p)}
        self.call("process_before_every_sampling", p, x=latents, noise=latents, **conds)

    def before_hires(self, p: Processing, latents: Tensor) -> None:
        self.call("before_hr", p)
        self.before_sampling(p, latents)

    def uncond(self, p: Processing) -> Any:
        return [p.negative_prompt] * p.batch_size

    def denoise(self, denoiser: Denoiser, x: Tensor) -> Tensor:
        """Return the guided prediction for `x`, which takes one or several calls of the U-Net."""
        raise NotImplementedError

    def seen_by_callbacks(self, denoiser: Denoiser, x: Tensor) -> Tensor:
        """Return the batch after the callbacks have seen it."""
        p = denoiser.p
        texts = contexts(p.prompts * p.batch_size), contexts([p.negative_prompt] * p.batch_size)
        params = types.SimpleNamespace(x=x, denoiser=denoiser, text_cond=texts[0], text_uncond=texts[1])
        for callback in self.cfg_denoiser:
            callback(params)
        return params.x


class A1111(Double):
    """AUTOMATIC1111's web UI 1.10.1: the rows of a call are a slice of the denoiser's batch, conds first."""

    def checkpoint(self, unet: nn.Module) -> Any:
        held = types.SimpleNamespace(diffusion_model=unet)
        return types.SimpleNamespace(model=held, called=InnerModel(unet))

    def denoise(self, denoiser: Denoiser, x: Tensor) -> Tensor:
        p, pictures = denoiser.p, len(x)
        texts = p.prompts * pictures + [p.negative_prompt] * pictures
        whole = self.seen_by_callbacks(denoiser, torch.cat([x.repeat_interleave(len(p.prompts), 0), x]))
        size = pictures if p.separate else len(whole)
        parts = [slice(start, start + size) for start in range(0, len(whole), size)]
        called = denoiser.inner_model
        out = torch.cat([called(whole[part], times(whole[part]), cond=conds(texts[part])) for part in parts])
        return guided(p.cfg_scale, out[:-pictures].unflatten(0, (pictures, -1)).unbind(1), out[-pictures:])

    def negative_alone(self, denoiser: Denoiser, x: Tensor) -> Tensor:
        return denoiser.inner_model(x, times(x), cond=conds([denoiser.p.negative_prompt] * len(x)))


class InnerModel(nn.Module):
    """The model that A1111's denoiser calls; it passes the text to the U-Net, but no row kinds."""

    def __init__(self, unet: nn.Module) -> None:
        super().__init__()
        self.unet = unet

    def forward(self, x: Tensor, sigma: Tensor, cond: Mapping[str, Any]) -> Tensor:
        return self.unet(x, sigma, cond["c_crossattn"][0])


class ReForge(Double):
    """reForge: each call of the U-Net gives the role of each chunk, which has one row per picture."""

    modules: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "modules_forge": {},
        "ldm_patched": {},
        "ldm_patched.modules": {},
        "ldm_patched.modules.model_management": {"get_torch_device": lambda: torch.device("cpu")},
    }
    no_gradients = torch.inference_mode

    def checkpoint(self, unet: nn.Module) -> Any:
        patcher = types.SimpleNamespace(model=types.SimpleNamespace(diffusion_model=taking_options(unet)))
        return types.SimpleNamespace(forge_objects=types.SimpleNamespace(unet=patcher), called=None)

    def scale(self, denoiser: Denoiser) -> float:
        """Return the guidance of this step; at 1 there is no uncond."""
        return denoiser.p.cfg_scale

    def denoise(self, denoiser: Denoiser, x: Tensor) -> Tensor:
        p, scale = denoiser.p, self.scale(denoiser)
        chunks = [(UNCOND, p.negative_prompt)] if scale != 1 else []
        chunks += [(COND, prompt) for prompt in reversed(p.prompts)]
        x = self.seen_by_callbacks(denoiser, x)
        size = 1 if p.separate else len(chunks)
        parts = [chunks[start : start + size] for start in range(0, len(chunks), size)]
        outs = torch.cat([self.evaluated(x, part) for part in parts]).chunk(len(chunks))
        return guided(scale, outs[-len(p.prompts) :], outs[0])

    def negative_alone(self, denoiser: Denoiser, x: Tensor) -> Tensor:
        """The web UI marks as a prompt whatever is evaluated alone."""
        return self.evaluated(x, [(COND, denoiser.p.negative_prompt)])

    def evaluated(self, x: Tensor, chunks: Sequence[tuple[int, str]]) -> Tensor:
        options = {"cond_or_uncond": [role for role, _ in chunks], "sigmas": times(x)}
        rows = torch.cat([x] * len(chunks))
        context = contexts([text for _, text in chunks for _ in x])
        unet = self.sd_model.forge_objects.unet.model.diffusion_model
        return unet(rows, times(rows), context=context, control=None, transformer_options=options)


class ForgeClassic(ReForge):
    """Forge Classic never has an uncond in the first step, unless its setting for early steps is below 0."""

    def scale(self, denoiser: Denoiser) -> float:
        return 1.0 if denoiser.step == 0 else super().scale(denoiser)


class Forge(ReForge):
    """Forge calls scripts twice before the second pass of hires fix, and has no uncond at CFG 1."""

    modules: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "modules_forge": {},
        "backend": {},
        "backend.memory_management": {"get_torch_device": lambda: torch.device("cpu")},
    }

    def uncond(self, p: Processing) -> Any:
        return super().uncond(p) if p.cfg_scale != 1 else None

    def before_hires(self, p: Processing, latents: Tensor) -> None:
        super().before_hires(p, latents)
        self.before_sampling(p, latents)


class ForgeNeo(Forge):
    """Forge Neo calls scripts once before it."""

    def before_hires(self, p: Processing, latents: Tensor) -> None:
        ReForge.before_hires(self, p, latents)


DOUBLES = {
    "AUTOMATIC1111": A1111,
    "reForge": ReForge,
    "Forge Classic": ForgeClassic,
    "Forge": Forge,
    "Forge Neo": ForgeNeo,
}
"""The double of each web UI, by the names of tests/host/webui.py."""


def taking_options(unet: nn.Module) -> nn.Module:
    """Let the U-Net accept the arguments that Forge passes in addition to ldm's."""

    class Taking(type(unet)):
        def forward(
            self, x: Tensor, timesteps: Any, context: Any, control: Any = None, transformer_options: Any = None
        ):
            return super().forward(x, timesteps, context)

    if type(unet).__name__ != "Taking":
        unet.__class__ = Taking
    return unet


def title_of(script: Any) -> str:
    """Return a script's title, or its file name if that fails (modules/scripts.py, `wrap_call`)."""
    try:
        return str(script.title())
    except Exception:
        log.exception("a script failed in title")
        return script.__class__.__module__


def ignored(callback: Callable[..., Any]) -> None:
    """Accept a callback that a generation does not call."""


def module(name: str, content: Mapping[str, Any]) -> types.ModuleType:
    made = types.ModuleType(name)
    made.__spec__ = importlib.util.spec_from_loader(name, None)
    made.__path__ = []
    vars(made).update(content)
    return made


def times(rows: Tensor) -> Tensor:
    return torch.full((len(rows),), 9.0)


def conds(texts: Sequence[str]) -> dict[str, Any]:
    return {"c_crossattn": [contexts(texts)], "c_concat": [None]}


def contexts(texts: Sequence[str]) -> Tensor:
    """Return an embedding of each text, the same for the same text: (texts, 7, width)."""
    seeds = [int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "little") for text in texts]
    return torch.stack([torch.randn(7, CONTEXT, generator=torch.Generator().manual_seed(seed)) for seed in seeds])


def noise_of(p: Processing) -> Tensor:
    first = p.iteration * p.batch_size
    seeds = range(first, first + p.batch_size)
    return torch.stack([torch.randn(4, 8, 8, generator=torch.Generator().manual_seed(seed)) for seed in seeds])


def guided(scale: float, conds: Sequence[Tensor], uncond: Tensor) -> Tensor:
    """Return classifier-free guidance over several prompts (Liu et al. 2022, composable diffusion)."""
    return uncond + scale * sum(cond - uncond for cond in conds)


def self_guided(made: Tensor, negative: Tensor) -> Tensor:
    """Return a prediction moved away from another one, as from that of a blurred picture (Hong et al. 2023)."""
    return made + 0.5 * (made - negative)


def stepped(latents: Tensor, prediction: Tensor) -> Tensor:
    return latents - 0.1 * prediction


def enlarged(latents: Tensor) -> Tensor:
    return nn.functional.interpolate(latents, scale_factor=2.0)

"""A host without a web UI: a small sampler over a U-Net, an autoencoder and a text encoder that it is given.

It is the example of how to use the library in a program of your own:

    host = Demo(model, Folders(adapters=(folder,), encoders=(folder,)))
    session = Session(host)
    generation = Generation("a circle", seeds=(1, 2, 3))
    session.before_generation(generation, units)
    session.before_sampling(generation, units)
    pictures = host.sample(generation)
"""

from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from lib_ipadapter.base.boxes import Size
from lib_ipadapter.base.errors import IPAdapterError
from lib_ipadapter.port import (
    COND,
    UNCOND,
    CacheLimits,
    Folders,
    GeneratedPicture,
    PassInfo,
    ReportSettings,
    Row,
    SamplingRunPort,
)
from lib_ipadapter.unit.unit import Unit


@dataclass(frozen=True)
class Model:
    """A latent diffusion model that predicts v, as in a Stable Diffusion checkpoint."""

    unet: nn.Module
    """ldm's U-Net: (noisy latents, time steps, context) -> v."""
    contexts: Callable[[Sequence[str]], Tensor]
    """Texts -> (texts, 77, width)."""
    decode: Callable[[Tensor], Tensor]
    """Latents -> pixels in -1..1: (pictures, 3, height, width)."""
    signal_left: Tensor
    """Alpha bar, the remaining fraction of the signal's variance at each time step: (1000,)."""
    latent: tuple[int, int, int]
    """Channels, height and width of a latent."""


@dataclass
class Generation:
    """A request for one picture per seed, and what the session stores on it."""

    prompt: str
    seeds: Sequence[int]
    negative: str = ""
    steps: int = 20
    guidance: float = 7.0
    extra_generation_params: dict[str, str] = field(default_factory=dict[str, str])
    run: SamplingRunPort | None = None


class Demo:
    """The host; see `lib_ipadapter.port.Host` for what each method is for."""

    def __init__(self, model: Model, folders: Folders) -> None:
        self.model = model
        self._folders = folders

    # Files and memory

    def about(self) -> str:
        return "demo"

    def folders(self) -> Folders:
        return self._folders

    def reference_store(self) -> None:
        """References are not kept."""

    def cache_limits(self) -> CacheLimits:
        return CacheLimits()

    def free_memory(self, needed: int) -> None:
        """There is no low-memory mode."""

    def downloads_refused(self) -> str:
        return "This host does not download models."

    # How encoders run

    def compute_device(self) -> torch.device:
        return self.model.signal_left.device

    def compute_dtype(self) -> torch.dtype:
        return self.model.signal_left.dtype

    def face_device(self) -> torch.device:
        return self.compute_device()

    def unconditional(self) -> str:
        return "mean"

    # The network

    def sampling_unet(self, p: Generation) -> nn.Module:
        return self.model.unet

    def checkpoint_to_load(self) -> Path | None:
        return None

    def checkpoint_name(self) -> str:
        return ""

    def checkpoint_metadata(self) -> Mapping[str, Any]:
        return {}

    def loaded_unet(self) -> nn.Module:
        return self.model.unet

    # One generation

    def before_process(self, p: Generation, feeds_controlnet: bool) -> None:
        """Nothing is left by an earlier generation, and there is no ControlNet."""

    @contextmanager
    def stop_on_error(self, p: Generation, unit: int | None = None) -> Generator[None, None, None]:
        """Let an error through, with the number of its unit: nothing here swallows it."""
        try:
            yield
        except IPAdapterError as error:
            error.unit = error.unit or unit
            raise

    def check_other_extensions(self, p: Generation, adapters: Collection[str], units: Collection[Unit]) -> None:
        """There are no other extensions."""

    def inner_left_out(self) -> bool:
        return False

    def join_inner(self) -> dict[str, str]:
        raise IPAdapterError("There are no inner generations.")

    def expect_passes(self, p: Generation) -> None:
        """Every pass is announced."""

    def pass_info(self, p: Generation) -> PassInfo:
        return PassInfo()

    def while_sampling(self, p: Generation, run: SamplingRunPort | None) -> None:
        p.run = run

    def on_cfg_denoiser(self, params: Any) -> None:
        """There is no such callback; `sample` itself calls the run."""

    # Reports

    def report_settings(self, p: Generation) -> ReportSettings:
        return ReportSettings(likeness=False, log="none", folder=Path())

    def generated_picture(self, p: Generation) -> GeneratedPicture:
        """Return the first picture of the only batch: nothing here reports on pictures one by one."""
        return GeneratedPicture(0, 0, len(p.seeds), p.seeds[0])

    def comment(self, p: Generation, text: str) -> None:
        print(text)

    # Work between generations

    def exclusive(self, task: str = "") -> AbstractContextManager[None]:
        return nullcontext()

    def report_progress(self, what: str, done: int, total: int) -> None:
        """There is no progress bar, and nothing interrupts."""

    # HTTP

    def route_guards(self, app: Any) -> Sequence[Any]:
        return ()

    def http_error(self, error: IPAdapterError) -> Exception:
        return error

    def answer_refusals(self, app: Any) -> None:
        """There is no app."""

    def show_refusals(self) -> None:
        """There is no page."""

    def sample(self, p: Generation) -> list[Image.Image]:
        """Return one picture per seed of `p`, with the units that act on it."""
        run, p.run = p.run, None
        if run is None:
            return self._sample(p, _nothing)
        run.inject(self.model.unet)
        try:
            return self._sample(p, run.begin_call)
        finally:
            run.eject()

    @torch.no_grad()
    def _sample(self, p: Generation, begin_call: Callable[[Sequence[Row], float, Size], None]) -> list[Image.Image]:
        """Denoise with DDIM (Song et al. 2021, eta 0) and classifier-free guidance, in v-prediction."""
        context = self.model.contexts([p.prompt] * len(p.seeds) + [p.negative] * len(p.seeds))
        rows = [Row(role, picture) for role in (COND, UNCOND) for picture in range(len(p.seeds))]
        times = _time_steps(len(self.model.signal_left), p.steps)
        x = torch.stack([_noise(seed, self.model.latent) for seed in p.seeds]).to(context)
        for step, (time, following) in enumerate(zip(times, [*times[1:], 0], strict=True)):
            begin_call(rows, step / p.steps, (x.shape[-2], x.shape[-1]))
            cond, uncond = self.model.unet(torch.cat([x, x]), torch.full((len(rows),), time), context).chunk(2)
            v = uncond + p.guidance * (cond - uncond)
            left, then = self.model.signal_left[time], self.model.signal_left[following]
            clean = left.sqrt() * x - (1 - left).sqrt() * v
            noise = left.sqrt() * v + (1 - left).sqrt() * x
            x = then.sqrt() * clean + (1 - then).sqrt() * noise
        return to_pictures(self.model.decode(x))


def _nothing(rows: Sequence[Row], progress: float, size: Size) -> None:
    """Stand in for a run's `begin_call` when no unit is active."""


def _time_steps(count: int, steps: int) -> list[int]:
    """Return a sampler's time steps, noisiest first, spaced as Stable Diffusion's DDIM spaces them."""
    return [time + 1 for time in range(0, count, count // steps)][:steps][::-1]


def _noise(seed: int, shape: tuple[int, int, int]) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def to_pictures(pixels: Tensor) -> list[Image.Image]:
    """Return the pictures of pixels in -1..1: (pictures, 3, height, width)."""
    levels = ((pixels.clamp(-1, 1) + 1) * 127.5).round().byte().permute(0, 2, 3, 1).cpu().numpy()
    return [Image.fromarray(np.ascontiguousarray(each)) for each in levels]

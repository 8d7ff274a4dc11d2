"""What a host must offer: a web UI, or any other program that samples with a U-Net.

`Host` is the whole of it. One class satisfies it for each web UI, below `hosts/`; demo/host.py does so without one.
"""

from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import torch

from .base.boxes import Size
from .base.errors import IPAdapterError
from .unit.unit import Unit

COND, UNCOND = 0, 1
"""Roles of a row: under the prompt, or under the negative prompt."""


@dataclass(frozen=True)
class Folders:
    """Where files are looked for, in this order; folders that do not exist are fine."""

    adapters: tuple[Path, ...]
    encoders: tuple[Path, ...]
    saved: tuple[Path, ...] = ()
    """Of saved references; new ones are written into the first."""
    faces: tuple[Path, ...] = ()
    """Folders with one folder for each pack of insightface's models."""
    loras: tuple[Path, ...] = ()
    presets: Path | None = None
    """The file of the user's own presets, or None where they cannot be kept."""
    subjects: tuple[Path, ...] = ()
    """Of subjects; new ones are written into the first."""


class Row(NamedTuple):
    """What one row of a U-Net call is."""

    role: int
    """COND or UNCOND."""
    picture: int
    """Number of the picture among all that the generation makes, from 0."""


RowsOf = Callable[[torch.Tensor], Sequence[Row]]
"""(text that rows of the U-Net see: (rows, tokens, width)) -> what these rows are."""


@dataclass(frozen=True)
class PassInfo:
    """One pass of sampling, as far as units depend on it."""

    hires: bool = False
    """Whether it is the second pass of hires fix."""
    inner: bool = False
    """Whether another extension runs it within a generation, as ADetailer does for the faces of a picture."""
    box: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)
    """The part of the whole picture that is sampled: left, upper, right and lower edge as fractions of it. Inpainting
    "only masked" samples a part; masks are drawn for the whole."""
    loras: frozenset[str] = frozenset()
    """LoRAs that the web UI applies in this pass because the prompt asks for them: file names in lower case, without
    folder and extension."""
    feeds_controlnet: bool = False
    """Whether ControlNets may ask for the units' image tokens, which they see instead of the text."""


class ReferenceStoreConfig(NamedTuple):
    """Where references are kept between generations."""

    folder: Path
    limit: int
    """Bytes; 0 keeps none."""


class CacheLimits(NamedTuple):
    """Bytes of what is kept in memory between generations, so that it is computed once."""

    features: int = 256 << 20
    """Of encoders' outputs: about two hundred pictures of ViT-H."""
    keys_values: int = 256 << 20
    """Of image keys and values: about ten units of SDXL Plus."""


class GeneratedPicture(NamedTuple):
    """A picture that a generation has just made."""

    number: int
    """Among all that it makes, from 0."""
    place: int
    """In its batch, from 0."""
    batch: int
    """Pictures of that batch."""
    seed: int


class ReportSettings(NamedTuple):
    """What is reported of generated pictures."""

    likeness: bool
    """Whether faces are compared with their references."""
    log: str
    """Format of the file that is written for each run, "CSV" or "JSON", or "none"."""
    folder: Path
    """Where these files go."""


class Reporter(Protocol):
    """The part of a host that reports on generated pictures. `p` is the host's own record of one generation."""

    def report_settings(self, p: Any) -> ReportSettings:
        """Return what is reported of the pictures of a generation."""
        ...

    def generated_picture(self, p: Any) -> GeneratedPicture:
        """Return which picture of the generation has just been made."""
        ...

    def comment(self, p: Any, text: str) -> None:
        """Show a line below the pictures of a generation."""
        ...


class SamplingRunPort(Protocol):
    """One pass of sampling with some units, as a host drives it.

    `inject`, then for each call of the denoiser `begin_call` and `end_call`, and at last `eject`.
    """

    @property
    def bypassed(self) -> bool:
        """Whether the U-Net was called while units were on, but none of its cross-attentions was."""
        ...

    @property
    def unfolds(self) -> bool:
        """Whether pictures of a batch have references of their own."""
        ...

    @property
    def feeds_controlnet(self) -> bool:
        """Whether ControlNets see image tokens of any unit in this pass."""
        ...

    def inject(self, unet: torch.nn.Module) -> None:
        """Put hooks on this U-Net, and take them off the one before; harmless for the same one."""
        ...

    def eject(self) -> None:
        """Leave the U-Net as it was; harmless where nothing is injected."""
        ...

    def begin_call(self, rows: Sequence[Row], progress: float, size: Size, text_rows: RowsOf | None = None) -> None:
        """Act on the next call of the denoiser, with these rows, at this fraction 0..1 of the steps.

        `size` is that of the whole latent picture. `text_rows` returns what rows are by their text, where the U-Net
        may get only some of them.
        """
        ...

    def end_call(self) -> None:
        """Do nothing until the next `begin_call`."""
        ...

    def face_tokens(self, number: int, rows: int) -> torch.Tensor:
        """Return what InstantID's ControlNet of this number, from 0, sees instead of the text.

        (rows, tokens, context dim). Raises `IPAdapterError` for a number of rows that the current call does not have.
        """
        ...

    def enter(self, path: str, hidden: torch.Tensor) -> None:
        """Take note of the input of the cross-attention at `path`, before others change the number of its rows."""
        ...

    def leave(self, path: str, output: torch.Tensor) -> torch.Tensor:
        """Return the output of that cross-attention, with the image attention if it could not be added inside."""
        ...


class Host(Reporter, Protocol):
    """All that the library asks of the program that it runs in. `p` is that program's own record of one generation."""

    # Files and memory

    def folders(self) -> Folders:
        """Return where model files are looked for."""
        ...

    def reference_store(self) -> ReferenceStoreConfig | None:
        """Return where references are kept, or None where they are not kept."""
        ...

    def cache_limits(self) -> CacheLimits:
        """Return how much is kept in memory; a session asks once."""
        ...

    def free_memory(self, needed: int) -> None:
        """Move what can leave the device off it, before an encoder of `needed` bytes goes on it."""
        ...

    # How encoders run

    def compute_device(self) -> torch.device:
        """Return the device that encoders run on."""
        ...

    def compute_dtype(self) -> torch.dtype:
        """Return the dtype that encoders run in on that device."""
        ...

    def unconditional(self) -> str:
        """Return what unconditional rows see where no negative reference is given: "mean" or "black"."""
        ...

    # The network

    def sampling_unet(self, p: Any) -> torch.nn.Module:
        """Return the U-Net that will sample `p`; raises `IPAdapterError` where something else computes in its place."""
        ...

    def loaded_unet(self) -> torch.nn.Module | None:
        """Return the loaded checkpoint's U-Net, or None where no checkpoint is loaded yet; never loads one."""
        ...

    # One generation, in the order of the calls

    def before_process(self, p: Any, feeds_controlnet: bool) -> None:
        """Begin a generation: undo what an earlier one left, and prepare ControlNets that may see units' image tokens.

        Without units on, it is all that happens for a generation, and it raises nothing.
        """
        ...

    def stop_on_error(self, p: Any, unit: int | None = None) -> AbstractContextManager[None]:
        """Return a context in which any error stops the generation of `p` with a sentence, once it begins to sample."""
        ...

    def check_other_extensions(self, p: Any, adapters: Collection[str], units: Collection[Unit]) -> None:
        """Check what other extensions do in the generation of `p`, with these units and their adapters' file names.

        Warns of an adapter that another extension applies as well. Raises `IPAdapterError` where units would be left
        out: by a script that samples in its own way, by other machines, or by the extension that makes inner
        generations, if a unit is for those only.
        """
        ...

    def expect_passes(self, p: Any) -> None:
        """From now on, refuse any sampling in the generation of `p` that no call of `while_sampling` precedes."""
        ...

    def pass_info(self, p: Any) -> PassInfo:
        """Return what the pass is that is about to begin."""
        ...

    def while_sampling(self, p: Any, run: SamplingRunPort | None) -> None:
        """Let `run` act during the pass of sampling that is about to begin, and no longer; None leaves it plain."""
        ...

    def on_cfg_denoiser(self, params: Any) -> None:
        """Take note that a denoiser, which may be any generation's, is about to call its model."""
        ...

    # Work between generations

    def exclusive(self, task: str = "") -> AbstractContextManager[None]:
        """Return a context in which no generation runs; entering it waits for those that are queued.

        The progress bar knows the work as `task`, and interrupting the web UI ends it like a generation.
        """
        ...

    def report_progress(self, what: str, done: int, total: int) -> None:
        """Show how much of some work is done, in a generation too; raises `IPAdapterError` if it was interrupted."""
        ...

    # HTTP

    def route_guards(self, app: Any) -> Sequence[Any]:
        """Return FastAPI dependencies for the library's routes, which let in whom the app itself lets in."""
        ...

    def http_error(self, error: IPAdapterError) -> Exception:
        """Return what a route raises, so that its caller gets the error's sentence."""
        ...

    def answer_refusals(self, app: Any) -> None:
        """Have the app answer a stopped generation with all that the error holds."""
        ...

    def show_refusals(self) -> None:
        """Have the page show why a generation was stopped."""
        ...

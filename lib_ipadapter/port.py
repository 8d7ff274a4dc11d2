"""What every door to a web UI offers to the rest of the library. Each door is a module with these functions."""

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
    """Of saved references, which are written into the first."""
    faces: tuple[Path, ...] = ()
    """Folders with one folder for each pack of insightface's models."""
    loras: tuple[Path, ...] = ()
    presets: Path | None = None
    """The file of a person's own presets, or None where they cannot be kept."""
    subjects: tuple[Path, ...] = ()
    """Of subjects, which are written into the first."""


class Row(NamedTuple):
    """What one row of a U-Net call is."""

    role: int
    """COND or UNCOND."""
    picture: int
    """Number of the picture among all that the generation makes, from 0."""


RowsOf = Callable[[torch.Tensor], Sequence[Row]]
"""(text that rows of the U-Net see: (rows, tokens, width)) -> what they are."""


@dataclass(frozen=True)
class PassInfo:
    """One pass of sampling, as far as units care."""

    hires: bool = False
    """Whether it is the second pass of hires fix."""
    inner: bool = False
    """Whether another extension generates it within a generation, as ADetailer does with a picture's faces."""
    box: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)
    """The part of the whole picture that is sampled: left, upper, right and lower edge as fractions of it. Inpainting
    "only masked" samples a part; masks are drawn for the whole."""
    loras: frozenset[str] = frozenset()
    """LoRAs that the web UI applies in this pass because the prompt asks for them: names of files in lower case,
    without folder and extension."""
    feeds_controlnet: bool = False
    """Whether ControlNets may ask for the image tokens of units, to see them in the place of the text."""


class ReferenceStoreConfig(NamedTuple):
    """Where references are kept between generations."""

    folder: Path
    limit: int
    """Bytes; with 0 nothing is kept."""


class CacheLimits(NamedTuple):
    """Bytes of what is kept in memory between generations, so that it is computed once."""

    features: int = 256 << 20
    """Of what encoders returned: about two hundred pictures of ViT-H."""
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
    """What is told of pictures once they are made."""

    likeness: bool
    """Whether it is told how alike faces are to their references."""
    log: str
    """Kind of the file that is written for each run, "CSV" or "JSON", or "none"."""
    folder: Path
    """Where such files go."""


class Reporter(Protocol):
    """The web UI, as far as something is told of pictures once they are made."""

    def report_settings(self, p: Any) -> ReportSettings:
        """Return what is told of the pictures of a generation."""
        ...

    def generated_picture(self, p: Any) -> GeneratedPicture:
        """Return which picture of the generation it is that was just made."""
        ...

    def comment(self, p: Any, text: str) -> None:
        """Show a line below the pictures of a generation."""
        ...


class SamplingRunPort(Protocol):
    """One pass of sampling, as a door drives it."""

    @property
    def bypassed(self) -> bool: ...
    @property
    def unfolds(self) -> bool: ...
    @property
    def feeds_controlnet(self) -> bool: ...
    def inject(self, unet: torch.nn.Module) -> None: ...
    def eject(self) -> None: ...
    def begin_call(self, rows: Sequence[Row], progress: float, size: Size, text_rows: RowsOf | None = None) -> None: ...
    def end_call(self) -> None: ...
    def face_tokens(self, number: int, rows: int) -> torch.Tensor: ...
    def enter(self, path: str, hidden: torch.Tensor) -> None: ...
    def leave(self, path: str, output: torch.Tensor) -> torch.Tensor: ...


class Host(Protocol):
    """The web UI, as far as a session needs it. `p` is the host's own record of one generation."""

    def folders(self) -> Folders:
        """Return where model files are looked for."""
        ...

    def compute_device(self) -> torch.device:
        """Return the device on which encoders run."""
        ...

    def compute_dtype(self) -> torch.dtype:
        """Return the dtype in which encoders run on that device."""
        ...

    def free_memory(self, needed: int) -> None:
        """Take off the device what may leave it, before an encoder of `needed` bytes goes on it."""
        ...

    def unconditional(self) -> str:
        """Return which picture unconditional rows see where no negative reference is given: "mean" or "black"."""
        ...

    def cache_limits(self) -> CacheLimits:
        """Return how much is kept in memory; it is asked for once, when a session begins."""
        ...

    def reference_store(self) -> ReferenceStoreConfig | None:
        """Return where references are kept, or None where that is nowhere."""
        ...

    def pass_info(self, p: Any) -> PassInfo:
        """Return what the pass is that is about to begin."""
        ...

    def sampling_unet(self, p: Any) -> torch.nn.Module:
        """Return the U-Net that will sample `p`; raises `IPAdapterError` where something else computes in its place."""
        ...

    def loaded_unet(self) -> torch.nn.Module | None:
        """Return the loaded checkpoint's U-Net, or None where no checkpoint is loaded yet; never loads one."""
        ...

    def exclusive(self, task: str = "") -> AbstractContextManager[Any]:
        """Return a context in which no generation runs, for work between generations; it waits for its turn.

        The web UI's progress bar knows the work as `task`, and its interruption ends the work as it ends a generation.
        """
        ...

    def report_progress(self, what: str, done: int, total: int) -> None:
        """Show how much of some work is done, in a generation too; raises `IPAdapterError` where it was interrupted."""
        ...

    def http_error(self, error: IPAdapterError) -> Exception:
        """Return what a route raises, so that its caller is answered with the sentence."""
        ...

    def stop_on_error(self, p: Any, unit: int | None = None) -> AbstractContextManager[None]:
        """Return a context in which any error stops the generation of `p` with a sentence, once it begins to sample."""
        ...

    def comment(self, p: Any, text: str) -> None:
        """Show a line below the pictures of a generation."""
        ...

    def check_other_extensions(self, p: Any, adapters: Collection[str], units: Collection[Unit]) -> None:
        """Look at what other extensions do in the generation of `p`, where these units with these adapters' files act.

        Warns of an adapter that another extension applies, too. Raises `IPAdapterError` where units would be left out:
        by what samples in a way of its own, by other machines, or, where some unit acts in inner generations only, by
        the extension that makes these.
        """
        ...

    def expect_passes(self, p: Any) -> None:
        """Refuse from now on whatever samples in the generation of `p` without a call of `while_sampling` before it."""
        ...

    def while_sampling(self, p: Any, run: SamplingRunPort | None) -> None:
        """Let `run` act during the pass of sampling that is about to begin, and not a moment longer.

        With None no unit acts in this pass.
        """
        ...

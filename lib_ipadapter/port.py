"""The interface between the library and a host: a web UI, or any other program that samples with a U-Net.

`Host` is the whole interface. `hosts/` has an implementation for each web UI; demo/host.py has one without a web UI.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import torch

from .base.boxes import Size
from .base.errors import IPAdapterError
from .unit.unit import Unit

COND, UNCOND = 0, 1
"""Roles of a row: conditional (prompt) or unconditional (negative prompt)."""


@dataclass(frozen=True)
class Folders:
    """Folders to search for files, in this order; they need not exist."""

    adapters: tuple[Path, ...]
    encoders: tuple[Path, ...]
    saved: tuple[Path, ...] = ()
    """Folders with saved references; new ones are written into the first."""
    faces: tuple[Path, ...] = ()
    """Folders with a subfolder for each insightface model pack."""
    facexlib: tuple[Path, ...] = ()
    """Folders with facexlib's models; its package has one of its own besides."""
    loras: tuple[Path, ...] = ()
    presets: Path | None = None
    """File of the user's presets, or None where presets cannot be saved."""
    strengths: Path | None = None
    """File of the user's own values for the panel's strength slider; it need not exist."""
    subjects: tuple[Path, ...] = ()
    """Folders with subjects; new ones are written into the first."""
    controlnets: tuple[Path, ...] = ()
    """Folders of ControlNet's models."""
    models: tuple[Path, ...] = ()
    """Folders that contain all models; published files may be there in other subfolders and under other names."""
    digests: Path | None = None
    """File that stores the known hashes of files, or None to keep them only until the process ends."""
    noted: Path | None = None
    """File that stores the version whose changes users have seen, or None where news are not shown."""
    features: Path | None = None
    """Folder that stores what image encoders make of the unconditional picture, or None to compute it at each start."""


class Row(NamedTuple):
    """Role and picture of one row of a U-Net call."""

    role: int
    """COND or UNCOND."""
    picture: int
    """Number of the picture in the whole generation, from 0."""


RowsOf = Callable[[torch.Tensor], Sequence[Row]]
"""(text conditioning of the U-Net's rows: (rows, tokens, width)) -> these rows."""


@dataclass(frozen=True)
class PassInfo:
    """Properties of a pass of sampling that units depend on."""

    hires: bool = False
    """Whether it is the second pass of hires fix."""
    inner: bool = False
    """Whether another extension runs it within a generation, as ADetailer does for faces."""
    box: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)
    """The sampled part of the picture: left, upper, right and lower edge as fractions of the whole. Inpainting "only
    masked" samples a part, while masks are drawn for the whole picture."""
    loras: frozenset[str] = frozenset()
    """LoRAs that the prompt loads in this pass: file names in lower case, without folder and extension."""
    feeds_controlnet: bool = False
    """Whether InstantID's ControlNets get the units' image tokens in place of text."""


class ReferenceStoreConfig(NamedTuple):
    """Where references are stored between generations."""

    folder: Path
    limit: int
    """Maximum bytes; 0 stores none."""


class CacheLimits(NamedTuple):
    """Maximum bytes of the memory caches."""

    features: int = 256 << 20
    """For encoder outputs; the default holds about two hundred pictures with ViT-H."""
    keys_values: int = 256 << 20
    """For image keys and values; the default holds about ten units with SDXL Plus."""


class GeneratedPicture(NamedTuple):
    """Position of a picture that has just been generated."""

    number: int
    """Number in the whole generation, from 0."""
    place: int
    """Index in its batch, from 0."""
    batch: int
    """Size of the batch."""
    seed: int


class ReportSettings(NamedTuple):
    """Settings of the likeness report."""

    likeness: bool
    """Whether faces are compared with their references."""
    log: str
    """Format of the log file of each run: "CSV", "JSON" or "none"."""
    folder: Path
    """Folder of the log files."""


class Reporter(Protocol):
    """The part of a host for reports on generated pictures. `p` is the host's processing object of one generation."""

    def report_settings(self, p: Any) -> ReportSettings:
        """Return the report settings of a generation."""
        ...

    def generated_picture(self, p: Any) -> GeneratedPicture:
        """Return which picture of the generation has just been generated."""
        ...

    def comment(self, p: Any, text: str) -> None:
        """Show a line below the pictures of a generation."""
        ...


class SamplingRunPort(Protocol):
    """One pass of sampling with units, as seen by a host.

    Call `inject`, then `begin_call` and `end_call` around each call of the denoiser, and finally `eject`.
    """

    @property
    def bypassed(self) -> bool:
        """Whether the U-Net was called with active units, but a cross-attention did not get its image attention."""
        ...

    @property
    def unfolds(self) -> bool:
        """Whether the pictures of a batch have different references."""
        ...

    @property
    def feeds_controlnet(self) -> bool:
        """Whether InstantID's ControlNet gets image tokens from any unit in this pass."""
        ...

    def inject(self, unet: torch.nn.Module) -> None:
        """Add hooks to this U-Net and remove them from an earlier one; does nothing if it is the same."""
        ...

    def eject(self) -> None:
        """Remove all hooks; does nothing if nothing is injected."""
        ...

    def begin_call(self, rows: Sequence[Row], progress: float, size: Size, text_rows: RowsOf | None = None) -> None:
        """Activate the units for the next call of the denoiser, with these rows, at this fraction 0..1 of the steps.

        `size` is the size of the whole latent image. `text_rows` identifies rows by their text conditioning, for a
        U-Net that may get only some of them.
        """
        ...

    def end_call(self) -> None:
        """Deactivate the units until the next `begin_call`."""
        ...

    def face_tokens(self, number: int, rows: int) -> torch.Tensor:
        """Return the image tokens for InstantID's ControlNet `number`, from 0: (rows, tokens, context dim).

        Raises `IPAdapterError` if `rows` does not match the current call.
        """
        ...

    def enter(self, path: str, hidden: torch.Tensor) -> None:
        """Record the input of the cross-attention at `path`, before other extensions change the number of its rows."""
        ...

    def leave(self, path: str, output: torch.Tensor) -> torch.Tensor:
        """Return the output of that cross-attention, with the image attention if it could not be added inside."""
        ...


class Host(Reporter, Protocol):
    """Everything that the library needs from its host. `p` is the host's processing object of one generation."""

    def about(self) -> str:
        """Return the host's kind and version, for reports."""
        ...

    # Files and memory

    def folders(self) -> Folders:
        """Return the folders to search for files."""
        ...

    def reference_store(self) -> ReferenceStoreConfig | None:
        """Return where references are stored, or None if they are not stored."""
        ...

    def cache_limits(self) -> CacheLimits:
        """Return the limits of the memory caches; called once per session."""
        ...

    def free_memory(self, needed: int) -> None:
        """Free `needed` bytes on the device for an encoder, for example by moving models to the CPU."""
        ...

    def downloads_refused(self) -> str:
        """Return why models must not be downloaded, or "" if they may be."""
        ...

    # How encoders run

    def compute_device(self) -> torch.device:
        """Return the device for encoders."""
        ...

    def compute_dtype(self) -> torch.dtype:
        """Return the dtype for encoders on that device."""
        ...

    def face_device(self) -> torch.device:
        """Return the device for face models."""
        ...

    def unconditional(self) -> str:
        """Return the unconditional picture without a negative reference: "mean" or "black"."""
        ...

    # The network

    def sampling_unet(self, p: Any) -> torch.nn.Module:
        """Return the U-Net that will sample `p`; raises `IPAdapterError` if something else runs instead of it."""
        ...

    def checkpoint_to_load(self) -> Path | None:
        """Return the checkpoint that the next generation will load, or None if it uses the loaded one."""
        ...

    def checkpoint_name(self) -> str:
        """Return the selected checkpoint's file name, which may have a folder and a hash, or "" where none is known."""
        ...

    def checkpoint_metadata(self) -> Mapping[str, Any]:
        """Return what the selected checkpoint's file says about itself, by key; empty if nothing is known."""
        ...

    def loaded_unet(self) -> torch.nn.Module | None:
        """Return the loaded checkpoint's U-Net, or None if none is loaded yet; never loads one."""
        ...

    # One generation, in the order of the calls

    def before_process(self, p: Any, feeds_controlnet: bool) -> None:
        """Begin a generation: undo leftovers of an earlier one, and prepare ControlNets that take units' image tokens.

        It is the only call in a generation without enabled units, and then never raises.
        """
        ...

    def stop_on_error(self, p: Any, unit: int | None = None) -> AbstractContextManager[None]:
        """Return a context in which any error stops the generation of `p` with a message when sampling begins."""
        ...

    def check_other_extensions(self, p: Any, adapters: Collection[str], units: Collection[Unit]) -> None:
        """Check other extensions in the generation of `p`, given the units and their adapters' file names.

        Warns if another extension applies the same adapter. Raises `IPAdapterError` if units would be skipped: by a
        script with its own sampling, by other machines, or by the extension that runs inner generations, for a unit
        with `inner` set to "inner only".
        """
        ...

    def inner_left_out(self) -> bool:
        """Return whether the extension that runs inner generations leaves this one out of them, by its settings."""
        ...

    def join_inner(self) -> Mapping[str, str]:
        """Change that extension's settings so that it no longer does; return the changed settings, by key.

        Raises `IPAdapterError` if there is no such extension, or if the web UI's settings must not be changed.
        """
        ...

    def expect_passes(self, p: Any) -> None:
        """From now on, raise an error if `p` is sampled without a call of `while_sampling` before."""
        ...

    def pass_info(self, p: Any) -> PassInfo:
        """Return the properties of the pass that is about to begin."""
        ...

    def while_sampling(self, p: Any, run: SamplingRunPort | None) -> None:
        """Use `run` for the pass of sampling that is about to begin; None means a pass without units."""
        ...

    def on_cfg_denoiser(self, params: Any) -> None:
        """Handle the host's callback before a denoiser calls its model; it may belong to any generation."""
        ...

    # Work between generations

    def exclusive(self, task: str = "") -> AbstractContextManager[None]:
        """Return a context in which no generation runs; entering it waits for queued ones.

        The progress bar shows the work as `task`, and it can be interrupted like a generation.
        """
        ...

    def report_progress(self, what: str, done: int, total: int) -> None:
        """Show progress, also during a generation; raises `IPAdapterError` if the user has interrupted it."""
        ...

    # HTTP

    def route_guards(self, app: Any) -> Sequence[Any]:
        """Return FastAPI dependencies that protect the library's routes like the app's own."""
        ...

    def http_error(self, error: IPAdapterError) -> Exception:
        """Return the exception that a route raises for an error."""
        ...

    def answer_refusals(self, app: Any) -> None:
        """Make the API's response for a stopped generation include the error's details."""
        ...

    def show_refusals(self) -> None:
        """Make the page show why a generation was stopped."""
        ...

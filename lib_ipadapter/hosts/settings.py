"""The extension's settings in the web UI, as data; the script adds them."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

SECTION = ("ipadapter", "IP-Adapter")
"""Id and title of the settings' page."""


class Setting(NamedTuple):
    """One setting; its widget follows from its choices or range."""

    default: bool | int | str
    label: str
    info: str = ""
    """An explanation in small print."""
    choices: Sequence[str] = ()
    range: tuple[int, int, int] | None = None
    """Minimum, maximum and step of a slider."""
    needs_reload: bool = False
    """Whether a change takes effect only after a reload of the UI."""

    @property
    def widget(self) -> tuple[str, Mapping[str, object]] | None:
        """The name of the gradio component and its arguments; None lets the web UI choose by the default's type."""
        if self.choices:
            return "Radio", {"choices": list(self.choices)}
        if self.range:
            return "Slider", dict(zip(("minimum", "maximum", "step"), self.range, strict=True))
        return None


MEGABYTES = (0, 8192, 64)

SETTINGS: Mapping[str, Setting] = {
    "ipadapter_units": Setting(3, "Number of units", range=(1, 10, 1), needs_reload=True),
    "ipadapter_folder": Setting("", "Additional folder for adapters and image encoders"),
    "ipadapter_kept_folder": Setting(
        "",
        "Additional folder for saved references and subjects",
        "new ones are saved here; those in the web UI's models folder can still be used",
    ),
    "ipadapter_downloads": Setting(
        True,
        "Allow model downloads",
        "with Get models or through the API; never otherwise",
    ),
    "ipadapter_unconditional": Setting(
        "mean",
        "Image for the negative prompt when a unit has no negative reference",
        "mean: the mean colour, as in the authors' code; black: a black picture, to reproduce results of ComfyUI and "
        "Forge",
        choices=("mean", "black"),
    ),
    "ipadapter_face_device": Setting(
        "auto",
        "Where face models run",
        "auto: on an NVIDIA card if onnxruntime-gpu is installed, otherwise on the CPU",
        choices=("auto", "CPU"),
    ),
    "ipadapter_kept_references": Setting(
        256,
        "Disk space for references that infotext can restore (MB)",
        "stored in cache/ipadapter-references in the web UI's data folder; anyone who can use this web UI can get them "
        "back by pasting infotext; 0 stores none, and the next generation deletes those already stored",
        range=MEGABYTES,
    ),
    "ipadapter_kept_features": Setting(
        256,
        "Memory for encoded references (MB)",
        "in RAM; references found there are not encoded again",
        range=MEGABYTES,
        needs_reload=True,
    ),
    "ipadapter_kept_keys_values": Setting(
        256,
        "Memory for image keys and values (MB)",
        "in RAM; units that have not changed need no preparation before sampling",
        range=MEGABYTES,
        needs_reload=True,
    ),
    "ipadapter_likeness": Setting(
        False,
        "Report how closely generated faces match their references (FaceID, InstantID)",
        "in infotext and below the gallery, as measured by the face model; takes about a second per picture; not "
        "identity verification",
    ),
    "ipadapter_likeness_log": Setting(
        "none",
        "Save each likeness report as a file",
        "in log/ipadapter-likeness in the web UI's data folder; only similarities and face positions, no pictures",
        choices=("none", "CSV", "JSON"),
    ),
    "ipadapter_prompt_strip": Setting(True, "Show references in use below the prompt"),
    "ipadapter_log_level": Setting(
        "warning",
        "Console log level",
        "info adds one line per generation, with the time and memory its units took",
        choices=("warning", "info", "debug"),
    ),
    "ipadapter_install_faces": Setting(
        False,
        "Install packages for FaceID adapters (insightface, onnx, onnxruntime)",
        "when the web UI next starts; packages that are already installed stay unchanged",
    ),
    "ipadapter_warn_only": Setting(
        False, "If a unit cannot run, show a warning and generate without it instead of stopping"
    ),
}
"""Settings by key; keys must not change, because users' config files contain them."""

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
    "ipadapter_folder": Setting("", "Additional folder with adapters and image encoders"),
    "ipadapter_kept_folder": Setting(
        "",
        "Additional folder for saved references and subjects",
        "new ones are saved there; those in the web UI's models folder are still found",
    ),
    "ipadapter_unconditional": Setting(
        "mean",
        "Image for the negative prompt when a unit has no negative reference",
        "mean: the mean colour, as in the authors' code; black: a black picture, as in ComfyUI and Forge, to reproduce "
        "their results",
        choices=("mean", "black"),
    ),
    "ipadapter_kept_references": Setting(
        256,
        "Disk space for references, so that infotext restores them (MB)",
        "stored in cache/ipadapter-references of the web UI's data folder; anyone who can use this web UI can recover "
        "them by pasting infotext; 0 stores none and deletes the stored ones with the next picture",
        range=MEGABYTES,
    ),
    "ipadapter_kept_features": Setting(
        256,
        "Memory for encoded references (MB)",
        "RAM; a reference that is still there is not encoded again",
        range=MEGABYTES,
        needs_reload=True,
    ),
    "ipadapter_kept_keys_values": Setting(
        256,
        "Memory for image keys and values (MB)",
        "RAM; a unit that is still there and has not changed costs nothing before sampling",
        range=MEGABYTES,
        needs_reload=True,
    ),
    "ipadapter_likeness": Setting(
        False,
        "Report how closely generated faces match their references (FaceID, InstantID)",
        "in the infotext and below the gallery, as measured by the face model; takes about a second per picture; not "
        "identity verification",
    ),
    "ipadapter_likeness_log": Setting(
        "none",
        "Save the likeness report of each run as a file",
        "in log/ipadapter-likeness of the web UI's data folder; similarities and positions of faces only",
        choices=("none", "CSV", "JSON"),
    ),
    "ipadapter_log_level": Setting(
        "warning",
        "Console log level",
        "info: one line per generation, with what its units cost",
        choices=("warning", "info", "debug"),
    ),
    "ipadapter_install_faces": Setting(
        False,
        "Install what FaceID adapters need (insightface, onnx, onnxruntime)",
        "at the next start of the web UI, without changing installed packages",
    ),
    "ipadapter_warn_only": Setting(False, "If a unit cannot run, warn and generate without it, instead of stopping"),
}
"""Settings by key; keys must not change, because users' config files contain them."""

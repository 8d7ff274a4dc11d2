"""What kind of model the selected checkpoint is, as far as its file's name and metadata show, and what that changes."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePath
from types import MappingProxyType
from typing import Any, NamedTuple

NOOBAI_ADAPTER = "noobIPAMARK1_mark1.safetensors"
"""The published adapter that was trained on NoobAI, which itself was trained from Illustrious."""

NAMED_IN = ("modelspec.title", "modelspec.merged_from", "sd_merge_models", "ss_sd_model_name")
"""Keys of a checkpoint's metadata that name it, or the models that it was merged from."""


@dataclass(frozen=True)
class CheckpointKind:
    """Models that need other settings or adapters than those that they were made from."""

    name: str
    mark: str
    """Regular expression that finds them in names, in lower case."""
    adapter: str = ""
    """For models trained far away from SDXL: the name of the published adapter that fits them, or empty."""
    most_cfg: float | None = None
    """For models distilled to few steps: the largest CFG scale that their authors recommend for any of them."""


RETRAINED = (
    CheckpointKind("NoobAI", "noob", NOOBAI_ADAPTER),
    CheckpointKind("Illustrious", "illustrious", NOOBAI_ADAPTER),
    CheckpointKind("Pony", "pony"),
)
"""Models trained so far away from SDXL that adapters made for SDXL work badly with them.

Source: reports of blocks of colour and weak effects, such as ComfyUI_IPAdapter_plus issues 505 and 848.
"""

DISTILLED = (
    CheckpointKind("Lightning", "lightning", most_cfg=2),
    CheckpointKind("LCM", "(?<![a-z])lcm(?![a-z])", most_cfg=2),
    CheckpointKind("Turbo", "turbo", most_cfg=2),
    CheckpointKind("Hyper", "hyper(?=[-_ ]?sd|vae|[^a-z]|$)", most_cfg=2),
    CheckpointKind("DMD2", "dmd2", most_cfg=1),
)
"""Models that draw in few steps and contain most of the guidance themselves.

Source: PuLID's app.py and app_v1_1.py (1 to 1.5 and 2 for Lightning); the pages of RealVisXL Lightning (1 to 2),
DreamShaper XL Lightning and Turbo (2), LCM-LoRA (1 to 2), Hyper-SD and DMD2 (1).
"""

TOLERANCE = 1.5
"""Factor by which a CFG scale may exceed the recommended one without advice, because merges bear more."""


class Checkpoint(NamedTuple):
    """The selected checkpoint."""

    file: str = ""
    """Its name, which may have a folder and a hash, or empty if it is unknown."""
    metadata: Mapping[str, Any] = MappingProxyType({})

    @property
    def name(self) -> str:
        """Its file name without folders."""
        return PurePath(self.file.replace("\\", "/")).name

    def kind(self, among: Iterable[CheckpointKind]) -> CheckpointKind | None:
        """Return the first of these kinds that its file's name or its metadata shows, or None."""
        known = [self.name, *(str(self.metadata[key]) for key in NAMED_IN if key in self.metadata)]
        text = "\n".join(known).lower()
        return next((each for each in among if re.search(each.mark, text)), None)

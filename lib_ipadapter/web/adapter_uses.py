"""What adapters were trained for, and which of those that can run suits a purpose best."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from ..unit.presets import INTENTS, Intent

GENERAL, FACE, COMPOSITION, STYLE, LIKENESS = "general", "face", "composition", "style", "likeness"
"""`FACE` is a face as a picture shows it, `LIKENESS` a person as a face recognition model knows one."""

FAMILY_USES: Mapping[str, str] = {
    "base": GENERAL,
    "plus": GENERAL,
    "full-face": FACE,
    "faceid": LIKENESS,
    "faceid-plus": LIKENESS,
    "portrait": LIKENESS,
    "face-resampler": LIKENESS,
    "kolors-plus": GENERAL,
    "kolors-faceid-plus": LIKENESS,
    "xlabs-flux": GENERAL,
    "instantx-flux": GENERAL,
    "instantx-sd35": GENERAL,
    "pulid": LIKENESS,
    "pulid-v1.1": LIKENESS,
    "pulid-flux": LIKENESS,
}

WORD_USES: Mapping[str, str] = {"composition": COMPOSITION, "style": STYLE, "face": FACE}
"""Words in the names of published files that differ from their family's general adapter in training alone, as
ip-adapter-plus-face_sd15 and ip_plus_composition_sd15 do: nothing in their tensors says so."""

NO_PURPOSE = Intent("", families=("plus", "base"))
"""Takes the place of a purpose where a person has named none."""


def uses_of(family: str, name: str) -> list[str]:
    """Return what an adapter was trained for, by its family and, where files look alike, by words of its name."""
    use = FAMILY_USES.get(family)
    words = set(re.split(r"[^a-z]+", name.lower()))
    named = [each for word, each in WORD_USES.items() if word in words] if use == GENERAL else []
    return named or ([use] if use else [])


def suited(models: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    """Return for each purpose, and for "" as none, the names of listed adapters for it that can run, the best first."""
    ready = [model for model in models if not model["reason"] and not model["missing"]]
    return {purpose: _best(ready, intent) for purpose, intent in {"": NO_PURPOSE, **INTENTS}.items()}


def _best(ready: Sequence[Mapping[str, Any]], intent: Intent) -> list[str]:
    """Return names in the order of the purpose's uses, then of its families, then of the list."""
    ranked = [
        (intent.uses.index(use), intent.families.index(model["family"]), place, model["name"])
        for place, model in enumerate(ready)
        for use in model["uses"]
        if use in intent.uses and model["family"] in intent.families
    ]
    return list(dict.fromkeys(name for *_, name in sorted(ranked)))

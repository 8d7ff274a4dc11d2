"""What adapters were trained for, and which usable adapter suits a purpose best."""

import re
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from ..files.catalogue import Catalogue, PublishedFile
from ..unit.presets import INTENTS, Intent

GENERAL, FACE, COMPOSITION, STYLE, LIKENESS = "general", "face", "composition", "style", "likeness"
"""`FACE` adapters encode a picture of a face, `LIKENESS` adapters a face embedding."""

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
    "art": STYLE,
    "csgo": STYLE,
    "instruct": GENERAL,
    "style-components": STYLE,
}

WORD_USES: Mapping[str, str] = {"composition": COMPOSITION, "style": STYLE, "face": FACE}
"""Words in the names of published files that differ from their family's general adapter only in training, such as
ip-adapter-plus-face_sd15 and ip_plus_composition_sd15, so their tensors do not show it."""

NO_PURPOSE = Intent("")
"""Used when the user has not chosen a purpose."""


def uses_of(family: str, name: str, published: PublishedFile | None = None) -> list[str]:
    """Return what an adapter was trained for.

    For published files, the catalogue says so. For others, it follows from the family and, if that is not enough, from
    words in the name.
    """
    if published and published.use:
        return [published.use]
    use = FAMILY_USES.get(family)
    words = set(re.split(r"[^a-z]+", name.lower()))
    named = [each for word, each in WORD_USES.items() if word in words] if use == GENERAL else []
    return named or ([use] if use else [])


def suited(models: Sequence[Mapping[str, Any]], catalogue: Catalogue) -> dict[str, list[str]]:
    """Return the names of usable adapters for each purpose, and for "" (no purpose), the best first."""
    ready = [model for model in models if not model["reason"] and not model["missing"]]
    return {purpose: _best(ready, intent, catalogue) for purpose, intent in {"": NO_PURPOSE, **INTENTS}.items()}


def _best(ready: Sequence[Mapping[str, Any]], intent: Intent, catalogue: Catalogue) -> list[str]:
    """Return names sorted by the purpose's uses, then by position in the catalogue, then as in the list."""
    ranked = [
        (intent.uses.index(use), _place(model, use, catalogue), place, model["name"])
        for place, model in enumerate(ready)
        for use in model["uses"]
        if use in intent.uses
    ]
    return list(dict.fromkeys(name for *_, name in sorted(ranked)))


def _place(model: Mapping[str, Any], use: str, catalogue: Catalogue) -> float:
    """Return an adapter's position in the catalogue, where better choices come first.

    A file that is not recognised by its content gets the position of the published file with its name, or else one just
    after the best published file with the same family, use and base.
    """
    name = model.get("published") or PurePosixPath(model["name"]).name
    kind = (model["family"], use, model["base"])
    for place, file in enumerate(catalogue.files):
        if file.name == name:
            return place
    alike = (place + 0.5 for place, file in enumerate(catalogue.files) if (file.family, file.use, file.base) == kind)
    return next(alike, len(catalogue.files))

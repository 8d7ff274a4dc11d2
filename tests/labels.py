"""Every text of the panel and of the settings that users read, which are the keys of the web UI's localisation.

`python tests/labels.py` writes localizations/template/en.json, the template for languages, and says what each language
lacks. The web UI takes every file in localizations/ for a language, but none in the folder below it.
"""

import json
import re
import sys
from collections.abc import Collection
from pathlib import Path

from sentences import FIELD, formatted, sentences

ROOT = Path(__file__).resolve().parent.parent
LOCALIZATIONS = ROOT / "localizations"
TEMPLATE = LOCALIZATIONS / "template" / "en.json"
SPOKEN = re.compile(r'\bsay\(\s*(?:[^"()]*\?\s+)?"([^"]+)"(?:\s+:\s+"([^"]+)")?')
"""Texts in the browser's code that users read go through `say`, alone or as one of two."""


def texts_of_fields() -> set[str]:
    """Return labels, helps and choices."""
    from lib_ipadapter.unit.unit import FIELDS

    kinds = [field.kind for field in FIELDS.values()]
    options = {option for kind in kinds for name in ("options", "places") for option in getattr(kind, name, ())}
    return options | {field.label for field in FIELDS.values()} | {field.help for field in FIELDS.values()}


def texts_of_groups() -> set[str]:
    """Return the names of the panel's groups, the notes in them, and the names of groups of weight types."""
    from lib_ipadapter.unit.field import GROUPS
    from lib_ipadapter.unit.group_help import GROUP_HELP
    from lib_ipadapter.unit.weight_types import TYPE_GROUPS

    texts = (*GROUPS.items(), *GROUP_HELP.items())
    return {text for each in texts for text in each if text} | set(TYPE_GROUPS)


def texts_of_intents() -> set[str]:
    from lib_ipadapter.unit.presets import INTENTS

    return set(INTENTS) | {intent.help for intent in INTENTS.values()}


def texts_of_the_catalogue() -> set[str]:
    """Return what is said about published files and bundles of them."""
    from lib_ipadapter.files.catalogue import read_catalogue

    catalogue = read_catalogue()
    files = {text for file in catalogue.files for text in (file.title, file.help)}
    return files | {text for bundle in catalogue.bundles for text in (bundle.name, bundle.help)}


def texts_of_settings() -> set[str]:
    """Return the labels and explanations of the settings."""
    from lib_ipadapter.hosts.settings import SECTION, SETTINGS

    infos = {f"({setting.info})" for setting in SETTINGS.values() if setting.info}
    return {SECTION[1], *(setting.label for setting in SETTINGS.values()), *infos}


def texts_of_the_browser() -> set[str]:
    code = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "javascript").glob("*.js"))
    return {text for found in SPOKEN.findall(code) for text in found if text}


def texts_of_the_server() -> set[str]:
    """Return the server's messages that the browser translates, with a placeholder for each value."""
    from lib_ipadapter.review.face_preview import BY_FACEXLIB, NO_FACE
    from lib_ipadapter.review.repairs import ANSWERS, ROWS, TITLES
    from lib_ipadapter.review.thresholds import THRESHOLDS
    from lib_ipadapter.web.file_lists import DAMAGED, NOT_YET
    from lib_ipadapter.web.requests import REQUESTS
    from lib_ipadapter.weights.bases import BASES

    done = {request.done for request in REQUESTS if request.done}
    repairs = {*ANSWERS, *TITLES, *(row.why for row in ROWS)}
    whole = {
        *done,
        *repairs,
        DAMAGED,
        NOT_YET,
        NO_FACE,
        BY_FACEXLIB,
        *(f"for {name}" for name in BASES.values()),
        *(formatted(row.advice) for row in THRESHOLDS),
    }
    return whole | {text for text in sentences() if text.removeprefix(FIELD) not in whole}


SOURCES = (
    texts_of_fields,
    texts_of_groups,
    texts_of_intents,
    texts_of_the_catalogue,
    texts_of_settings,
    texts_of_the_browser,
    texts_of_the_server,
)


def labels() -> list[str]:
    return sorted(set().union(*(texts() for texts in SOURCES)))


def read(path: Path) -> dict[str, str]:
    """Return a language's translations, by English text."""
    translated: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
    return translated


def languages() -> list[Path]:
    """Return the files of all languages."""
    return sorted(LOCALIZATIONS.glob("*.json"))


def lacking(path: Path, texts: Collection[str]) -> list[str]:
    """Return the texts that a language lacks, and those that it alone has, each with what is wrong with it."""
    translated = read(path)
    absent = [f"lacks {text!r}" for text in texts if text not in translated]
    return absent + [f"has {text!r}, which is gone" for text in translated if text not in texts]


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    texts = labels()
    TEMPLATE.write_text(
        json.dumps({text: text for text in texts}, indent=4, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    for path in languages():
        faults = lacking(path, texts)
        sys.stdout.write("\n  ".join([f"{path.stem}: {len(faults)} to do", *faults]) + "\n")

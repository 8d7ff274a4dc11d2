"""The template for languages has every text that users read, and nothing else; the languages fit it."""

import json
import re
from pathlib import Path

import pytest
from labels import TEMPLATE, labels, lacking, languages, read
from sentences import FRAGMENTS, LIBRARY, MODULES, sentences, sentences_of

from lib_ipadapter.base.errors import IPAdapterError
from lib_ipadapter.faces.insightface_models import PACKS, model_paths
from lib_ipadapter.unit.contradictions import refuse_contradictions
from lib_ipadapter.unit.recipe import read_recipe
from lib_ipadapter.unit.restore import restored
from lib_ipadapter.unit.unit import Unit

PLACEHOLDER = re.compile(r"\{\w+\}")


def test_the_template_is_complete() -> None:
    """If this fails, run `python tests/labels.py`."""
    kept = json.loads(TEMPLATE.read_text(encoding="utf-8"))
    assert set(kept) == set(labels())
    assert all(text == translated for text, translated in kept.items()), "so that choosing it changes nothing"


def test_the_web_ui_takes_only_languages_for_languages() -> None:
    names = [path.stem for path in languages()]
    assert all(re.fullmatch("[a-z]{2}_[A-Z]{2}", name) for name in names), names


def test_texts_of_every_kind_are_found() -> None:
    found = labels()
    for text in (
        "Weight type",  # a label
        "How several references are combined.",  # a help
        "style transfer",  # a choice
        "Layers and weight types",  # a fold
        "Number of units",  # a setting
        "Pictures and style",  # a bundle of files
        "Plus, general, SD 1.5",  # a published file
        "(info adds one line per generation, with the time and memory its units took)",  # as the web UI shows it
        "Choose an adapter",  # the browser's
        "It has low contrast: use a picture with better lighting.",  # the server's
        "Saved as {name}.",
        "The face is only {n} pixels wide: use a closer picture.",  # with a value
        "{file} runs on the CPU.",
        "is {base}, which has no U-Net",  # a part of a sentence
    ):
        assert text in found


CODE = '''
"""What it does."""

KNOWN = "gives each its own region"


def refuse(unit, path, found):
    """Raise an error."""
    log.warning("Nobody sees this.")
    why = f"is for {unit.base}." if found else "is lost."
    if not found:
        raise UnitError("face", unit.face, f"is {unit.face}, but {field} has none.")
    word = "one is" if len(found) == 1 else f"{len(found)} are"
    raise UnitError("model", path, f"{path.name} and {other.path.name}: {word} too many. {why}")


def advise(names):
    """Return advice."""
    value = f"{KNOWN}: set combine to concat."
    return f'"{names[0]}" was not found.{advice(names)}' or " Put it there." or "must be true or false."
'''


def test_sentences_are_read_from_the_code() -> None:
    assert set(sentences_of(CODE)) == {
        "{file} and {file2}: one is too many. is for {base}.",
        "{file} and {file2}: one is too many. is lost.",
        "{file} and {file2}: {found} are too many. is for {base}.",
        "{file} and {file2}: {found} are too many. is lost.",
        "{field} is {face}, but {field2} has none.",
        "{field} gives each its own region: set combine to concat.",
        '"{names}" was not found.',
        "Put it there.",
    }


def test_parts_of_sentences_are_in_the_code() -> None:
    code = "".join((LIBRARY / f"{name}.py").read_text(encoding="utf-8") for name in (*MODULES, "web/file_lists"))
    for text in FRAGMENTS:
        words = max(PLACEHOLDER.split(text), key=len).strip(" ,()")
        assert words in code, text


def _refused(act, *given) -> str:
    with pytest.raises(IPAdapterError) as found:
        act(*given)
    return found.value.sentence


def test_what_the_server_says_has_its_form_in_the_template(tmp_path: Path) -> None:
    said = (
        _refused(model_paths, PACKS["buffalo_l"], [tmp_path]),
        _refused(refuse_contradictions, Unit(noise=0.5)),
        _refused(refuse_contradictions, Unit(tiles=True, unfold=True)),
        _refused(read_recipe, "[]"),
        restored("Face: nobody", lambda _: None)["note"],
    )
    for sentence in said:
        fitting = [text for text in sentences() if _form(text).fullmatch(sentence)]
        assert fitting, sentence


def _form(text: str) -> re.Pattern[str]:
    return re.compile(".*?".join(map(re.escape, PLACEHOLDER.split(text))), re.DOTALL)


def test_placeholders_are_kept() -> None:
    for path in languages():
        for text, translated in read(path).items():
            assert set(PLACEHOLDER.findall(text)) == set(PLACEHOLDER.findall(translated)), (path.stem, text)


def test_nothing_is_translated_twice() -> None:
    """The web UI translates the texts that it finds on the page, also those that are translated already."""
    for path in languages():
        known = read(path)
        for text, translated in known.items():
            assert known.get(translated, translated) == translated, (path.stem, text, translated)


NAMES = {
    "IP-Adapter",
    "InstantID",
    "K+V",
    "K+V w/ C penalty",
    "K+mean(V) w/ C penalty",
    "Full Face, SD 1.5",
    "Plus Face, SD 1.5",
    "Plus Face, SDXL",
    "X (%)",
    "Y (%)",
    "Checkpoint",
    "Prompt",
    "Sampler",
    "Seed",
    "Version {version}",
    "auto",
    "base",
    "concat",
    "double",
    "ease in",
    "ease in-out",
    "ease out",
    "hires",
    "linear",
    "neutral",
    "normal",
    "reverse in-out",
    "single",
    "unnorm",
    "v1",
    "v2",
    "{n} %",
    "{size}/s",
    "{width} × {height} pixels",
}
"""Names, units of measure, and words that the field says in English, or that several languages share with it."""

SAME = {
    "de_DE": {"Adapter", "Name", "Plot: {what}", "Start"},
    "es_ES": {
        "Base, general, SD 1.5",
        "Base, general, SDXL",
        "Light v1.1, general, SD 1.5",
        "Light, general, SD 1.5",
        "Plus, general, SD 1.5",
        "Plus, general, SDXL",
    },
    "fr_FR": {
        "Composition",
        "Composition, SD 1.5",
        "Composition, SDXL",
        "Note",
        "Notes",
        "Page",
        "Photo",
        "Style",
        "Suggestions",
        "composition",
        "style",
    },
}
"""Words that are the same in English and in a language."""


@pytest.mark.parametrize("path", languages(), ids=lambda path: path.stem)
def test_languages_are_complete(path: Path) -> None:
    """`python tests/labels.py` says what to do."""
    texts = labels()
    assert lacking(path, texts) == []
    translated = read(path)
    assert list(translated) == texts, "in the order of the template"
    same = {text for text in texts if translated[text] == text}
    assert same <= NAMES | SAME.get(path.stem, set())
    assert all(words.strip() == words and words for words in translated.values())

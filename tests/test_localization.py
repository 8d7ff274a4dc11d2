"""The template for other languages has every text that users read, and nothing else."""

import json

from labels import TEMPLATE, labels


def test_the_template_is_complete() -> None:
    """If this fails, run `python tests/labels.py`."""
    kept = json.loads(TEMPLATE.read_text(encoding="utf-8"))
    assert set(kept) == set(labels())
    assert all(text == translated for text, translated in kept.items()), "so that choosing it changes nothing"


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
    ):
        assert text in found

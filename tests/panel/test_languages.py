"""The panel in other languages, in a real browser."""

import importlib.util
from typing import Any

import pytest

if not (importlib.util.find_spec("gradio") and importlib.util.find_spec("playwright")):
    pytest.skip("gradio and playwright are not installed at this end", allow_module_level=True)

from .actions import tick
from .served import needs_chromium

pytestmark = needs_chromium

GERMAN = {
    "{file} runs on the CPU.": "{file} läuft auf der CPU.",
    "{file} cannot be read: {strerror}.": "{strerror}: {file} ist nicht lesbar.",
    '"{wanted}" was not found.': "„{wanted}“ wurde nicht gefunden.",
    "Put it into {names} and press refresh.": "Legen Sie es in {names}, und aktualisieren Sie.",
    "{sentence} The likeness will be wrong.": "{sentence} Die Ähnlichkeit wird falsch sein.",
    "{part} of {whole}": "{part} von {whole}",
    "Its weight was 0.": "Das Gewicht war 0.",
}
SAID = {
    "a.bin runs on the CPU.": "a.bin läuft auf der CPU.",
    "IP-Adapter unit 2: a.bin runs on the CPU.": "IP-Adapter unit 2: a.bin läuft auf der CPU.",
    "my $& file (1).bin cannot be read: denied.": "denied: my $& file (1).bin ist nicht lesbar.",
    '"x. Y" was not found. Put it into C:\\{1} and press refresh.': "„x. Y“ wurde nicht gefunden. Legen Sie es in "
    "C:\\{1}, und aktualisieren Sie.",
    "a.bin runs on the CPU. The likeness will be wrong.": "a.bin läuft auf der CPU. Die Ähnlichkeit wird falsch sein.",
    "Its weight was 0.": "Das Gewicht war 0.",
    "one of two": "one of two",
    "It is unknown. Its weight was 0.": "It is unknown. Das Gewicht war 0.",
    "": "",
}


def speak(page: Any, texts: dict[str, str]) -> None:
    """Choose a language, as the web UI's own localization.js does before the panel is drawn."""
    page.evaluate(
        """(texts) => {
            window.localization = texts;
            window.getTranslation = (text) => texts[text];
            ipAdapter.panels.txt2img.draw();
        }""",
        texts,
    )


def test_sentences_of_the_server_are_translated_with_their_values(page: Any) -> None:
    assert page.evaluate("ipAdapter.sentence('a.bin runs on the CPU.')") == "a.bin runs on the CPU."
    speak(page, GERMAN)
    assert {text: page.evaluate("(text) => ipAdapter.sentence(text)", text) for text in SAID} == SAID
    back = page.evaluate("(texts) => texts.map((text) => ipAdapter.asSaid(text))", list(SAID.values()))
    assert back == list(SAID), "for reports, which are in English"


def test_answers_are_translated_but_not_what_is_the_users(page: Any) -> None:
    said, own = "Its weight was 0.", {"pictures": [{"note": "Its weight was 0."}]}
    answer = {
        "units": [{"findings": [{"sentence": said}], "slow": ""}],
        "advice": [said],
        "name": said,
        "subjects": own,
    }
    speak(page, GERMAN)
    seen = page.evaluate("(answer) => { ipAdapter.translate(answer); return answer; }", answer)
    german = GERMAN[said]
    assert seen["units"][0]["findings"] == [{"sentence": german}]
    assert (seen["advice"], seen["name"], seen["subjects"]) == ([german], said, own)


def test_a_refusal_is_shown_in_the_language_and_reported_in_english(page: Any) -> None:
    speak(page, GERMAN)
    tick(page)
    page.fill("#comments textarea", "IP-Adapter unit 1: a.bin runs on the CPU.")
    page.click("#refuse")
    page.wait_for_selector(".ipadapter-message:text-is('a.bin läuft auf der CPU.')")
    assert page.evaluate("ipAdapter.panels.txt2img.message.lastError") == "a.bin runs on the CPU."

"""The panel in other languages, in a real browser."""

import importlib.util
from importlib.metadata import version
from typing import Any

import pytest

if not (importlib.util.find_spec("gradio") and importlib.util.find_spec("playwright")):
    pytest.skip("gradio and playwright are not installed at this end", allow_module_level=True)

from labels import languages, read

from .actions import choose, drop, tick, wait_until_idle
from .served import PICTURES, needs_chromium

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


LANGUAGES = {path.stem: read(path) for path in languages()}

CUT = """() => {
    const root = document.querySelector("dialog[open]") || document.querySelector(".ipadapter-panel[data-spec]");
    const right = root.getBoundingClientRect().right + 1;
    const isCut = (one) => {
        if (!one.offsetParent || getComputedStyle(one).display === "inline") return false;
        return one.scrollWidth > one.clientWidth + 1 || one.getBoundingClientRect().right > right;
    };
    const isText = (one) => one.textContent.trim() && !one.closest("svg, .ipadapter-tab, .ipadapter-mark");
    const parts = root.querySelectorAll("button, label, summary, legend, strong, small, span, p, th, td");
    const texts = [...parts].filter((one) => isText(one) && isCut(one));
    const boxOf = (one) => {
        const range = document.createRange();
        range.selectNodeContents(one);
        return range.getBoundingClientRect();
    };
    const marks = [...root.querySelectorAll(".ipadapter-marks > .ipadapter-mark")];
    const touching = marks.slice(1).filter((one, at) => boxOf(one).left < boxOf(marks[at]).right);
    return [...texts, ...touching].map((one) => `${one.className || one.tagName}: ${one.textContent}`);
}"""
"""Texts that are wider than their place, or stick out of the panel, and marks of the slider that touch the one before.
Tabs shorten their summary with an ellipsis; marks may be wider than the thumb that they stand below."""


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


def draw_all(page: Any) -> None:
    """Draw the plot anew, and open every group, so that all texts have a place."""
    page.evaluate("(({plot}) => { plot.asked = ''; plot.refresh(); })(ipAdapter.panels.txt2img)")
    wait_until_idle(page)
    page.evaluate("for (const fold of document.querySelectorAll('.ipadapter-panel details')) fold.open = true")
    page.evaluate("document.fonts.ready.then(() => true)")


def test_every_language_fits_its_place(page: Any) -> None:
    """One page for all languages; each leaves a picture of the panel and one of the dialog for getting models."""
    tick(page)
    drop(page, "a.png")
    choose(page, "ip-adapter-faceid-plusv2_sd15.bin")
    wait_until_idle(page)
    cut = {}
    for name, texts in LANGUAGES.items():
        speak(page, texts)
        draw_all(page)
        for width in (390, 1024):
            page.set_viewport_size({"width": width, "height": 1000})
            cut[name, width, "panel"] = page.evaluate(CUT)
            picture = PICTURES / f"gradio-{version('gradio')}-language-{name}-{width}.png"
            page.locator(".ipadapter-panel[data-spec]").first.screenshot(path=picture)
        page.evaluate("void ipAdapter.panels.txt2img.getModels.open()")
        page.wait_for_selector("dialog[open] .ipadapter-bundle")
        for width in (390, 1024):
            page.set_viewport_size({"width": width, "height": 1000})
            cut[name, width, "models"] = page.evaluate(CUT)
        page.keyboard.press("Escape")
        page.wait_for_selector("dialog", state="detached")
    assert {place: texts for place, texts in cut.items() if texts} == {}

"""What is wrong with it? and the run log, below the gallery, in a real browser."""

import importlib.util
from typing import Any

import pytest

if not (importlib.util.find_spec("gradio") and importlib.util.find_spec("playwright")):
    pytest.skip("gradio and playwright are not installed at this end", allow_module_level=True)

from .actions import changed, choose, contrasts, drop, fill, given, tick, wait_until_idle
from .served import PICTURES, needs_chromium, opened

pytestmark = needs_chromium

AFTER = ".ipadapter-after"
REPAIR = f"{AFTER} .ipadapter-repair button"
NUMBERS = """(values) => {
    for (const [name, value] of Object.entries(values)) {
        if (!document.querySelector(`#txt2img_${name}`)) {
            const box = document.createElement("div");
            box.id = `txt2img_${name}`;
            box.innerHTML = "<input type=number>";
            document.body.append(box);
        }
        document.querySelector(`#txt2img_${name} input`).value = value;
    }
}"""
"""Give the page number fields of the web UI."""


def generate(page: Any, log: str, error: bool = False) -> None:
    """Let the web UI generate, which ends with this text below the gallery."""
    page.click("#txt2img_generate")
    page.fill("#comments textarea", log)
    page.click("#refuse" if error else "#comment")
    page.wait_for_function("(log) => document.querySelector('#html_log_txt2img').innerText.includes(log)", arg=log)
    page.wait_for_function("ipAdapter.panels.txt2img.generations.running === null")


def answer(page: Any, text: str) -> list[str]:
    """Choose what is wrong, and return the buttons that are offered."""
    page.click(f"{AFTER} button:text-is('{text}')")
    page.wait_for_function("ipAdapter.panels.txt2img.repairs.offered !== null")
    return page.locator(REPAIR).all_inner_texts()


def unfold(page: Any) -> None:
    page.click(f"{AFTER} summary:text-is('What is wrong with it?')")


def begun(page: Any) -> None:
    """Generate with one unit, and unfold the question."""
    tick(page)
    drop(page, "a.png")
    choose(page, "ip-adapter-plus_sd15.safetensors")
    wait_until_idle(page)
    page.evaluate(NUMBERS, {"steps": 20, "cfg_scale": 7, "seed": 1})
    generate(page, "first")
    unfold(page)


def test_it_is_asked_only_after_a_generation_with_units(page: Any) -> None:
    tick(page)
    generate(page, "without")
    assert not page.is_visible(AFTER)
    drop(page, "a.png")
    choose(page, "ip-adapter-plus_sd15.safetensors")
    assert not page.is_visible(AFTER)
    generate(page, "refused", error=True)
    assert not page.is_visible(AFTER), "there is no picture"
    generate(page, "with")
    assert page.inner_text(f"{AFTER} summary >> nth=0") == "What is wrong with it?"
    assert not page.is_visible(f"{AFTER} button"), "one quiet line"
    page.uncheck("#ipadapter_txt2img-checkbox input")
    generate(page, "off")
    assert not page.is_visible(AFTER)


def test_a_repair_is_taken_and_undone(page: Any) -> None:
    begun(page)
    assert answer(page, "Too strong") == ["Strength: light", "End 0.6"]
    assert "It leaves more of the picture to the prompt." in page.inner_text(AFTER)
    page.click(f"{REPAIR}:text-is('Strength: light')")
    assert page.evaluate("document.activeElement.textContent") == "Undo"
    assert changed(given(page)[0])["weight"] == 0.4
    assert "Strength: light: set. Generate again" in page.inner_text(f"{AFTER} .ipadapter-repairs")
    page.press(REPAIR, "Enter")
    page.wait_for_selector(f"{REPAIR}:text-is('End 0.6')")
    assert page.evaluate("document.activeElement.textContent") == "Strength: light"
    assert changed(given(page)[0])["weight"] == 0.8
    page.click(f"{REPAIR}:text-is('End 0.6')")
    assert changed(given(page)[0])["end"] == 0.6


def test_values_of_the_user_are_changed_by_a_part(page: Any) -> None:
    begun(page)
    fill(page, "Weight", "1.2")
    assert answer(page, "Burnt") == ["Weight 0.9", "CFG scale 5"]
    page.click(f"{REPAIR}:text-is('CFG scale 5')")
    assert page.input_value("#txt2img_cfg_scale input") == "5"
    page.click(f"{REPAIR}:text-is('Undo')")
    assert page.input_value("#txt2img_cfg_scale input") == "7"


def test_nothing_changed_names_the_reason(page: Any) -> None:
    begun(page)
    page.evaluate(NUMBERS, {"steps": 1})
    generate(page, "one step")
    assert answer(page, "Nothing changed") == ["Start 0"]
    assert "No step is between its start and its end." in page.inner_text(AFTER)
    page.click(f"{REPAIR}:text-is('Start 0')")
    assert "start" not in changed(given(page)[0])


def test_by_hand_work_is_opened(page: Any) -> None:
    begun(page)
    assert answer(page, "Copies the background") == ["Crop the reference…", "Weight type: style transfer"]
    page.click(f"{REPAIR}:text-is('Crop the reference…')")
    page.wait_for_selector("dialog[open] .ipadapter-encoder")
    page.keyboard.press("Escape")
    assert answer(page, "Face not alike")[0] == "Use a face adapter"
    page.click(f"{REPAIR}:text-is('Use a face adapter')")
    assert given(page)[0]["model"] == "ip-adapter-faceid-plusv2_sd15.bin"
    page.click(f"{REPAIR}:text-is('Undo')")
    assert given(page)[0]["model"] == "ip-adapter-plus_sd15.safetensors"


def test_with_several_units_it_asks_which_one(page: Any) -> None:
    begun(page)
    assert not page.is_visible(f"{AFTER} button:text-is('Unit 1')")
    page.click(".ipadapter-tab >> nth=1")
    drop(page, "b.png")
    page.uncheck(".ipadapter-check input")
    page.click(".ipadapter-tab >> nth=0")
    generate(page, "second")
    page.click(f"{AFTER} button:text-is('Unit 2 (off)')")
    assert answer(page, "Nothing changed") == ["Enable this unit"]
    page.click(f"{REPAIR}:text-is('Enable this unit')")
    assert len(given(page)) == 2
    assert page.get_attribute(".ipadapter-tab >> nth=1", "aria-selected") == "true"


def runs(page: Any) -> list[str]:
    return page.locator(f"{AFTER} li span").all_inner_texts()


def test_the_run_log_says_what_was_changed_and_seen(page: Any) -> None:
    begun(page)
    answer(page, "Too strong")
    page.click(f"{REPAIR}:text-is('End 0.6')")
    generate(page, "again")
    page.evaluate(NUMBERS, {"steps": 30, "cfg_scale": 5})
    page.fill("#txt2img_prompt textarea", "a secret")
    generate(page, "third")
    page.click(f"{AFTER} summary:text-is('Run log (3)')")
    assert runs(page) == [
        "Steps 20 → 30, CFG scale 7 → 5, Prompt changed",
        "Unit 1: End 0.8 → 0.6",
        "first run · Too strong",
    ]
    assert "Several things were changed at once" in page.inner_text(AFTER)
    page.fill("[aria-label='Note on run 2']", "better")
    page.evaluate("void (navigator.clipboard.writeText = async (text) => { window.copied = text; })")
    page.click("[aria-label='Copy the run log']")
    page.wait_for_selector(f"{AFTER} >> text=Copied.")
    assert page.evaluate("copied").split("\n")[1] == "2 · Unit 1: End 0.8 → 0.6 · better"


def test_a_checkpoint_that_was_not_known_before_is_no_change(page: Any) -> None:
    begun(page)
    page.evaluate("window.opts = {sd_model_checkpoint: 'a.safetensors'}")
    generate(page, "second")
    page.click(f"{AFTER} summary:text-is('Run log (2)')")
    assert runs(page)[0] == "no change"
    page.evaluate("opts.sd_model_checkpoint = 'b.safetensors'")
    generate(page, "third")
    assert runs(page)[0] == "Checkpoint a.safetensors → b.safetensors"


def test_where_copying_is_forbidden_the_text_is_shown(page: Any) -> None:
    begun(page)
    page.click(f"{AFTER} summary:text-is('Run log (1)')")
    page.evaluate("void (navigator.clipboard.writeText = async () => { throw new Error('forbidden'); })")
    page.click("[aria-label='Copy the run log']")
    assert page.input_value("[aria-label='Text to copy']") == "1 · first run"


def test_the_run_log_is_kept_only_if_the_user_wants_it(page: Any) -> None:
    begun(page)
    kept = "Object.keys(localStorage).filter((key) => key.startsWith('ipadapter'))"
    assert page.evaluate(kept) == []
    page.click(f"{AFTER} summary:text-is('Run log (1)')")
    page.check(f"{AFTER} input[type=checkbox]")
    page.reload()
    page.wait_for_selector(".ipadapter-tab")
    begun(page)
    page.click(f"{AFTER} summary:text-is('Run log (2)')")
    assert page.is_checked(f"{AFTER} input[type=checkbox]")
    page.uncheck(f"{AFTER} input[type=checkbox]")
    assert page.evaluate(kept) == []


SIZES = """() => [...document.querySelectorAll(".ipadapter-after :is(button, summary, input[type=text])")]
    .filter((part) => part.offsetParent).map((part) => part.getBoundingClientRect().height)"""


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1500])
def test_it_can_be_read_and_touched(browser: Any, address: str, theme: str, width: int) -> None:
    size = {"width": width, "height": 1000}
    with opened(browser, f"{address}?__theme={theme}", f"repairs-{theme}-{width}", viewport=size) as page:
        begun(page)
        answer(page, "Copies the background")
        page.click(f"{AFTER} summary:text-is('Run log (1)')")
        parts = f"{AFTER} :is(summary, button, span, label, li)"
        assert min(contrasts(page, parts)) > 4.5
        assert min(page.evaluate(SIZES)) >= 31.9
        assert page.evaluate(f"document.querySelector('{AFTER}').scrollWidth <= innerWidth")
        page.locator(AFTER).screenshot(path=PICTURES / f"repairs-{theme}-{width}-near.png")

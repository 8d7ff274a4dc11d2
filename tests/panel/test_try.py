"""*Try*: pictures of the unit's variants beside the panel, of which a click takes one."""

import importlib.util
from typing import Any

import pytest

if not (importlib.util.find_spec("gradio") and importlib.util.find_spec("playwright")):
    pytest.skip("gradio and playwright are not installed at this end", allow_module_level=True)

from lib_ipadapter.unit.presets import INTENTS
from lib_ipadapter.unit.strength import ANY_BASE, MARKS, SHIPPED

from .actions import choose, contrasts, drop, drop_colours, given, strength, tick, wait_until_idle
from .served import needs_chromium, opened

pytestmark = needs_chromium

PLUS, BASE = "ip-adapter-plus_sd15.safetensors", "ip-adapter_sd15.safetensors"
FACE_ID = "ip-adapter-faceid-plusv2_sd15.bin"
TILE, PICTURE = ".ipadapter-tile", ".ipadapter-tile img"
STATUS = ".ipadapter-try [role=status]"
RUNNING = "ipAdapter.panels.txt2img.trying.isRunning"
ASK = "([what, more]) => ipAdapter.panels.txt2img.asking.ask(what, more)"
FIELD = "document.querySelector('#ipadapter_txt2img_unit_1 textarea').value"


def begin(page: Any) -> None:
    tick(page)
    drop(page, "one.png")
    page.wait_for_selector(".ipadapter-try")
    wait_until_idle(page)


def start(page: Any, kind: str = "strengths") -> None:
    page.click(f"[aria-label='Try {kind}']")
    page.wait_for_selector(TILE)


def attempt(page: Any, kind: str = "strengths") -> None:
    """Try variants, and wait until all are there."""
    start(page, kind)
    page.wait_for_function(f"!{RUNNING}")


def changes(page: Any) -> list[dict[str, Any]]:
    """Return what the server was asked to try last."""
    return page.evaluate(ASK, ["changes", {}])["changes"]


def at(purpose: str, mark: str) -> dict[str, float]:
    return dict(SHIPPED[purpose][ANY_BASE][mark])


def labels(page: Any) -> list[str]:
    return page.locator(".ipadapter-tile-name").all_text_contents()


def marked(page: Any) -> list[str]:
    """Return the labels of the tiles that are like the unit."""
    return page.locator(f"{TILE}[aria-pressed=true] .ipadapter-tile-name").all_text_contents()


def places(page: Any) -> list[Any]:
    """Return where each tile is on the page, and where the next part of the panel begins."""
    return page.evaluate(
        """() => [...document.querySelectorAll(".ipadapter-tile, .ipadapter-folds")].map((part) => {
            const {x, y, width} = part.getBoundingClientRect();
            return [x, y + scrollY, width];
        })"""
    )


def test_strengths_appear_one_after_another_in_places_of_their_own(page: Any) -> None:
    begin(page)
    before = given(page)
    assert page.inner_text(STATUS) == "Small quick pictures of one seed, to compare. They are not saved."
    start(page)
    assert labels(page) == ["off", "light 0.4", "normal 0.8", "strong 0.9", "full 1"]
    assert marked(page) == ["normal 0.8"]
    assert page.locator(PICTURE).count() == 0
    there = places(page)
    page.wait_for_selector(PICTURE)
    assert page.evaluate(RUNNING)
    page.wait_for_function(f"!{RUNNING}")
    assert places(page) == there, "nothing moves while pictures arrive"
    assert page.locator(PICTURE).count() == 4
    assert changes(page)[1:] == [
        {name: value for name, value in at("Subject", mark).items() if value != before[0][name]} for mark in MARKS
    ]
    assert changes(page)[0] == {"weight": 0}
    assert page.evaluate("ipAdapter.panels.txt2img.generations.running") is None, "nobody asks what is wrong with it"
    assert given(page) == before, "the next generation is an ordinary one"
    assert '"try"' not in page.evaluate(FIELD)


def test_a_variant_that_cannot_run_says_why(page: Any) -> None:
    begin(page)
    attempt(page)
    tile = page.locator(TILE, has_text="strong")
    assert tile.locator(".ipadapter-tile-empty").inner_text() == "Shows no face. Use another reference."
    assert tile.is_disabled()
    assert page.inner_text(STATUS) == "5 pictures, 768x512, 12 steps: 4 of 5 done"


def test_a_click_takes_a_picture_and_can_be_undone(page: Any) -> None:
    begin(page)
    attempt(page)
    before = given(page)
    page.click("[aria-label='Use light 0.4']")
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "Use light 0.4"
    assert {name: given(page)[0][name] for name in ("weight", "start", "end")} == at("Subject", "light")
    assert marked(page) == ["light 0.4"]
    assert page.input_value("input[aria-label=Strength]") == "1"
    page.click(".ipadapter-message button:text-is('Undo')")
    assert given(page) == before
    assert marked(page) == ["normal 0.8"]


def test_a_strength_is_what_the_picture_shows_even_after_the_purpose_has_changed(page: Any) -> None:
    begin(page)
    attempt(page)
    page.click(".ipadapter-chip:text-is('Style')")
    page.click("[aria-label='Use full 1']")
    assert {name: given(page)[0][name] for name in ("weight", "start", "end")} == at("Subject", "full")


def test_purposes_are_those_with_an_adapter_and_bring_it(page: Any) -> None:
    begin(page)
    strength(page, 1)
    attempt(page, "purposes")
    assert labels(page) == list(INTENTS)
    assert marked(page) == ["Subject"]
    found = changes(page)
    assert found[0] == {}
    assert found[1] == {"model": FACE_ID, **at("Face", "light")}
    assert found[2] == INTENTS["Style"].values
    page.click("[aria-label='Use Face']")
    (unit,) = given(page)
    assert (unit["model"], unit["weight"]) == (FACE_ID, at("Face", "light")["weight"])
    assert marked(page) == ["Face"]


def test_an_adapter_that_the_user_chose_stays(page: Any) -> None:
    begin(page)
    choose(page, BASE)
    attempt(page, "purposes")
    assert labels(page) == [name for name in INTENTS if name != "Face"]
    assert not any("model" in change for change in changes(page))


def test_one_purpose_alone_is_not_compared(page: Any) -> None:
    begin(page)
    choose(page, FACE_ID)
    purposes = page.locator("[aria-label='Try purposes']")
    assert purposes.is_disabled()
    assert purposes.get_attribute("title") == "No other purpose has an adapter that is ready."
    assert page.is_enabled("[aria-label='Try strengths']")


def test_without_a_web_ui_there_is_nothing_to_try(page: Any) -> None:
    page.evaluate("document.querySelector('#txt2img_generate').removeAttribute('id')")
    tick(page)
    drop(page, "one.png")
    wait_until_idle(page)
    assert page.locator(".ipadapter-try").count() == 0


def test_on_and_off_changes_this_unit_alone(page: Any) -> None:
    begin(page)
    page.click(".ipadapter-tab:has-text('Unit 2')")
    drop(page, "two.png")
    page.wait_for_selector(".ipadapter-try")
    attempt(page, "on and off")
    assert (labels(page), marked(page)) == (["on", "off"], ["on"])
    assert changes(page) == [{}, {"enabled": False}]
    page.click(".ipadapter-tab:has-text('Unit 1')")
    assert page.locator(TILE).count() == 0
    page.click(".ipadapter-tab:has-text('Unit 2')")
    page.click("[aria-label='Use off']")
    assert len(given(page)) == 1
    assert not page.is_checked("text=Enable this unit")
    page.click("[aria-label='Use on']")
    assert len(given(page)) == 2


def test_it_works_in_a_panel_and_a_unit_that_are_off(page: Any) -> None:
    begin(page)
    page.uncheck("text=Enable this unit")
    page.uncheck("#ipadapter_txt2img-checkbox input")
    attempt(page, "on and off")
    assert marked(page) == ["off"]
    assert page.locator(PICTURE).count() == 2
    assert given(page) == []
    assert not page.is_checked("#ipadapter_txt2img-checkbox input")


@pytest.mark.parametrize("way", ["here", "web ui"])
def test_interrupting_keeps_what_is_there(page: Any, way: str) -> None:
    begin(page)
    start(page)
    page.wait_for_selector(PICTURE)
    page.click("[aria-label='Stop trying']" if way == "here" else "#txt2img_interrupt")
    page.wait_for_function(f"!{RUNNING}")
    made = page.locator(PICTURE).count()
    assert 1 <= made < 4
    assert page.inner_text(STATUS) == f"5 pictures, 768x512, 12 steps: {made} of 5 done"
    assert page.locator(TILE).count() == 5
    page.click("[aria-label='Use off']")
    assert given(page)[0]["weight"] == 0


def test_pictures_of_other_references_do_not_stay(page: Any) -> None:
    begin(page)
    attempt(page, "on and off")
    page.click("[aria-label='Remove the pictures']")
    assert page.locator(TILE).count() == 0
    attempt(page, "on and off")
    drop_colours(page, "red")
    wait_until_idle(page)
    assert page.locator(TILE).count() == 0


def test_one_generation_at_a_time_and_no_script_besides(page: Any) -> None:
    begin(page)
    page.fill("#script_list input", "X/Y/Z plot")
    page.click("[aria-label='Try strengths']")
    assert page.inner_text(".ipadapter-message.wrong") == "Try does not work with a script. Set Script to None."
    page.fill("#script_list input", "None")
    page.evaluate("document.querySelector('#txt2img_interrupt').style.display = 'block'")
    page.click("[aria-label='Try strengths']")
    assert page.inner_text(".ipadapter-message.wrong") == "Wait until the web UI has finished."
    assert page.locator(TILE).count() == 0
    page.evaluate("document.querySelector('#txt2img_interrupt').style.display = 'none'")
    start(page, "on and off")
    assert page.is_disabled("[aria-label='Try strengths']")
    page.wait_for_function(f"!{RUNNING}")
    assert page.is_enabled("[aria-label='Try strengths']")


def test_it_works_by_keyboard(page: Any) -> None:
    begin(page)
    page.focus("[aria-label='Try on and off']")
    page.keyboard.press("Enter")
    page.wait_for_selector(TILE)
    page.wait_for_function(f"!{RUNNING}")
    page.focus("[aria-label='Try on and off']")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "Use off"
    page.keyboard.press("Space")
    assert given(page) == []


def test_an_empty_unit_has_nothing_to_try(page: Any) -> None:
    tick(page)
    assert page.locator(".ipadapter-try").count() == 0
    drop(page, "one.png")
    page.wait_for_selector(".ipadapter-try")
    choose(page, "")
    assert page.locator(".ipadapter-try").count() == 0


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1500, 2560])
def test_it_can_be_read_and_hit_at_any_width(browser: Any, address: str, theme: str, width: int) -> None:
    size = {"width": width, "height": 1200}
    with opened(browser, f"{address}?__theme={theme}", f"try-{theme}-{width}", viewport=size) as page:
        begin(page)
        attempt(page)
        assert min(contrasts(page, ".ipadapter-try :is(span, small, button)")) > 4.5
        sizes = page.eval_on_selector_all(
            ".ipadapter-try button", "(all) => all.map((each) => [each.offsetWidth, each.offsetHeight])"
        )
        assert min(min(each) for each in sizes) >= 32
        beyond = page.eval_on_selector_all(
            ".ipadapter-try *", "(all) => all.filter((each) => each.getBoundingClientRect().right > innerWidth).length"
        )
        assert beyond == 0
        rows = {y for _, y, _ in places(page)[:5]}
        assert (len(rows) > 1) == (width == 390)

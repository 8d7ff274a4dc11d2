"""The bar of sampling steps in the panel: its handles, the curve, and the steps that the web UI asks for."""

import importlib.util
from typing import Any

import pytest

if not (importlib.util.find_spec("gradio") and importlib.util.find_spec("playwright")):
    pytest.skip("gradio and playwright are not installed at this end", allow_module_level=True)

from lib_ipadapter.unit.curves import CURVES, curve_factor
from lib_ipadapter.unit.read_args import read_unit
from lib_ipadapter.unit.schedule import factor_at

from .actions import choose, drop, fill, given, tick, unfold, wait_until_idle
from .served import needs_chromium

pytestmark = needs_chromium

START, END = ".ipadapter-handle.start", ".ipadapter-handle.end"
WORDS = ".ipadapter-steps-words"
FIELDS = """([steps, hires]) => {
    const fields = document.createElement("div");
    fields.innerHTML = `<div id=txt2img_steps><input type=number value=${steps}></div>
        <div id=txt2img_hires_steps><input type=number value=${hires}></div>
        <div id=txt2img_hr-checkbox><input type=checkbox></div>`;
    document.querySelector(".ipadapter-panel").after(fields);
}"""
"""The web UI's fields for the number of steps."""


def begin(page: Any, steps: int = 20, hires: int = 0) -> None:
    page.evaluate(FIELDS, [steps, hires])
    tick(page)
    drop(page, "one.png")
    choose(page)
    unfold(page, "Steps")
    page.wait_for_selector(".ipadapter-tab .ipadapter-state")  # what is said with it takes a line above the steps


def words(page: Any) -> list[str]:
    return page.locator(WORDS).all_inner_texts()


def field(page: Any, name: str) -> Any:
    return given(page)[0][name]


def pull(page: Any, part: str, right: float, down: float = 0) -> None:
    """Drag a part by fractions of the bar's width and of the curve's height."""
    page.locator(part).hover()  # which waits until it stays where it is
    box = page.locator(part).bounding_box()
    stage = page.locator(".ipadapter-curve").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.down()
    page.mouse.move(x + right * stage["width"], y + down * stage["height"], steps=4)
    page.mouse.up()


@pytest.mark.parametrize("count", [1, 7, 20, 30, 150])
def test_the_steps_in_words_are_those_in_which_the_unit_is_active(page: Any, count: int) -> None:
    for start, end in ((0, 1), (0.2, 0.8), (0.333, 0.666), (0.3, 0.31), (0.07, 0.93), (0.5, 0.5)):
        unit = read_unit({"enabled": False, "start": start, "end": end})
        active = [step + 1 for step in range(count) if factor_at(unit, step / count)]
        first, last = page.evaluate("(given) => ipAdapter.stepsBetween(...given)", [start, end, count])
        assert list(range(first, last + 1)) == active


@pytest.mark.parametrize("count", [1, 7, 20, 30, 150])
def test_a_handles_fraction_begins_with_its_step(page: Any, count: int) -> None:
    for done in range(count + 1):
        at = page.evaluate("(given) => ipAdapter.fractionAt(...given)", [done, count])
        starts, ends = (read_unit({"enabled": False, name: at}) for name in ("start", "end"))
        active = [[step for step in range(count) if factor_at(unit, step / count)] for unit in (starts, ends)]
        assert active == [list(range(done, count)), list(range(done))], done


def test_the_bar_follows_the_web_uis_steps(page: Any) -> None:
    begin(page)
    assert words(page) == ["steps 5 to 16 of 20"]
    page.fill("#txt2img_steps input", "30")
    page.wait_for_selector(f"{WORDS}:text-is('steps 7 to 24 of 30')")
    page.evaluate("document.querySelector('#txt2img_steps').remove(); ipAdapter.panels.txt2img.write()")
    assert words(page) == ["from 20 % to 80 % of the steps"]


def test_hires_has_a_bar_of_its_own(page: Any) -> None:
    begin(page, hires=10)
    page.check("#txt2img_hr-checkbox input")
    page.wait_for_selector(f"{WORDS} >> nth=1")
    assert words(page) == ["Base pass: steps 5 to 16 of 20", "Hires pass: steps 3 to 8 of 10"]
    page.fill("#txt2img_hires_steps input", "0")
    page.wait_for_selector(f"{WORDS}:text-is('Hires pass: steps 5 to 16 of 20')")
    page.select_option("select[aria-label=Pass]", "hires")
    assert words(page)[0] == "Base pass: not active"
    page.uncheck("#txt2img_hr-checkbox input")
    page.wait_for_selector(f"{WORDS} >> nth=1", state="detached")


def test_handles_are_dragged_to_whole_steps(page: Any) -> None:
    begin(page)
    pull(page, START, 0.26)
    assert field(page, "start") == 0.45
    pull(page, END, 0.4)
    assert field(page, "end") == 1
    pull(page, START, 0.9)
    assert field(page, "start") == 0.95, "one step is left"
    assert page.get_attribute("button:text-is('Custom')", "aria-pressed") == "true"
    page.dblclick(START)
    assert field(page, "start") == 0


def test_handles_work_by_keys(page: Any) -> None:
    begin(page)
    page.press(START, "ArrowRight")
    assert field(page, "start") == 0.25
    assert page.get_attribute(START, "aria-valuetext") == "step 6 of 20"
    page.press(END, "End")
    page.press(END, "ArrowLeft")
    assert field(page, "end") == 0.95
    assert page.get_attribute(END, "aria-valuetext") == "step 19 of 20"
    page.press(END, "Home")
    assert field(page, "end") == 0.3, "after the first step"
    page.press(START, "Home")
    assert field(page, "start") == 0


def test_the_curve_is_pulled_at_its_points(page: Any) -> None:
    begin(page)
    points = page.locator(".ipadapter-point")
    assert points.count() == 2
    pull(page, ".ipadapter-point >> nth=1", 0, 0.5)
    assert field(page, "curve") == "0:1, 1:0.5"
    page.click("button:text-is('Add a point')")
    assert points.count() == 3
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "Point 2 of the curve"
    assert page.input_value("[aria-label=Curve]") == "0:1, 0.5:0.75, 1:0.5"
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowRight")
    assert page.input_value("[aria-label=Curve]") == "0:1, 0.55:0.8, 1:0.5"
    page.keyboard.press("Home")
    assert page.input_value("[aria-label=Curve]") == "0:1, 0.55:0, 1:0.5"
    page.keyboard.press("Delete")
    assert field(page, "curve") == "0:1, 1:0.5"
    page.click("button:text-is('Flat')")
    assert field(page, "curve") == ""


@pytest.mark.parametrize("curve", CURVES)
def test_a_named_curve_becomes_points_that_are_on_it(page: Any, curve: str) -> None:
    begin(page)
    fill(page, "Weight", "0.5")
    fill(page, "Start", "0")
    fill(page, "End", "1")
    page.fill("[aria-label=Curve]", curve)
    wait_until_idle(page)
    points = page.evaluate("ipAdapter.panels.txt2img.stepsBar.curve.points")
    assert [place for place, _ in points] == [0, 0.25, 0.5, 0.75, 1]
    for place, factor in points:
        assert factor == pytest.approx(curve_factor(curve, place), abs=0.02)


def test_a_negative_weight_is_red(page: Any) -> None:
    begin(page)
    fill(page, "Weight", "-1")
    assert page.locator(".ipadapter-steps .away").count() == 3

"""The panel in a real web UI and a real browser: the steps of the README, and a reload of the UI."""

import hashlib
import importlib.util
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from makers import file_of, picture
from panel.actions import IDLE, LISTED
from panel.served import CHROMIUM, PICTURES

from host.pages import LEFT, PANEL, opened
from host.webui import STARTED, Files, WebUI, reference, use_adapter

if not (importlib.util.find_spec("playwright") and CHROMIUM):
    pytest.skip("no playwright or no Chromium", allow_module_level=True)

KEPT = "Presets and copies"
CARD = f"{PANEL} .ipadapter-left .ipadapter-reference"


@pytest.fixture(scope="module")
def model(webui: WebUI, files: Files) -> str:
    return use_adapter(webui, files)


@pytest.fixture
def page(webui: WebUI, browser: Any, request: pytest.FixtureRequest) -> Iterator[Any]:
    with opened(browser, webui.url, request.node.name) as page:
        yield page


def wait_until_idle(page: Any) -> None:
    """Wait until the server has answered everything that the ticked panel asked."""
    page.wait_for_function(IDLE)


def tick(page: Any) -> None:
    page.click(f"{PANEL} .label-wrap")
    page.wait_for_function(LISTED)
    wait_until_idle(page)


def weigh(page: Any, weight: str) -> None:
    """Set the weight in the open unit's own fields."""
    toggle = page.locator(f"{PANEL} button:text-is('Custom')")
    if toggle.get_attribute("aria-pressed") == "false":
        toggle.click()
    page.fill(f"{PANEL} input[type=number][aria-label=Weight]", weight)


def drop(page: Any, *seeds: int) -> list[str]:
    """Add drawn pictures to the open unit, and return the first digits of their hashes."""
    contents = [file_of(picture(120, 90, seed)) for seed in seeds]
    files = [
        {"name": f"{seed}.png", "mimeType": "image/png", "buffer": content}
        for seed, content in zip(seeds, contents, strict=True)
    ]
    page.set_input_files(f"{PANEL} .ipadapter-left input[type=file]", files)
    page.wait_for_function(f"document.querySelectorAll('{CARD}').length === {len(seeds)}")
    return [hashlib.sha256(content).hexdigest()[:12] for content in contents]


def choose(page: Any, model: str) -> None:
    page.select_option(f"{PANEL} select[aria-label=Adapter]", f"{model}.safetensors")


def generate(page: Any, press: Callable[[], None] | None = None) -> str:
    """Press Generate, by mouse unless `press` is given, and return the text below the picture."""
    for name, value in (("width", 128), ("height", 128), ("steps", 2)):
        page.fill(f"#txt2img_{name} input[type=number]", str(value))
    before = below_the_picture(page)
    press() if press else page.click("#txt2img_generate")
    page.wait_for_function(f"(before) => {BELOW} !== before", arg=before)
    return below_the_picture(page)


BELOW = "['info', 'log'].map((name) => document.querySelector(`#html_${name}_txt2img`).innerText).join('')"
"""The parameters, whose seed is another one each time, and the seconds taken or the refusal."""


def below_the_picture(page: Any) -> str:
    return page.evaluate(BELOW)


def test_the_steps_of_the_readme_work(page: Any, model: str) -> None:
    page.fill("#txt2img_prompt textarea", "a red cat")
    tick(page)
    first, second = drop(page, 1, 2)
    choose(page, model)
    weigh(page, "0.6")
    found = generate(page)
    assert f'IP-Adapter 1: "Adapter: {model}.safetensors [' in found
    assert f", Weight: 0.6, Start: 0.2, End: 0.8, References: {first} {second}, Encoder used: " in found


def test_it_works_by_keyboard_alone(page: Any, model: str) -> None:
    content = file_of(picture(120, 90, 1))
    chosen = [{"name": "1.png", "mimeType": "image/png", "buffer": content}]
    page.on("filechooser", lambda chooser: chooser.set_files(chosen))  # in time, however busy the browser is
    page.focus(f"{PANEL} :is(button.label-wrap, .label-wrap [role=button])")
    page.keyboard.press("Enter")
    page.wait_for_function(LISTED)
    wait_until_idle(page)
    page.focus(f"{PANEL} .ipadapter-left input[type=file]")
    page.keyboard.press("Enter")
    page.wait_for_selector(CARD)
    page.focus(f"{PANEL} select[aria-label=Adapter]")
    page.keyboard.type(model)  # as in any list
    found = generate(page, lambda: page.press("#txt2img_generate", "Enter"))
    assert f"References: {hashlib.sha256(content).hexdigest()[:12]}" in found


def test_references_are_reordered_by_dragging(page: Any, model: str) -> None:
    tick(page)
    first, second, third = drop(page, 1, 2, 3)
    choose(page, model)
    wait_until_idle(page)
    end = {"x": page.eval_on_selector(CARD, "(card) => card.offsetWidth") - 4, "y": 30}
    page.drag_and_drop(f"{CARD} >> nth=0 >> img", f"{CARD} >> nth=2", target_position=end)
    assert f"References: {second} {third} {first}" in generate(page)


def test_five_units_each_make_a_difference(page: Any, model: str) -> None:
    tick(page)
    for number in range(1, 6):
        page.click(f"{PANEL} .ipadapter-tab:has-text('Unit {number}')")
        drop(page, number)
        choose(page, model)
        weigh(page, f"0.{number}")
    found = re.findall(r"IP-Adapter (\d): [^\"]*\"[^\"]*Weight: ([\d.]+)", generate(page))
    assert found == [(str(number), f"0.{number}") for number in range(1, 6)]


def test_a_broken_file_is_named_and_skipped(page: Any) -> None:
    tick(page)
    broken = {"name": "broken.png", "mimeType": "image/png", "buffer": b"no picture"}
    page.set_input_files(f"{PANEL} .ipadapter-left input[type=file]", [broken])
    page.wait_for_selector(f"{PANEL} .ipadapter-message:has-text('cannot open broken.png as a picture')")
    assert page.locator(CARD).count() == 0


def test_pasted_parameters_restore_the_panel(page: Any, model: str) -> None:
    unit = f'Adapter: {model}.safetensors, Weight: 0.4, Layers: \\"6:1, 3:0.5\\", References: 0123456789ab'
    parameters = f'a cat\nSteps: 2, Sampler: Euler, Seed: 1, Size: 128x128, IP-Adapter 2: "{unit}", Version: v1.10.1'
    page.fill("#txt2img_prompt textarea", parameters)
    page.click("#txt2img_tools #paste")
    page.wait_for_selector(f"{PANEL} .ipadapter-tab[aria-selected=true]:has-text('Unit 2')", state="attached")
    assert page.input_value(f"{PANEL} input[type=number][aria-label=Weight]") == "0.4"
    assert page.input_value(f"{PANEL} [aria-label=Layers]") == "6:1, 3:0.5"
    assert "0123456789ab" in page.inner_text(f"{PANEL} .ipadapter-message")
    assert "images is required" in generate(page)


def test_a_result_becomes_a_reference_with_a_region_that_is_drawn(page: Any, model: str) -> None:
    generate(page)
    page.click("#image_buttons_txt2img .ipadapter-send")  # which ticks the panel
    page.wait_for_selector(CARD)
    choose(page, model)
    page.wait_for_selector(f"{PANEL} .ipadapter-plot rect", state="attached")
    page.click(f"{PANEL} summary:text-is('Region')")
    page.click(f"{PANEL} button:text-is('Draw…')")
    page.click("dialog button:text-is('Brush')")
    box = page.locator("dialog canvas").bounding_box()
    page.mouse.move(box["x"] + 20, box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + 200, box["y"] + 100, steps=5)
    page.mouse.up()
    page.screenshot(path=PICTURES / "web-ui-editor.png")
    page.click("dialog button:text-is('Apply')")
    assert re.search(r"References: \w{12}, Region: \w{12}", generate(page))


def test_presets_survive_in_the_web_ui(page: Any, webui: WebUI, model: str) -> None:
    tick(page)
    drop(page, 1)
    page.click(f"{PANEL} .ipadapter-chip:text-is('Composition')")
    page.click(f"{PANEL} summary:text-is('{KEPT}')")
    page.once("dialog", lambda dialog: dialog.accept("of a test"))
    page.click(f"{PANEL} button:text-is('Save as preset…')")
    page.wait_for_selector(f"{PANEL} .ipadapter-message:has-text('Saved as of a test.')")
    page.wait_for_function(LEFT)
    page.reload()
    page.wait_for_selector(f"{PANEL} .ipadapter-tab", state="attached")
    tick(page)
    drop(page, 1)
    page.select_option(f"{PANEL} select[aria-label='My presets']", "of a test")
    assert page.is_checked(f"{PANEL} .ipadapter-type [aria-label=composition]")
    page.click(f"{PANEL} summary:text-is('{KEPT}')")
    page.once("dialog", lambda dialog: dialog.accept())
    page.click(f"{PANEL} button:text-is('Delete preset')")
    page.wait_for_selector(f"{PANEL} .ipadapter-message:has-text('Deleted of a test.')")


def test_pasting_a_pictures_parameters_restores_its_references_and_reproduces_it(
    page: Any, webui: WebUI, model: str
) -> None:
    unit = {"model": model, "images": [reference(1), {"image": reference(2), "weight": 0.5}], "weight": 0.4}
    (parameters,) = webui.generate(unit, width=128, height=128, steps=2).info["infotexts"]
    page.fill("#txt2img_prompt textarea", parameters)
    page.click("#txt2img_tools #paste")
    page.wait_for_selector(f"{CARD} >> nth=1", state="attached")
    entry = re.compile(r'IP-Adapter 1: "[^"]*"')
    made = generate(page).rpartition("Steps: ")[2]  # Forge Neo itself leaves the pasted text in the prompt
    assert entry.findall(made) == entry.findall(parameters)
    assert page.inner_text(f"{PANEL} .ipadapter-message") == ""


def test_a_ticked_panel_without_anything_says_what_is_missing(page: Any) -> None:
    tick(page)
    assert "IP-Adapter unit 1: model is required" in generate(page)


def test_an_unticked_panel_does_nothing(page: Any) -> None:
    assert "IP-Adapter" not in generate(page)


def test_units_apply_once_after_a_reload_of_the_ui(page: Any, webui: WebUI, model: str) -> None:
    unit = {"model": model, "images": [reference(1)]}
    before, plain, hooks = webui.generate(unit), webui.generate(), webui.hooks()
    starts, reloads = webui.logged(STARTED), webui.logged("Restarting UI")
    page.click("#footer a:has-text('Reload UI')")
    webui.wait_until_logged("Restarting UI", reloads + 1)
    page.goto("about:blank")  # the page polls the server, which would stop it while it adds its routes
    webui.wait(starts + 1)
    assert webui.generate(unit) - before == 0
    assert webui.generate() - plain == 0
    assert webui.hooks() == hooks
    page.goto(webui.url)
    page.wait_for_selector(f"{PANEL} .ipadapter-tab", state="attached")

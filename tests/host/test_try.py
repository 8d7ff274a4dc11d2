"""*Try* in the panel of a real web UI: its pictures, what it leaves alone, and when it is refused."""

import importlib.util
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from makers import file_of, picture
from panel.actions import IDLE, LISTED
from panel.served import CHROMIUM

from host.pages import opened
from host.webui import Files, RefusedError, WebUI, reference, use_adapter

if not (importlib.util.find_spec("playwright") and CHROMIUM):
    pytest.skip("no playwright or no Chromium", allow_module_level=True)

UNIT = re.compile(r'IP-Adapter 1: "[^"]*Weight: ([\d.]+)')
FORM = {"width": "192", "height": "128", "steps": "14", "batch_count": "2", "seed": "-1"}


@pytest.fixture(scope="module")
def model(webui: WebUI, files: Files) -> str:
    return use_adapter(webui, files)


@pytest.fixture
def page(webui: WebUI, browser: Any, request: pytest.FixtureRequest) -> Iterator[Any]:
    with opened(browser, webui.url, request.node.name, width=1500) as page:
        yield page


def file(seed: int) -> dict[str, Any]:
    return {"name": f"{seed}.png", "mimeType": "image/png", "buffer": file_of(picture(120, 90, seed))}


def begin(page: Any, model: str, tab: str = "txt2img") -> None:
    """Fill in the form, and a unit of the panel."""
    panel = f"#ipadapter_{tab}"
    page.fill(f"#{tab}_prompt textarea", "a red cat")
    for name, value in FORM.items():
        page.fill(f"#{tab}_{name} input[type=number]", value)
    page.click(f"{panel} .label-wrap")
    page.wait_for_function(LISTED.replace("txt2img", tab))
    page.set_input_files(f"{panel} .ipadapter-left .ipadapter-add input[type=file]", [file(1)])
    page.wait_for_selector(f"{panel} .ipadapter-reference")
    page.select_option(f"{panel} select[aria-label=Adapter]", f"{model}.safetensors")
    page.wait_for_function(IDLE.replace("txt2img", tab))


def start(page: Any, kind: str, tab: str = "txt2img") -> None:
    page.click(f"#ipadapter_{tab} [aria-label='Try {kind}']")
    page.wait_for_function(running(tab))


def running(tab: str) -> str:
    return f"ipAdapter.panels.{tab}.trying.isRunning"


def attempt(page: Any, kind: str, tab: str = "txt2img") -> list[str]:
    """Try variants, and return the parameters of the pictures."""
    info = f"document.querySelector('#generation_info_{tab} textarea').value"
    before = page.evaluate(info)
    start(page, kind, tab)
    page.wait_for_function(f"!{running(tab)}")
    page.wait_for_function(f"(before) => {info} !== before", arg=before)
    return json.loads(page.evaluate(info))["infotexts"]


def form(page: Any) -> dict[str, str]:
    return {name: page.input_value(f"#txt2img_{name} input[type=number]") for name in FORM}


def saved(webui: WebUI) -> list[Path]:
    return sorted((webui.log.parent / "out").rglob("*.png"))


def tiles(page: Any, tab: str = "txt2img") -> int:
    return page.locator(f"#ipadapter_{tab} .ipadapter-tile img").count()


def seeds(infotexts: list[str]) -> set[str]:
    return set(re.findall(r"Seed: (\d+)", "".join(infotexts)))


def test_strengths_are_made_of_one_seed_and_leave_everything_else_alone(page: Any, webui: WebUI, model: str) -> None:
    unit = {"model": model, "images": [reference(1)]}
    before, hooks = webui.generate(unit), webui.hooks()
    begin(page, model)
    there = saved(webui)
    made = attempt(page, "strengths")
    assert UNIT.findall("".join(made)) == ["0", "0.4", "0.8", "0.9", "1"]
    assert len(made) == tiles(page) == 5
    assert len(seeds(made)) == 1
    assert all("Size: 192x128" in text and "Steps: 12" in text for text in made)
    assert page.inner_text(".ipadapter-try [role=status]") == "5 pictures, 192x128, 12 steps"
    assert form(page) == FORM
    assert saved(webui) == there
    assert webui.generate(unit) - before == 0
    assert webui.hooks() == hooks
    page.click("#txt2img_generate")
    page.wait_for_function("document.querySelector('#generation_info_txt2img textarea').value.includes('Steps: 14')")
    assert len(saved(webui)) >= len(there) + 2, "the next generation is an ordinary one"


def test_a_try_makes_what_the_same_units_make_otherwise(page: Any, webui: WebUI, model: str) -> None:
    begin(page, model)
    page.fill("#txt2img_seed input[type=number]", "7")
    made = attempt(page, "on and off")
    assert ["IP-Adapter 1" in text for text in made] == [True, False]
    assert seeds(made) == {"7"}
    images = page.eval_on_selector_all(".ipadapter-tile img", "(all) => all.map(({src}) => src)")
    assert images[0] != images[1]


def test_purposes_in_img2img(page: Any, webui: WebUI, model: str) -> None:
    page.click("#tabs button:text-is('img2img')")
    page.set_input_files("#img2img_image input[type=file]", [file(2)])
    begin(page, model, "img2img")
    made = attempt(page, "purposes", "img2img")
    assert len(made) == tiles(page, "img2img") == 4
    assert len(seeds(made)) == 1
    assert ["Weight type: style transfer," in text for text in made] == [False, True, False, False]


def test_an_interrupt_keeps_the_finished_pictures(page: Any, model: str) -> None:
    begin(page, model)
    start(page, "strengths")
    page.wait_for_selector(".ipadapter-tile img")
    page.click("[aria-label='Stop trying']")
    page.wait_for_function(f"!{running('txt2img')}")
    assert 1 <= tiles(page) < 5


def test_a_script_of_the_menu_is_refused(page: Any, model: str) -> None:
    begin(page, model)
    page.click("#txt2img_script_container #script_list input")
    page.click("#txt2img_script_container #script_list :is(li, [role=option]):has-text('X/Y/Z plot')")
    page.wait_for_function("document.querySelector('#txt2img_script_container #script_list input').value !== 'None'")
    page.click("[aria-label='Try strengths']")
    assert "does not work with a script" in page.inner_text("#ipadapter_txt2img .ipadapter-message")


def test_the_api_has_no_such_field(webui: WebUI, model: str) -> None:
    unit = {"try": {"token": "t", "changes": [{"weight": 0.1}]}, "model": model, "images": [reference(1)]}
    for given in (unit, json.dumps(unit)):
        with pytest.raises(RefusedError, match="try is an unknown field"):
            webui.generate(given)

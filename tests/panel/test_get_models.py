"""The dialog for getting models, in a real browser: installed and needed files, sizes before the click, progress."""

import importlib.util
from collections.abc import Iterator
from typing import Any

import pytest

if not (importlib.util.find_spec("gradio") and importlib.util.find_spec("playwright")):
    pytest.skip("gradio and playwright are not installed at this end", allow_module_level=True)

from .actions import drop, given, tick, wait_until_idle
from .downloads import BASE, HALF, LIGHT, OFF, PACK, PLUS, VIT_H
from .served import PICTURES, needs_chromium, opened
from .test_first_minute import only

pytestmark = needs_chromium

GET = "dialog[open] button[value=use]"
LINE = ".ipadapter-downloading"
WATCH = """(bar) => {
    window.shown = [];
    const look = () => shown.push(Number(document.querySelector(bar).getAttribute("aria-valuenow")));
    new MutationObserver(look).observe(document.querySelector(bar), {attributes: true});
}"""


def downloads(page: Any, **states: Any) -> None:
    page.evaluate("(asked) => ipAdapter.panels.txt2img.asking.ask('set downloads', asked)", states)


@pytest.fixture
def page(page: Any) -> Iterator[Any]:
    downloads(page)
    yield page
    downloads(page)


def open_dialog(page: Any) -> None:
    tick(page)
    drop(page, "one.png")  # an empty unit shows the button only if no adapter can run
    page.click("button:text-is('Get models…')")
    page.wait_for_selector("dialog[open] .ipadapter-model")


def row(page: Any, title: str) -> Any:
    return page.locator(f"dialog[open] .ipadapter-model[aria-label='{title}']")


def sum_of(page: Any) -> str:
    return page.inner_text("dialog[open] .ipadapter-end .ipadapter-note")


def titles(page: Any, section: str) -> list[str]:
    found = page.locator(f'dialog[open] .ipadapter-bundle[aria-label="{section}"] .ipadapter-model')
    return [each.get_attribute("aria-label") for each in found.all()]


def test_a_beginner_sees_the_first_adapter_ticked_with_what_it_needs_and_the_size(page: Any) -> None:
    open_dialog(page)
    assert page.input_value("dialog select") == "SD1.x"
    assert page.inner_text("dialog select option:checked") == "SD1.x (loaded)"
    assert row(page, "Plus, general, SD 1.5").locator("input").is_checked()
    assert titles(page, "Also needed") == ["ViT-H, image encoder"]
    assert sum_of(page) == "2 files, 2.6 GB. 118 GB available."
    assert page.inner_text(GET) == "Get 2.6 GB"


def test_each_file_is_shown_once_and_installed_ones_are_not_offered(page: Any) -> None:
    downloads(page, states={VIT_H: "there", BASE: "unchecked", LIGHT: "different"})
    open_dialog(page)
    page.click("dialog summary:has-text('More adapters (1)')")
    row(page, "FaceID Plus v2, likeness, SD 1.5").locator("input").check()
    assert titles(page, "Pictures and style") == ["Plus, general, SD 1.5", "Base, general, SD 1.5"]
    needed = ["ViT-H, image encoder", "LoRA for FaceID Plus v2, SD 1.5", "buffalo_l, face models"]
    assert titles(page, "Also needed") == needed
    there = row(page, "ViT-H, image encoder")
    assert there.locator("output").inner_text() == "2.5 GB · installed"
    assert there.locator("input").count() == 0
    assert row(page, "Base, general, SD 1.5").locator("input").count() == 0
    assert "is not the published file." in row(page, "Light, general, SD 1.5").inner_text()
    assert sum_of(page) == "3 files, 496 MB. 118 GB available."


def test_a_file_that_is_elsewhere_needs_no_download(page: Any) -> None:
    downloads(page, states={VIT_H: "elsewhere"})
    open_dialog(page)
    assert "as models/Lora/mine.safetensors, no download needed" in row(page, "ViT-H, image encoder").inner_text()
    assert sum_of(page) == "2 files, 98 MB. 118 GB available."
    assert page.inner_text(GET) == "Get 98 MB"


def test_needed_files_can_be_left_out(page: Any) -> None:
    open_dialog(page)
    row(page, "ViT-H, image encoder").locator("input").uncheck()
    assert sum_of(page) == "1 file, 98 MB. 118 GB available."
    row(page, "ViT-H, image encoder").locator("input").check()
    assert sum_of(page) == "2 files, 2.6 GB. 118 GB available."


def test_files_for_research_only_need_consent(page: Any) -> None:
    open_dialog(page)
    assert page.locator(".ipadapter-agree label").count() == 0
    row(page, "FaceID Plus v2, likeness, SD 1.5").locator("input").check()
    assert page.locator(GET).is_disabled()
    terms = page.inner_text(".ipadapter-agree")
    assert all(title in terms for title in ("FaceID Plus v2, likeness", "LoRA for FaceID Plus v2", "buffalo_l"))
    page.check(".ipadapter-agree input")
    assert page.locator(GET).is_enabled()
    row(page, "FaceID Plus v2, likeness, SD 1.5").locator("input").uncheck()
    assert page.locator(GET).is_enabled(), "only Plus is left"


def test_a_bundle_is_ticked_as_a_whole(page: Any) -> None:
    open_dialog(page)
    whole = page.locator("dialog section > label:has-text('Pictures and style') input")
    assert whole.evaluate("(box) => box.indeterminate")
    whole.check()
    assert row(page, "Base, general, SD 1.5").locator("input").is_checked()
    assert sum_of(page) == "3 files, 2.7 GB. 118 GB available."
    page.select_option("dialog select", "SDXL")
    assert titles(page, "Pictures and style") == ["Plus, general, SDXL"]


def test_lack_of_space_is_shown_before_the_click(page: Any) -> None:
    downloads(page, free={"models/clip_vision": 1_000_000_000})
    open_dialog(page)
    assert sum_of(page) == "There is not enough space in models/clip_vision: only 1 GB available."
    assert page.locator(GET).is_disabled()


def test_if_downloads_are_off_the_reason_and_the_pages_are_shown(page: Any) -> None:
    downloads(page, allowed=False)
    open_dialog(page)
    assert OFF in page.inner_text("dialog .ipadapter-models-list > .wrong")
    assert page.locator("dialog input").count() == 0
    assert page.locator(GET).is_hidden()
    link = row(page, "buffalo_l, face models").locator("a")
    assert link.get_attribute("href").startswith("https://")
    assert "models/insightface" in row(page, "buffalo_l, face models").inner_text()


def test_each_download_has_a_bar_and_the_lists_are_updated(page: Any) -> None:
    with only(page):
        drop(page, "one.png")
        page.wait_for_selector(".ipadapter-button.primary:text-is('Get models…')")
        page.click("button:text-is('Get models…')")
        page.click(GET)
        page.wait_for_selector("dialog .ipadapter-fetching:has-text('34 MB/s')")
        assert row(page, "ViT-H, image encoder").locator(".ipadapter-fetching").inner_text().startswith("Queued")
        page.screenshot(path=PICTURES / "get-models-running.png")
        page.click("dialog button:text-is('Close')")
        page.wait_for_selector(f"{LINE}:has-text('Downloading 2 files')")
        page.evaluate(WATCH, f"{LINE} [role=progressbar]")
        page.wait_for_selector(f"{LINE}[hidden]", state="attached")
        shown = page.evaluate("window.shown")
        assert shown == sorted(shown), "a file that has arrived still counts"
        assert shown[-1] > 60
        page.wait_for_selector(f".ipadapter-message:has-text('{PLUS} was chosen automatically.')")
        (unit,) = given(page)
        assert (unit["model"], len(unit["images"])) == (PLUS, 1), "the unit was waiting for an adapter"


def test_the_dialog_closes_once_everything_requested_is_there(page: Any) -> None:
    downloads(page, states={VIT_H: "there"})
    open_dialog(page)
    page.click(GET)
    page.wait_for_selector("dialog", state="detached")
    assert page.evaluate("ipAdapter.downloads.of('ip-adapter-plus_sd15.safetensors').state") == "done"
    downloads(page, states={VIT_H: "there"})
    open_dialog(page)
    page.click(GET)
    row(page, "FaceID Plus v2, likeness, SD 1.5").locator("input").check()
    page.wait_for_function("ipAdapter.downloads.isAllThere")
    page.wait_for_timeout(500)
    assert page.locator("dialog[open]").count() == 1, "the user is still choosing"
    page.keyboard.press("Escape")


def test_a_download_can_be_stopped_resumed_and_tried_again(page: Any) -> None:
    downloads(page, fails=[PLUS], held=True)
    open_dialog(page)
    page.click(GET)
    page.click("dialog button[aria-label='Stop ViT-H, image encoder']")
    page.wait_for_selector("dialog .ipadapter-fetching:has-text('Stopped at 0 of 2.5 GB')")
    page.click("dialog button[aria-label='Resume ViT-H, image encoder']")
    page.wait_for_selector("dialog .ipadapter-fetching:has-text('Queued') >> nth=1")
    downloads(page, fails=[PLUS])
    page.evaluate("(name) => ipAdapter.downloads.get([name])", PLUS)
    page.wait_for_selector("dialog .ipadapter-fetching .wrong:has-text('The hub does not answer.')")
    page.click("dialog button:text-is('Close')")
    assert "Plus, general, SD 1.5 could not be downloaded." in page.inner_text(LINE)
    page.click(f"{LINE} button")
    page.click("dialog button[aria-label='Try again: Plus, general, SD 1.5']")


def test_a_reloaded_page_finds_the_downloads(page: Any) -> None:
    downloads(page, held=True)
    open_dialog(page)
    page.click(GET)
    page.wait_for_selector("dialog .ipadapter-fetching")
    page.reload()
    page.wait_for_selector(".ipadapter-tab")
    assert page.locator(LINE).is_hidden()
    tick(page)
    page.wait_for_selector(f"{LINE}:has-text('Downloading 2 files')")


def test_the_server_is_not_asked_while_nothing_is_under_way(page: Any) -> None:
    open_dialog(page)
    page.wait_for_timeout(1000)  # the unit's picture has been looked at
    wait_until_idle(page)
    before = page.evaluate("ipAdapter.panels.txt2img.asking.count")
    page.wait_for_timeout(2500)
    assert page.evaluate("ipAdapter.panels.txt2img.asking.count") == before


def test_the_dialog_works_with_the_keyboard_and_keeps_the_focus(page: Any) -> None:
    open_dialog(page)
    page.focus("dialog [id='ipadapter_get_ip-adapter_sd15.safetensors']")
    page.keyboard.press("Space")
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "Base, general, SD 1.5"
    page.keyboard.press("Escape")
    page.wait_for_selector("dialog", state="detached")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_dialog_fits_a_phone(browser: Any, address: str, theme: str) -> None:
    size = {"width": 390, "height": 800}
    with opened(browser, f"{address}?__theme={theme}", f"get-models-phone-{theme}", viewport=size) as page:
        downloads(page, states={BASE: "there"})
        open_dialog(page)
        row(page, "FaceID Plus v2, likeness, SD 1.5").locator("input").check()
        wide, room = page.evaluate(
            "(() => {const d = document.querySelector('dialog'); return [d.scrollWidth, d.clientWidth]})()"
        )
        assert wide <= room
        page.screenshot(path=PICTURES / f"get-models-phone-{theme}.png")
        page.set_viewport_size({"width": 1100, "height": 900})
        page.screenshot(path=PICTURES / f"get-models-{theme}.png")
        page.keyboard.press("Escape")
        downloads(page)


def test_files_requested_by_name_are_ticked(page: Any) -> None:
    tick(page)
    page.evaluate("(names) => void ipAdapter.panels.txt2img.getModels.open(names)", [VIT_H, PACK])
    page.wait_for_selector("dialog[open] .ipadapter-model")
    assert titles(page, "Also needed") == ["ViT-H, image encoder", "buffalo_l, face models"]
    assert sum_of(page).startswith("2 files, 2.8 GB.")
    assert not row(page, "FaceID Plus v2, likeness, SD 1.5").locator("input").is_checked()


def test_a_download_that_a_restart_interrupted_can_go_on(page: Any) -> None:
    downloads(page, parts={VIT_H: 1_200_000_000}, states={PLUS: "there"}, held=True)
    open_dialog(page)
    paused = row(page, "ViT-H, image encoder")
    assert "Paused at 1.2 of 2.5 GB" in paused.inner_text()
    assert paused.locator("[role=progressbar]").get_attribute("aria-valuenow") == "47"
    paused.locator("button:text-is('Resume')").click()
    page.wait_for_selector("dialog[open] button[aria-label='Stop ViT-H, image encoder']")
    assert page.evaluate("ipAdapter.downloads.files.map(({name}) => name)") == [VIT_H]


def test_a_paused_download_is_not_offered_where_downloads_are_off(page: Any) -> None:
    downloads(page, parts={VIT_H: 1_200_000_000}, allowed=False)
    open_dialog(page)
    assert page.locator("dialog[open] [role=progressbar]").count() == 0
    assert page.locator("dialog[open] button:text-is('Resume')").count() == 0


def test_the_half_size_encoder_can_be_taken_instead(page: Any) -> None:
    open_dialog(page)
    row(page, "ViT-H, image encoder").locator("button:text-is('Use ViT-H, half size instead (1.3 GB)')").click()
    assert titles(page, "Also needed") == ["ViT-H, half size"]
    assert "For Plus, general, SD 1.5" in row(page, "ViT-H, half size").inner_text()
    assert sum_of(page) == "2 files, 1.4 GB. 118 GB available."
    row(page, "ViT-H, half size").locator("button:text-is('Use ViT-H, image encoder instead (2.5 GB)')").click()
    assert sum_of(page) == "2 files, 2.6 GB. 118 GB available."
    row(page, "ViT-H, image encoder").locator("button:has-text('half size')").click()
    page.click(GET)
    page.wait_for_function("ipAdapter.downloads.files.length === 2")
    assert page.evaluate("ipAdapter.downloads.files.map(({name}) => name)") == [PLUS, HALF]


def test_an_installed_encoder_has_no_alternative(page: Any) -> None:
    downloads(page, states={VIT_H: "there"})
    open_dialog(page)
    row(page, "Plus, general, SD 1.5").locator("input").check()
    assert page.locator("dialog[open] button:has-text('instead')").count() == 0

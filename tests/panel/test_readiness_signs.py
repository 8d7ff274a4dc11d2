"""Readiness in a real browser: a sign on each tab, what is wrong, and the buttons that repair it."""

import importlib.util
from typing import Any

import pytest

if not (importlib.util.find_spec("gradio") and importlib.util.find_spec("playwright")):
    pytest.skip("gradio and playwright are not installed at this end", allow_module_level=True)

from .actions import choose, drop, drop_colours, fill, given, tick, unfold
from .served import PICTURES, needs_chromium, opened

pytestmark = needs_chromium

BASE, PLUS, FACE_ID = (
    "ip-adapter_sd15.safetensors",
    "ip-adapter-plus_sd15.safetensors",
    "ip-adapter-faceid-plusv2_sd15.bin",
)
PORTRAIT, SDXL = "ip-adapter-faceid-portrait_sd15.bin", "ip-adapter_sdxl.safetensors"
FINDINGS = ".ipadapter-findings"


def times_asked(page: Any) -> int:
    return page.evaluate("ipAdapter.panels.txt2img.asking.ask('times asked').then(({times}) => times)")


def wait_for_sign(page: Any, unit: int, state: str) -> None:
    page.wait_for_selector(f".ipadapter-tab:has-text('Unit {unit}') [role=img][aria-label='{state}']")


def take(page: Any, model: str) -> None:
    """Give the open unit an adapter that cannot be chosen in the list."""
    page.evaluate(
        "(model) => {const {state} = ipAdapter.panels.txt2img; state.choose(state.open, model);"
        "ipAdapter.panels.txt2img.draw()}",
        model,
    )


def test_each_tab_shows_the_state_of_its_unit(page: Any) -> None:
    tick(page)
    drop(page, "one.png")
    choose(page, PLUS)
    wait_for_sign(page, 1, "ready")
    assert page.locator(f"{FINDINGS} button").count() == 0
    page.click(".ipadapter-tab:has-text('Unit 2')")
    drop(page, "two.png")
    choose(page, PORTRAIT)
    wait_for_sign(page, 2, "will stop Generate")
    wait_for_sign(page, 1, "ready")
    page.uncheck("label:has-text('Enable this unit') input")
    wait_for_sign(page, 2, "not used")
    assert page.locator(".ipadapter-tab:has-text('Unit 3') [role=img]").count() == 0


def test_a_problem_is_shown_once_with_the_button_that_gets_the_file(page: Any) -> None:
    tick(page)
    drop(page, "one.png")
    choose(page, PORTRAIT)
    sentence = "needs insightface, which is not installed."
    page.wait_for_selector(f"{FINDINGS} >> text={sentence}")
    assert page.locator(f".ipadapter-right .ipadapter-note:has-text('{sentence}'):visible").count() == 1
    assert page.locator("#generate").is_enabled()
    page.screenshot(path=PICTURES / "readiness.png")
    page.click(f"{FINDINGS} button:text-is('Get ViT-H (2.5 GB)…')")
    page.wait_for_selector("dialog[open] .ipadapter-model[aria-label='ViT-H, image encoder'] input:checked")
    page.keyboard.press("Escape")


def test_an_adapter_that_does_not_fit_is_replaced_by_one_for_the_same_use(page: Any) -> None:
    tick(page)
    drop(page, "one.png")
    take(page, SDXL)
    page.wait_for_selector(f"{FINDINGS} .wrong:has-text('is for SDXL')")
    page.click(f"{FINDINGS} button:has-text('Use ')")
    wait_for_sign(page, 1, "ready")
    assert given(page)[0]["model"] == BASE, "it is of the same family too"


def test_a_setting_without_effect_can_be_reset(page: Any) -> None:
    tick(page)
    drop(page, "one.png")
    choose(page, PLUS)
    unfold(page, "References")
    page.fill("input[type=number][aria-label=Enhance]", "2")
    choose(page, FACE_ID)
    page.click(f"{FINDINGS} button:text-is('Set Enhance to 1')")
    wait_for_sign(page, 1, "ready")
    assert given(page)[0]["enhance"] == 1


TABS = """() => document.body.insertAdjacentHTML("beforeend", `
    <div><div class="tab-nav"><button>txt2img</button><button onclick="opened.push('Settings')">Settings</button></div>
        <div class="tabitem"></div>
        <div class="tabitem" id="tab_settings"><div>
            <div class="tab-nav">
                <button>Paths</button><button onclick="opened.push('IP-Adapter')">IP-Adapter</button>
            </div>
            <div class="tabitem"></div><div class="tabitem" id="settings_ipadapter"></div></div>
        </div></div>`)"""


def test_missing_packages_lead_to_the_settings(page: Any) -> None:
    page.evaluate("window.opened = []")
    tick(page)
    drop(page, "one.png")
    choose(page, FACE_ID)
    fill(page, "Start", "0.25")
    page.wait_for_selector(f"{FINDINGS} >> text=insightface is missing.")
    assert page.locator(f"{FINDINGS} button").count() == 0, "there are no settings on this page"
    page.evaluate(TABS)
    page.evaluate("ipAdapter.panels.txt2img.readiness.root.replaceChildren(); ipAdapter.panels.txt2img.draw()")
    page.click(f"{FINDINGS} button:text-is('Open the settings')")
    assert page.evaluate("window.opened") == ["Settings", "IP-Adapter"]


def test_what_only_makes_the_result_poor_has_a_milder_sign(page: Any) -> None:
    tick(page)
    drop(page, "one.png")
    choose(page, FACE_ID)
    fill(page, "Weight", "1.2")
    wait_for_sign(page, 1, "will run, but with poor results")
    assert page.locator(f"{FINDINGS} .wrong").count() == 0


def test_the_web_uis_cfg_scale_matters_and_a_click_takes_a_better_adapter(page: Any) -> None:
    page.evaluate(
        "const field = document.createElement('div'); field.id = 'txt2img_cfg_scale';"
        "field.innerHTML = '<input type=number value=7>'; document.querySelector('.ipadapter-panel').after(field)"
    )
    tick(page)
    drop(page, "one.png")
    choose(page, BASE)
    wait_for_sign(page, 1, "ready")
    page.fill("#txt2img_cfg_scale input", "1")
    wait_for_sign(page, 1, "will run, but with poor results")
    assert "It does less at CFG scale 1." in page.inner_text(FINDINGS)
    page.click(f"{FINDINGS} button")
    assert given(page)[0]["model"] == PLUS
    page.fill("#txt2img_cfg_scale input", "7")
    wait_for_sign(page, 1, "ready")


def test_the_web_uis_steps_matter(page: Any) -> None:
    page.evaluate(
        "const field = document.createElement('div'); field.id = 'txt2img_steps';"
        "field.innerHTML = '<input type=number value=20>'; document.querySelector('.ipadapter-panel').after(field)"
    )
    tick(page)
    drop(page, "one.png")
    choose(page, BASE)
    wait_for_sign(page, 1, "ready")
    page.fill("#txt2img_steps input", "3")
    wait_for_sign(page, 1, "will run, but with poor results")
    assert "None of the 3 steps" in page.inner_text(FINDINGS)


def test_a_unit_whose_references_come_from_the_script_is_ready(page: Any) -> None:
    page.evaluate(
        "const tab = document.createElement('div'); tab.id = 'tab_txt2img';"
        "tab.innerHTML = '<div id=script_list><input value=None></div>';"
        "document.querySelector('.ipadapter-panel').after(tab)"
    )
    tick(page)
    take(page, BASE)
    wait_for_sign(page, 1, "will stop Generate")
    page.fill("#script_list input", "IP-Adapter: a generation for each reference")
    page.click("#script_list")
    wait_for_sign(page, 1, "ready")


def test_what_an_empty_unit_needs_is_said_in_the_panels_words(page: Any) -> None:
    tick(page)
    choose(page, PLUS)
    page.wait_for_selector(f"{FINDINGS} >> text=Add a picture, or choose a subject.")


def test_the_server_is_asked_once_for_many_changes_and_never_while_nothing_is_used(page: Any) -> None:
    before = times_asked(page)
    tick(page)
    fill(page, "Weight", "0.5")
    page.wait_for_timeout(1000)
    assert times_asked(page) == before, "no unit has anything in it"
    drop(page, "one.png")
    wait_for_sign(page, 1, "ready")
    before = times_asked(page)
    page.evaluate("for (let i = 1; i <= 20; i++) ipAdapter.panels.txt2img.set('weight', i / 20 - 2)")
    page.wait_for_timeout(1500)
    assert times_asked(page) == before + 1
    page.uncheck("#ipadapter_txt2img-checkbox input")
    page.evaluate("ipAdapter.panels.txt2img.set('weight', 1)")
    page.wait_for_timeout(1000)
    assert times_asked(page) == before + 1


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_signs_can_be_told_apart(browser: Any, address: str, theme: str) -> None:
    with opened(browser, f"{address}?__theme={theme}", f"readiness-{theme}") as page:
        for unit, model in enumerate((PLUS, PORTRAIT, FACE_ID, BASE), 1):
            tick(page)
            page.click(f".ipadapter-tab:has-text('Unit {unit}')")
            drop(page, f"{unit}.png")
            choose(page, model)
        page.uncheck("label:has-text('Enable this unit') input")
        page.click(".ipadapter-tab:has-text('Unit 3')")
        fill(page, "Weight", "1.2")
        wait_for_sign(page, 3, "will run, but with poor results")
        drawn = "(sign) => getComputedStyle(sign, '::after').content"
        signs = [each.evaluate(drawn) for each in page.locator(".ipadapter-state").all()]
        assert len(set(signs)) == 4


COST = f"{FINDINGS} .ipadapter-cost"


@pytest.fixture
def uncached(page: Any) -> Any:
    """A page whose server has read and encoded no picture."""
    page.evaluate("ipAdapter.panels.txt2img.asking.ask('forget pictures')")
    return page


def test_what_generate_encodes_is_said_until_it_is_cached(uncached: Any) -> None:
    page = uncached
    tick(page)
    drop_colours(page, "red", "green")
    choose(page, PLUS)
    page.wait_for_selector(f"{COST}:text-is('Encodes 2 pictures.')")
    fill(page, "Start", "0.125")
    page.wait_for_selector(f"{COST}:text-is('Encodes 2 pictures. clip.safetensors runs on the CPU.')")
    encode = "(images) => ipAdapter.panels.txt2img.asking.ask('encode', {images: images.map(({image}) => image)})"
    page.evaluate(encode, given(page)[0]["images"][:1])
    page.fill("#comments textarea", "Time taken: 1 sec.")
    page.click("#comment")
    page.wait_for_selector(f"{COST}:has-text('Encodes 1 picture.')")
    page.evaluate(encode, given(page)[0]["images"])
    page.fill("#comments textarea", "Time taken: 2 sec.")
    page.click("#comment")
    page.wait_for_function(f"!document.querySelector('{COST}')")
    page.wait_for_selector(".ipadapter-tab [role=img][aria-label=ready]")


def test_a_picture_is_sent_for_a_look_only_once_and_only_for_adapters_of_faces(uncached: Any) -> None:
    page = uncached
    seen = "ipAdapter.panels.txt2img.asking.ask('times seen').then(({times}) => times)"
    tick(page)
    drop_colours(page, "red", "green")
    choose(page, PLUS)
    page.wait_for_selector(f"{COST}:text-is('Encodes 2 pictures.')")
    assert page.evaluate(seen) == 0
    choose(page, FACE_ID)
    page.evaluate("ipAdapter.panels.txt2img.set('structure_weight', 0.5)")
    page.wait_for_selector(f"{FINDINGS} >> text=Reference 1 looks like a drawing.")
    assert page.evaluate(seen) == 2
    page.evaluate("ipAdapter.panels.txt2img.set('weight', 0.7)")
    page.wait_for_timeout(1000)
    assert page.evaluate(seen) == 2


ADETAILER = """() => document.querySelector(".ipadapter-panel").insertAdjacentHTML("afterend", `
    <div id="script_txt2img_adetailer_ad_main_accordion-checkbox"><input type=checkbox></div>
    <div id="setting_ad_script_names"><textarea>dynamic_thresholding</textarea></div>`)"""


def test_adetailer_can_be_told_to_run_the_units(page: Any) -> None:
    page.evaluate("ipAdapter.panels.txt2img.asking.ask('leave out')")
    page.evaluate(ADETAILER)
    tick(page)
    drop(page, "one.png")
    choose(page, PLUS)
    wait_for_sign(page, 1, "ready")
    page.check("#script_txt2img_adetailer_ad_main_accordion-checkbox input")
    wait_for_sign(page, 1, "will run, but with poor results")
    page.click(f'{FINDINGS} button:text-is("Add ip_adapter to ADetailer\'s scripts")')
    wait_for_sign(page, 1, "ready")
    assert page.inner_text(".ipadapter-message") == "ADetailer's setting now includes ip_adapter."
    assert page.input_value("#setting_ad_script_names textarea") == "dynamic_thresholding,ip_adapter"


def test_a_file_can_be_used_as_the_variant_that_it_is(page: Any) -> None:
    tick(page)
    drop(page, "one.png")
    choose(page, FACE_ID)
    page.evaluate("ipAdapter.panels.txt2img.set('variant', 'v1')")
    page.click(f"{FINDINGS} button:text-is('Use FaceID Plus v2')")
    wait_for_sign(page, 1, "ready")
    assert given(page)[0]["variant"] == "v2"

"""The JSON that the panel writes into the web UI's text fields, in a real browser: fast, and of the whole unit."""

import importlib.util
from typing import Any

import pytest

if not (importlib.util.find_spec("gradio") and importlib.util.find_spec("playwright")):
    pytest.skip("gradio and playwright are not installed at this end", allow_module_level=True)

from .actions import choose, customise, drop, drop_colours, given, tick, unfold
from .served import needs_chromium

pytestmark = needs_chromium

COUNT = """() => {
    const {stringify} = JSON;
    window.long = 0;
    JSON.stringify = (...all) => {
        const text = stringify(...all);
        if (text && text.length > 3500) window.long += 1;
        return text;
    };
}"""
MOVE = """(values) => {
    const slider = document.querySelector("input[type=range][aria-label=Weight]");
    for (const value of values) {
        slider.value = value;
        slider.dispatchEvent(new Event("input", {bubbles: true}));
    }
}"""
LARGE = """() => {
    const {unit} = ipAdapter.panels.txt2img;
    const text = "data:image/png;base64," + "A".repeat(4000);
    unit.mask = text + "mask";
    for (const name of ["images", "negative_images", "composition_images"])
        unit[name] = [{image: text + name}, {image: text + name, mask: text, weight: 0.5}];
    ipAdapter.panels.txt2img.write();
}"""


def first_given(page: Any) -> dict[str, Any]:
    """Return the first unit that the script is given, without drawing its text, which takes the browser minutes."""
    unit = given(page)[0]
    page.evaluate("document.querySelector('#given textarea').value = ''")
    return unit


def test_a_slider_does_not_serialise_pictures_again(page: Any) -> None:
    tick(page)
    choose(page)
    customise(page)
    page.evaluate(LARGE)
    page.evaluate(COUNT)
    page.evaluate(MOVE, ["0.5", "0.55", "0.6", "0.65"])
    assert page.evaluate("window.long") == 0
    unit = first_given(page)
    assert unit["weight"] == 0.65
    assert unit["mask"].endswith("Amask")
    for name in ("images", "negative_images", "composition_images"):
        assert [each["image"].endswith(f"A{name}") for each in unit[name]] == [True, True]
        assert (unit[name][1]["weight"], len(unit[name][1]["mask"])) == (0.5, 4022)


def test_the_joined_parts_equal_the_whole_units_json(page: Any) -> None:
    same = """(value) => {
        const long = (one) => Array.isArray(one) ? one.map(long)
            : one && typeof one === "object" ? Object.fromEntries(Object.entries(one).map(([k, v]) => [k, long(v)]))
            : one === "long" ? '"\\\\'.repeat(2000) : one;
        const made = long(value);
        const text = ipAdapter.jsonParts(made).join("");
        const sorted = (one) => JSON.stringify(one, (_, v) => v && typeof v === "object" && !Array.isArray(v)
            ? Object.fromEntries(Object.entries(v).sort()) : v);
        return sorted(JSON.parse(text)) === sorted(made);
    }"""
    for value in (
        {},
        {"a": 1},
        {"mask": "long"},
        {"images": []},
        {"images": [{}]},
        {"images": [{"image": "long"}, {"image": "long", "mask": "long", "weight": 0.5}], "n": [1, 2], "none": None},
    ):
        assert page.evaluate(same, value), value


def test_a_picture_changed_in_place_is_written_as_changed(page: Any) -> None:
    tick(page)
    page.evaluate(LARGE)
    page.evaluate("ipAdapter.panels.txt2img.unit.images[0].image += 'B'; ipAdapter.panels.txt2img.write()")
    assert first_given(page)["images"][0]["image"].endswith("imagesB")


def test_consecutive_values_all_reach_the_script(page: Any) -> None:
    """Also if the texts have equal length, or a text repeats."""
    tick(page)
    drop(page, "one.png")
    choose(page)
    customise(page)
    for weight in ("0.5", "0.6", "0.5", "0.55", "0.5"):
        page.evaluate(MOVE, [weight])
        assert given(page)[0]["weight"] == float(weight)


def test_a_pasted_unit_replaces_what_the_panel_wrote(page: Any) -> None:
    tick(page)
    drop_colours(page, "red")
    page.fill("#pasted textarea", '{"IP-Adapter 1": "Adapter: ip-adapter_sd15.safetensors, Weight: 0.7"}')
    page.click("#paste")
    page.wait_for_function("document.querySelector('input[type=number][aria-label=Weight]')?.value === '0.7'")
    (unit,) = given(page)
    assert (unit["weight"], unit["images"]) == (0.7, [])


def test_a_control_in_an_open_fold_does_not_serialise_pictures_either(page: Any) -> None:
    tick(page)
    page.evaluate(LARGE)
    unfold(page, "Steps")
    page.evaluate(COUNT)
    page.fill("[aria-label='Hires weight']", "0.5")
    assert page.evaluate("window.long") == 0

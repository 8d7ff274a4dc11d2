"""Ten tasks of people who work with image prompts, done in the panel by mouse or by keyboard.

Each begins in an open panel, changes it with one pair of `hands`, and checks the units.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .hands import PANEL, Keys, Mouse

Hands = Mouse | Keys
Files = Sequence[dict[str, Any]]
Task = Callable[[Hands, Files], None]

UNITS = """() => {
    const {state} = ipAdapter.panels.txt2img;
    return state.all.map((unit) => {
        const {images, ...fields} = state.sent(unit);
        return {...fields, images: images.map(({image, ...rest}) => rest), family: state.files.modelOf(unit)?.family};
    });
}"""
REFUSED = """() => {
    const {state, files, unit} = ipAdapter.panels.txt2img;
    const {name, reason} = files.models.find(({reason}) => reason);
    state.choose(unit, name);
    ipAdapter.panels.txt2img.draw();
    return reason;
}"""
"""Choose an adapter that the loaded checkpoint refuses, and return why."""

IS_SAID = "([place, text]) => document.querySelector(place).innerText.includes(text)"

CARDS = f"document.querySelectorAll('{PANEL} .ipadapter-left .ipadapter-reference').length"


def units(page: Any) -> list[dict[str, Any]]:
    return page.evaluate(UNITS)


def wait_for_cards(page: Any, number: int) -> None:
    page.wait_for_function(f"{CARDS} === {number}")
    page.wait_for_function("ipAdapter.panels.txt2img.asking.waiting.length === 0")


def begin(page: Any, files: Files) -> None:
    """Prepare a unit with pictures; this is no act."""
    Mouse(page).add(files)
    wait_for_cards(page, len(files))


def add(hands: Hands, files: Files) -> None:
    hands.add(files)
    wait_for_cards(hands.page, len(files))


def this_face_in_that_scene(hands: Hands, files: Files) -> None:
    add(hands, files[:1])
    hands.press("Face")
    assert units(hands.page)[0]["family"].startswith("faceid")


def this_style(hands: Hands, files: Files) -> None:
    add(hands, files[:1])
    hands.press("Style")
    assert units(hands.page)[0]["weight_type"].startswith("style transfer")


def this_layout(hands: Hands, files: Files) -> None:
    add(hands, files[:1])
    hands.press("Composition")
    assert units(hands.page)[0]["weight_type"].startswith("composition")


def two_persons_left_and_right(hands: Hands, files: Files) -> None:
    add(hands, files[:1])
    hands.press("Face")
    hands.press("Region")
    hands.press("Left half")
    hands.open_unit(2)
    add(hands, files[1:2])
    hands.press("Face")
    hands.press("Right half")
    left, right, *_ = units(hands.page)
    assert (left["region"], right["region"]) == ("left half", "right half")
    assert left["family"] == right["family"]


def less_of_it(hands: Hands, files: Files) -> None:
    begin(hands.page, files[:1])
    before = units(hands.page)[0]["weight"]
    hands.lighten()
    assert 0 < units(hands.page)[0]["weight"] < before


def only_the_second_half_of_the_steps(hands: Hands, files: Files) -> None:
    begin(hands.page, files[:1])
    hands.press("Second half")
    unit = units(hands.page)[0]
    assert (unit["start"], unit["end"]) == (0.5, 1)


def crop_to_the_face(hands: Hands, files: Files) -> None:
    begin(hands.page, files[:1])
    hands.press("Part of reference 1 to use")
    hands.press("Face 1", "dialog")
    hands.press("Apply", "dialog")
    hands.page.wait_for_selector("dialog", state="detached")
    assert units(hands.page)[0]["images"][0]["box"]


def switch_one_reference_off(hands: Hands, files: Files) -> None:
    begin(hands.page, files[:2])
    hands.press("Use reference 2")
    assert [image.get("enabled") for image in units(hands.page)[0]["images"]] == [None, False]


def undo_a_removal(hands: Hands, files: Files) -> None:
    begin(hands.page, files[:2])
    Mouse(hands.page).press("Remove reference 1")
    wait_for_cards(hands.page, 1)
    hands.press("Undo")
    wait_for_cards(hands.page, 2)


def why_does_it_stop(hands: Hands, files: Files) -> None:
    """The panel says it before Generate."""
    begin(hands.page, files[:1])
    page = hands.page
    reason = page.evaluate(REFUSED)
    page.wait_for_function(IS_SAID, arg=[f"{PANEL} .ipadapter-body", reason])


@dataclass(frozen=True)
class Acts:
    """How many acts a task takes, here and elsewhere; None where it cannot be done there without another program."""

    mouse: int
    keys: int
    controlnet: int | None
    comfyui: int | None


TASKS: Mapping[Task, Acts] = {
    this_face_in_that_scene: Acts(2, 3, 6, 17),
    this_style: Acts(2, 3, 7, 17),
    this_layout: Acts(2, 3, 7, 17),
    two_persons_left_and_right: Acts(8, 10, None, None),
    less_of_it: Acts(1, 4, 1, 1),
    only_the_second_half_of_the_steps: Acts(1, 1, 1, 1),
    crop_to_the_face: Acts(3, 3, None, None),
    switch_one_reference_off: Acts(1, 1, 2, 2),
    undo_a_removal: Acts(1, 1, None, 1),
    why_does_it_stop: Acts(0, 0, None, 0),
}
"""ControlNet's and ComfyUI's acts are by mouse; a menu is two acts, and a typed text is one. Both begin as the panel
here does: with the unit's accordion open, or with ComfyUI's default graph.

ControlNet 1.1.455 (scripts/controlnet_ui/controlnet_ui_group.py). A face: picture, Enable, control type, model, and the
LoRA in the prompt; its preprocessor is found by the model. A style or a layout: no LoRA, but a weight type. Two persons
need masks from another program. One of several pictures is removed by clearing all and loading the others. Errors are
in the console.

ComfyUI_IPAdapter_plus 9d076a3. A node is three acts: double click, name, Enter. A face: Load Image and its picture, the
unified loader and its preset, the adapter, five connections. Masks, and a crop by the face, come from other programs or
nodes. A node is bypassed by a click and Ctrl+B. An error opens a dialog.
"""

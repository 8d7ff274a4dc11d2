"""A user's actions in the panel, and the units that the script is given then."""

import base64
import io
import json
from typing import Any

from PIL import Image

from lib_ipadapter.unit.unit import FIELDS

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAoAAAAKCAIAAAACUFjqAAAAEklEQVR4nGP4z8CAB+GTG8HSALfKY52fTcuYAAAAAElFTkSuQmCC"
)
COLOURS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255)}


def coloured(name: str, width: int = 60, height: int = 40) -> bytes:
    """Return a file with one of `COLOURS`."""
    file = io.BytesIO()
    Image.new("RGB", (width, height), COLOURS[name]).save(file, "PNG")
    return file.getvalue()


def picture_of(url: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(url.split(",")[1])))


def colour_of(image: dict[str, Any]) -> str:
    """Return which of `COLOURS` a reference has in its middle."""
    picture = picture_of(image["image"]).convert("RGB")
    middle = picture.getpixel((picture.width // 2, picture.height // 2))
    return next(name for name, colour in COLOURS.items() if colour == middle)


def drop_colours(page: Any, *names: str, field: str = ".ipadapter-left") -> None:
    files = [{"name": f"{name}.png", "mimeType": "image/png", "buffer": coloured(name)} for name in names]
    before = page.locator(".ipadapter-reference").count()
    page.set_input_files(f"{field} .ipadapter-add input[type=file]", files)
    page.wait_for_function(f"document.querySelectorAll('.ipadapter-reference').length === {before + len(names)}")


def colours(page: Any, field: str = "images") -> list[str]:
    """Return the colours of the first unit's references in the order that the script is given."""
    return [colour_of(image) for image in given(page)[0][field]]


LISTED = "ipAdapter.panels.txt2img.files.isListed"
IDLE = """() => {
    const {asking, plot} = ipAdapter.panels.txt2img;
    return asking.waiting.length === 0 && plot.root.getAttribute("aria-busy") === "false";
}"""
"""Whether a ticked panel waits for no answer from the server; an answer redraws it."""


def wait_until_idle(page: Any) -> None:
    page.wait_for_function(IDLE)


def tick(page: Any) -> None:
    page.check("#ipadapter_txt2img-checkbox input")
    page.wait_for_function(LISTED)
    wait_until_idle(page)


def show_all(page: Any) -> None:
    """Show everything of the open unit, also if it is empty."""
    more = page.locator("button:text-is('Use a subject or saved reference…')")
    if more.count():
        more.click()


def strength(page: Any, place: float) -> None:
    """Move the strength slider."""
    page.evaluate(
        """(place) => {
            const slider = document.querySelector("#ipadapter_txt2img input[aria-label=Strength]");
            slider.value = place;
            slider.dispatchEvent(new Event("input", {bubbles: true}));
        }""",
        place,
    )


def customise(page: Any, place: str = "") -> None:
    """Show the fields for weight, start and end."""
    show_all(page)
    toggle = page.locator(f"{place} button:text-is('Custom')")
    if toggle.get_attribute("aria-pressed") == "false":
        toggle.click()


def fill(page: Any, label: str, value: str) -> None:
    """Set weight, start or end by its number field."""
    customise(page)
    page.fill(f"input[type=number][aria-label={label}]", value)


def take_type(page: Any, name: str) -> None:
    """Choose a weight type."""
    page.click(f".ipadapter-type:has([aria-label='{name}'])")


IS_OPEN = """(group) => [...document.querySelectorAll(".ipadapter-group")]
    .find((fold) => fold.querySelector("summary").textContent === group)?.open"""
"""Whether a group is unfolded."""

NORMAL = {"weight": 0.8, "start": 0.2, "end": 0.8}
"""What a new unit has that differs from the defaults: the purpose Subject at normal strength."""


def choose(page: Any, name: str = "ip-adapter_sd15.safetensors") -> None:
    show_all(page)
    page.select_option("select[aria-label=Adapter]", name)


def drop(page: Any, *names: str) -> None:
    before = page.locator(".ipadapter-reference").count()
    page.set_input_files(
        ".ipadapter-left input[type=file]",
        [{"name": name, "mimeType": "image/png", "buffer": PNG} for name in names],
    )
    page.wait_for_function(f"document.querySelectorAll('.ipadapter-reference').length === {before + len(names)}")


def given(page: Any) -> list[dict[str, Any]]:
    """Press Generate and return the units that the script is given."""
    page.evaluate("document.querySelector('#given textarea').value = ''")
    page.click("#generate")
    page.wait_for_function("document.querySelector('#given textarea').value !== ''")
    _, texts = json.loads(page.input_value("#given textarea"))
    assert len(texts) == 10
    return [json.loads(text) for text in texts if text]


def changed(unit: dict[str, Any]) -> dict[str, Any]:
    """Return the fields that differ from the field table's defaults."""
    defaults = {name: json.loads(json.dumps(field.default)) for name, field in FIELDS.items()}
    return {name: value for name, value in unit.items() if value != defaults[name]}


CONTRASTS = """(selector) => {
    const level = (colour) => {
        const most = colour.startsWith("color") ? 1 : 255; // of a mixed colour, or of any other
        const [red, green, blue] = colour.match(/[\\d.]+/g).map((part) => Number(part) / most);
        return 0.2126 * red ** 2.2 + 0.7152 * green ** 2.2 + 0.0722 * blue ** 2.2;
    };
    const behind = (part) => {
        for (; part; part = part.parentElement) {
            const {backgroundColor} = getComputedStyle(part);
            if (!/, 0\\)$/.test(backgroundColor)) return backgroundColor;
        }
        return "rgb(255, 255, 255)";
    };
    return [...document.querySelectorAll(selector)].map((part) => {
        const pair = [level(getComputedStyle(part).color), level(behind(part))];
        return (Math.max(...pair) + 0.05) / (Math.min(...pair) + 0.05);
    });
}"""


def contrasts(page: Any, selector: str) -> list[float]:
    """Return the contrast of each element's text to its background, 1 to 21 as in WCAG 2."""
    return page.evaluate(CONTRASTS, selector)


def unfold(page: Any, group: str) -> None:
    show_all(page)
    if page.evaluate(IS_OPEN, group):
        return
    page.click(f"summary:text-is('{group}')")

"""The pictures of docs/, taken from a real web UI with the small model: `python tasks.py screenshots [NAME...]`.

IP_ADAPTER_HOST is the web UI's folder, IP_ADAPTER_HOST_PYTHON its Python, as for the tests in tests/host. The small
model's files are copied into its folders, and removed afterwards unless they were there.
"""

import base64
import io
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from host.pages import PANEL, opened
from host.small_world import small_world
from host.webui import REPOSITORY, SETTINGS, WebUI, linked
from makers import file_of
from panel.actions import IDLE, LISTED
from panel.served import started_browser
from PIL import Image

from demo.figures import ADAPTERS, half
from demo.world import Scene, draw

PICTURES = REPOSITORY / "docs" / "pictures"
SCRIPT = "IP-Adapter: a generation for each reference"
WINDOW = {"width": 1500, "height": 1300}
READY = f"{PANEL} .ipadapter-tab .ipadapter-state.ready"
"""The sign of a unit that can run, which comes after an answer of the server."""

ANNA = [Scene("cross", "red", "white"), Scene("cross", "red", "grey"), Scene("cross", "red", "black")]
BEN, PAINTED = Scene("square", "blue", "white"), Scene("triangle", "magenta", "black")
SETS = {"anna": ANNA}
"""Subjects that exist while screenshots are taken."""


@dataclass(frozen=True)
class Screenshot:
    """One screenshot: the unit in the panel, the open folds, and the part of the page that is taken."""

    unit: dict[str, Any]
    folds: tuple[str, ...] = ()
    part: str = PANEL
    script: str = ""
    """The script chosen below the panel, with pictures dropped on it."""


def url_of(picture: Image.Image) -> str:
    return f"data:image/png;base64,{base64.b64encode(file_of(picture)).decode()}"


def drawn(scene: Scene) -> Image.Image:
    return draw(scene).resize((256, 256))


def cut_out(scene: Scene) -> Image.Image:
    """Return a picture with a transparent background."""
    levels = np.asarray(drawn(scene)).astype(int)
    away = np.abs(levels - levels[2, 2]).sum(-1) > 60
    return Image.fromarray(np.dstack([levels, 255 * away]).astype(np.uint8))


def unit(*pictures: Image.Image, adapter: str = "plus", **more: Any) -> dict[str, Any]:
    return {"model": ADAPTERS[adapter], "images": [{"image": url_of(each)} for each in pictures], **more}


SCREENSHOTS = {
    "overview": Screenshot(unit(drawn(PAINTED), weight=0.8, start=0.2, end=0.8), part="#tab_txt2img"),
    "person": Screenshot(unit(subject="anna", weight=0.8, start=0.1), ("References",)),
    "style": Screenshot(unit(drawn(PAINTED), weight_type="style transfer", crop="pad"), ("Layers and weight types",)),
    "two-persons": Screenshot(
        unit(drawn(ANNA[0]), drawn(BEN), region="left to right; feather 0.1", weight=0.8), ("Region",)
    ),
    "product": Screenshot(
        unit(cut_out(BEN), weight=0.8, end=0.8, crop="pad", mask=f"data:image/png;base64,{half('right')}"), ("Region",)
    ),
    "layout": Screenshot(
        unit(drawn(PAINTED), weight_type="composition", crop="squash", end=0.5), ("Layers and weight types",)
    ),
    "many-references": Screenshot(unit(weight=0.7), part="#txt2img_script_container", script=SCRIPT),
}


@contextmanager
def running() -> Iterator[WebUI]:
    """Start the web UI with this extension, and with its own files for settings and saved data."""
    folder, python = Path(os.environ["IP_ADAPTER_HOST"]), os.environ["IP_ADAPTER_HOST_PYTHON"]
    with tempfile.TemporaryDirectory() as name, linked(folder, REPOSITORY, REPOSITORY / "tests" / "host" / "oracle"):
        kept = Path(name)
        own = {"ipadapter_kept_folder": (kept / "named").as_posix(), "outdir_samples": (kept / "out").as_posix()}
        (kept / "config.json").write_text(json.dumps(SETTINGS | own))
        flags = f"--ui-settings-file {kept / 'config.json'} --ui-config-file {kept / 'ui-config.json'}"
        web_ui = WebUI(folder, python, flags, kept / "log.txt")
        try:
            with small_world(web_ui):
                yield web_ui
        finally:
            web_ui.stop()


def take(page: Any, screenshot: Screenshot) -> bytes:
    """Return a screenshot of the page with the unit in the panel, as a PNG."""
    page.evaluate("(unit) => ipAdapter.restore('txt2img', 0, JSON.stringify(unit))", screenshot.unit)
    for fold in screenshot.folds:
        page.evaluate(
            "([panel, fold]) => [...document.querySelectorAll(`${panel} details`)].find((details) => "
            "details.querySelector('summary').innerText.trim() === fold).open = true",
            [PANEL, fold],
        )
    if screenshot.script:
        choose_script(page, screenshot.script)
    page.wait_for_selector(READY)
    page.wait_for_function(IDLE)
    page.mouse.move(0, 0)
    return page.locator(screenshot.part).screenshot(animations="disabled")


def choose_script(page: Any, script: str) -> None:
    page.click("#tab_txt2img #script_list input")
    page.click(f"#tab_txt2img #script_list li:has-text('{script}')")
    page.wait_for_selector("#tab_txt2img [id$=for_each_reference_weights] textarea")
    files = [
        {"name": f"{scene.colour} {scene.shape}.png", "mimeType": "image/png", "buffer": file_of(drawn(scene))}
        for scene in (*ANNA[:1], BEN, PAINTED)
    ]
    page.set_input_files("#tab_txt2img [id$=for_each_reference_files] input[type=file]", files)
    page.fill("#tab_txt2img [id$=for_each_reference_weights] textarea", "1, 0.5")
    listed = "document.querySelector('#tab_txt2img [id$=for_each_reference_files]').innerText"
    page.wait_for_function(f"{listed}.includes('.png') && !{listed}.includes('Uploading')")


def generate(page: Any) -> None:
    """Make pictures as the README describes, so that the page shows some."""
    page.fill("#txt2img_prompt textarea", "a circle")
    for name, value in (("width", 64), ("height", 64), ("batch_size", 4)):
        page.fill(f"#txt2img_{name} input[type=number]", str(value))
    page.click("#txt2img_generate")
    page.wait_for_selector("#html_info_txt2img :text('Steps: ')")
    page.wait_for_selector("#txt2img_results .progressDiv", state="detached")
    shown = "[...document.querySelectorAll('#txt2img_gallery img')]"
    page.wait_for_function(f"{shown}.length > 1 && {shown}.every((image) => image.complete && image.naturalWidth)")


def keep(name: str, content: bytes) -> None:
    """Write a picture with 256 colours, rare ones such as those of small signs among them, in a third of the bytes."""
    whole = Image.open(io.BytesIO(content)).convert("RGB")
    few = whole.quantize(256, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    few.save(PICTURES / f"{name}.png", optimize=True)


def main() -> None:
    with running() as web_ui, started_browser() as browser:
        for name, scenes in SETS.items():
            web_ui.call("/ipadapter/subjects", {"name": name, "pictures": [url_of(drawn(each)) for each in scenes]})
        for name in sys.argv[1:] or SCREENSHOTS:
            screenshot = SCREENSHOTS[name]
            with opened(browser, web_ui.url, name, **WINDOW) as page:
                page.click(f"{PANEL} .label-wrap")
                page.wait_for_function(LISTED)
                page.evaluate("ipAdapter.panels.txt2img.news.read()")
                page.evaluate("(unit) => ipAdapter.restore('txt2img', 0, JSON.stringify(unit))", screenshot.unit)
                if name == "overview":
                    generate(page)
                keep(name, take(page, screenshot))


if __name__ == "__main__":
    main()

"""Cost of the panel: number of gradio components, time of its script with five units, and time of a slider event.

Run with `python benchmarks/panel.py`, where gradio, playwright and a Chromium are installed.
"""

import statistics
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import gradio as gr
from panel.served import opened, serve, started_browser

from demo.frame import Accordion, browser_code, framed_panel
from lib_ipadapter.web.panel import draw_panel

UNITS, TIMES = 5, 20

BEGIN_AGAIN = """() => {
    for (const root of document.querySelectorAll(".ipadapter-panel")) root.replaceChildren();
    const started = performance.now();
    (%s)();
    document.body.getBoundingClientRect(); // with the layout
    return performance.now() - started;
}"""


REFERENCES, SIZE = 16, 1_500_000
"""Number and bytes of the pictures in the unit whose slider is moved."""
SLIDERS = ("Strength", "Weight")

MOVE = """async ([count, bytes, times, label]) => {
    const panel = ipAdapter.panels.txt2img;
    const unit = panel.unit || panel.units[0];
    const texts = Array.from({length: 4096}, (_, index) => btoa(String(index).padStart(12, "x")));
    const picture = (seed) => {
        const parts = [];
        for (let length = 0, index = seed; length < (bytes / 3) * 4; index++) {
            parts.push(texts[(index * 2654435761) % 4096]);
            length += 16;
        }
        return "data:image/png;base64," + parts.join("");
    };
    unit.images = Array.from({length: count}, (_, seed) => ({image: picture(seed)}));
    panel.ticked = true; // as it was before the state had a place of its own
    if (panel.state) panel.state.ticked = true;
    const strength = panel.state && panel.state.strength;
    if (strength) label === "Weight" ? strength.custom.add(unit) : strength.put(unit, 2);
    panel.draw();
    const field = panel.part("unit_1").querySelector("textarea, input");
    const slider = document.querySelector("#ipadapter_txt2img input[type=range][aria-label=" + label + "]");
    const took = [];
    for (let index = 0; index < times; index++) {
        await new Promise((resolve) => setTimeout(resolve, 100));
        slider.value = Number(slider.max) * (index % 20) / 20;
        const started = performance.now();
        slider.dispatchEvent(new Event("input", {bubbles: true}));
        const text = field.value;
        const written = performance.now() - started;
        await new Promise((resolve) => setTimeout(resolve)); // what gradio does in answer to it
        took.push([written, performance.now() - started]);
        if (JSON.parse(text).weight !== unit.weight) throw new Error("The field has another value.");
    }
    return took;
}"""
"""Moves the slider of a unit with many pictures. Returns milliseconds from each event to the text field's new value,
and until the page is free again."""


def both_tabs() -> gr.Blocks:
    """Return a page with the panels of txt2img and img2img."""
    with gr.Blocks(analytics_enabled=False) as page:
        draw_panel("img2img", UNITS, Accordion, lambda text: "{}", lambda digits: None)
        framed_panel(page, UNITS, lambda text: "{}", lambda digits: None)
    return page


def main() -> None:
    """Serve the page at a port, or measure it without one."""
    if sys.argv[1:]:
        both_tabs().queue().launch(server_name="127.0.0.1", server_port=int(sys.argv[1]))
    else:
        measure()


def measure() -> None:
    print(f"gradio {gr.__version__}, {UNITS} units in each of two tabs")
    print(f"components: {len(both_tabs().blocks)}, the host's accordions and the page's style among them")
    with (
        serve("benchmarks.panel") as address,
        started_browser() as browser,
        opened(browser, address, "benchmark") as page,
    ):
        page.wait_for_timeout(3000)
        times = [page.evaluate(BEGIN_AGAIN % browser_code()) for _ in range(TIMES)]
        moves = {label: page.evaluate(MOVE, [REFERENCES, SIZE, TIMES, label]) for label in SLIDERS}
    print(f"script: {in_short(times)}")
    for label, taken in moves.items():
        written, free = zip(*taken, strict=True)
        print(f"an event of the slider {label}, with {REFERENCES} references of {SIZE / 1e6:g} MB")
        print(f"  to the text field's new value: {in_short(written)}")
        print(f"  until the page is free again: {in_short(free)}")


def in_short(times: Sequence[float]) -> str:
    return f"first {times[0]:.1f} ms, median {statistics.median(times):.1f} ms, most {max(times):.1f} ms"


if __name__ == "__main__":
    main()

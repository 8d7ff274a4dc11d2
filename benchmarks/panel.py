"""What the panel costs a page: components of gradio, and time of its script, with five units.

Run with `python benchmarks/panel.py`, where gradio, playwright and a Chromium are installed.
"""

import statistics
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import gradio as gr
from panel.served import opened, serve, started_browser

from demo.frame import browser_code, framed_panel

UNITS, TIMES = 5, 20

BEGIN_AGAIN = """() => {
    const root = document.querySelector(".ipadapter-panel");
    root.replaceChildren();
    const started = performance.now();
    (%s)();
    root.getBoundingClientRect(); // with the layout
    return performance.now() - started;
}"""


def components() -> int:
    """Return how many components of gradio the panel of one tab adds to a page."""
    with gr.Blocks(analytics_enabled=False) as page:
        before = len(page.blocks)
        framed_panel(page, UNITS, lambda text: text, lambda digits: None)
    return len(page.blocks) - before


def main() -> None:
    print(f"gradio {gr.__version__}, {UNITS} units")
    print(f"components: {components()} a tab, the host's accordion among them")
    with (
        serve("panel.page") as address,
        started_browser() as browser,
        opened(browser, address, "benchmark") as page,
    ):
        page.wait_for_timeout(3000)
        times = [page.evaluate(BEGIN_AGAIN % browser_code()) for _ in range(TIMES)]
    print(f"script: first {times[0]:.1f} ms, median {statistics.median(times):.1f} ms, most {max(times):.1f} ms a tab")


if __name__ == "__main__":
    main()

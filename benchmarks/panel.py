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


def both_tabs() -> gr.Blocks:
    """Return a page with the panels of txt2img and img2img."""
    with gr.Blocks(analytics_enabled=False) as page:
        draw_panel("img2img", UNITS, Accordion, lambda text: "{}", lambda digits: None)
        framed_panel(page, UNITS, lambda text: "{}", lambda digits: None)
    return page


def main() -> None:
    """Show the page at a port that is given, or else measure it."""
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
    print(f"script: first {times[0]:.1f} ms, median {statistics.median(times):.1f} ms, most {max(times):.1f} ms")


if __name__ == "__main__":
    main()

"""Serve a page from a separate process and open it in a real browser."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import sync_playwright

TESTS = Path(__file__).resolve().parents[1]
PICTURES = TESTS.parent / "build" / "screenshots"
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]

PATIENCE = 180_000
"""Milliseconds to wait for a state before the test fails: a busy machine takes minutes to draw a page."""

needs_chromium = pytest.mark.skipif(not CHROMIUM, reason="no Chromium was found; CHROMIUM may name one")


def answers(address: str) -> bool:
    try:
        urllib.request.urlopen(address, timeout=60).close()
    except OSError:
        return False
    return True


@contextmanager
def serve(module: str) -> Iterator[str]:
    """Run a module's `main`, which takes a port, and yield the page's address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    paths = os.pathsep.join([str(TESTS.parent), str(TESTS), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = os.environ | {"PYTHONPATH": paths, "GRADIO_ANALYTICS_ENABLED": "False", "no_proxy": "127.0.0.1"}
    start = f"import conftest; from {module} import main; main()"  # the tests' own import path
    server = subprocess.Popen([sys.executable, "-c", start, str(port)], env=environment, cwd=TESTS)
    address = f"http://127.0.0.1:{port}/"
    try:
        while not answers(address):
            assert server.poll() is None, "the page's server ended"
            time.sleep(0.25)
        yield address
    finally:
        server.kill()


@contextmanager
def started_browser() -> Iterator[Any]:
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@contextmanager
def opened(browser: Any, address: str, name: str, **context: Any) -> Iterator[Any]:
    """Open a page with the panel; afterwards take a screenshot and check that its code raised no error."""
    page = browser.new_page(**{"viewport": {"width": 1100, "height": 1000}, **context})
    page.set_default_timeout(PATIENCE)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(address)
    page.wait_for_selector(".ipadapter-tab")
    try:
        yield page
    finally:
        PICTURES.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=PICTURES / f"gradio-{version('gradio')}-{name}.png", full_page=True)
        page.close()
    assert errors == []

"""Requests to the server in a real browser: an answer that never comes, or comes late, blocks nothing."""

import importlib.util
from typing import Any

import pytest

if not (importlib.util.find_spec("gradio") and importlib.util.find_spec("playwright")):
    pytest.skip("gradio and playwright are not installed at this end", allow_module_level=True)

from .actions import tick
from .served import needs_chromium

pytestmark = needs_chromium


def asked(page: Any, *questions: str, patience: float = 1) -> list[dict[str, Any]]:
    """Return the answers to concurrent requests; `hang` is given up after `patience` seconds."""
    return page.evaluate(
        """([questions, patience]) => {
            const {asking} = ipAdapter.panels.txt2img;
            asking.patience.hang = patience;
            return Promise.all(questions.map((what) => asking.ask(what, {seconds: 3})));
        }""",
        [questions, patience],
    )


def test_a_request_without_an_answer_is_given_up_and_the_next_is_sent(page: Any) -> None:
    tick(page)
    lost, listed = asked(page, "hang", "list")
    assert "has not answered for 1 seconds" in lost["message"]
    assert "models" in listed


def test_a_late_answer_is_dropped(page: Any) -> None:
    tick(page)
    lost, plotted, failed = asked(page, "hang", "subjects", "fail")
    assert "has not answered" in lost["message"]
    assert sorted(plotted) == ["adoptable", "subjects"]
    assert "console" in failed["message"]
    assert page.evaluate("ipAdapter.panels.txt2img.asking.waiting.length") == 0


def test_requests_after_one_that_was_given_up_get_their_own_answers(page: Any) -> None:
    tick(page)
    lost, *answers = asked(page, "hang", "subjects", "list", "subjects", patience=0)
    assert "has not answered" in lost["message"]
    assert [sorted(answer) for answer in answers if "models" not in answer] == [["adoptable", "subjects"]] * 2


def test_the_panel_says_when_the_server_does_not_answer(page: Any) -> None:
    page.evaluate("ipAdapter.panels.txt2img.asking.patience.list = 0")
    page.check("#ipadapter_txt2img-checkbox input")
    page.wait_for_selector(".ipadapter-message.wrong:has-text('has not answered')")
    page.evaluate("ipAdapter.panels.txt2img.asking.patience.list = 60")
    page.click("button[aria-label=Refresh]")
    page.wait_for_function("ipAdapter.panels.txt2img.files.isListed")
    page.wait_for_selector("button[aria-label=Refresh]", state="detached")

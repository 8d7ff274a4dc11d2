"""Ten tasks are done in the panel by mouse and by keyboard alone."""

import importlib.util
from typing import Any

import pytest

if not (importlib.util.find_spec("gradio") and importlib.util.find_spec("playwright")):
    pytest.skip("gradio and playwright are not installed at this end", allow_module_level=True)

from .actions import coloured, tick
from .hands import Keys, Mouse
from .served import needs_chromium
from .ten_tasks import TASKS, Task

pytestmark = needs_chromium
FILES = [{"name": f"{name}.png", "mimeType": "image/png", "buffer": coloured(name)} for name in ("red", "green")]


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.__name__)
def test_a_task_is_done_by_mouse(page: Any, task: Task) -> None:
    tick(page)
    hands = Mouse(page)
    task(hands, FILES)
    assert hands.acts == TASKS[task].mouse


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.__name__)
def test_a_task_is_done_by_keyboard(page: Any, task: Task) -> None:
    tick(page)
    hands = Keys(page)
    task(hands, FILES)
    assert hands.acts == TASKS[task].keys

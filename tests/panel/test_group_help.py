"""The ? of each group, in a real browser."""

import importlib.util
from typing import Any

import pytest

if not (importlib.util.find_spec("gradio") and importlib.util.find_spec("playwright")):
    pytest.skip("gradio and playwright are not installed at this end", allow_module_level=True)

from lib_ipadapter.unit.group_help import GROUP_HELP

from .actions import choose, contrasts, drop, tick, unfold
from .served import PICTURES, needs_chromium

pytestmark = needs_chromium


def test_each_group_says_what_it_is_for(page: Any) -> None:
    tick(page)
    drop(page, "a.png")
    choose(page, "ip-adapter-faceid-plusv2_sd15.bin")
    for group, text in GROUP_HELP.items():
        unfold(page, group)
        ask = page.locator(f"[aria-label='What is {group} for?']")
        assert ask.bounding_box()["height"] >= 32
        assert not page.is_visible(f"text={text}")
        ask.press("Enter")
        assert page.is_visible(f"text={text}")
        assert ask.get_attribute("aria-expanded") == "true"
    assert min(contrasts(page, ".ipadapter-help, .ipadapter-ask")) > 4.5
    page.locator(".ipadapter-folds").screenshot(path=PICTURES / "group-help.png")
    ask.press("Enter")
    assert not page.is_visible(f"text={text}")

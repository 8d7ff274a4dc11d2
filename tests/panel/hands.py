"""A person's hands at the panel: each act by mouse, or by keyboard alone, is counted.

An act is a click, a drag, a dropped file, or a key that does something. Tab, which only moves the focus, is no act.
"""

from collections.abc import Sequence
from typing import Any

PANEL = "#ipadapter_txt2img"
FILES = f"{PANEL} .ipadapter-left .ipadapter-add input[type=file]"
IN_TAB_ORDER = "(part) => part.tabIndex >= 0 && !part.disabled"


class Mouse:
    def __init__(self, page: Any) -> None:
        self.page = page
        self.acts = 0

    def click(self, selector: str) -> None:
        self.acts += 1
        self.page.click(selector)

    def add(self, files: Sequence[dict[str, Any]]) -> None:
        """Drop pictures on the open unit."""
        self.acts += 1
        self.page.set_input_files(FILES, files)

    def press(self, text: str, inside: str = PANEL) -> None:
        """Press a button with this text, or of this name."""
        self.click(f"{inside} :is(button, summary):is(:text-is('{text}'), [aria-label='{text}'])")

    def open_unit(self, number: int) -> None:
        self.click(f"{PANEL} .ipadapter-tab >> nth={number - 1}")

    def lighten(self) -> None:
        """Put the strength from normal to light."""
        self.click(f"{PANEL} .ipadapter-mark:text-is('light')")


class Keys:
    def __init__(self, page: Any) -> None:
        self.page = page
        self.acts = 0
        self.files: Sequence[dict[str, Any]] = ()
        page.on("filechooser", lambda chooser: chooser.set_files(self.files))  # in time, however busy the browser is

    def reach(self, found: Any) -> None:
        """Move the focus to an element, if Tab can."""
        found.focus()  # waits for it; if it is drawn again, it keeps the focus
        assert found.evaluate(IN_TAB_ORDER), f"{found} cannot be reached by Tab"

    def key(self, name: str) -> None:
        self.acts += 1
        self.page.keyboard.press(name)

    def add(self, files: Sequence[dict[str, Any]]) -> None:
        """Choose pictures for the open unit; the browser's dialog of files is one act more."""
        self.files = files
        self.reach(self.page.locator(FILES))
        self.key("Enter")
        self.acts += 1

    def press(self, text: str, inside: str = PANEL) -> None:
        selector = f"{inside} :is(button, summary):is(:text-is('{text}'), [aria-label='{text}'])"
        self.reach(self.page.locator(selector))
        self.key("Enter")

    def open_unit(self, number: int) -> None:
        self.reach(self.page.locator(f"{PANEL} .ipadapter-tab[aria-selected=true]"))
        by = number - 1 - self.page.evaluate("ipAdapter.panels.txt2img.state.current")
        for _ in range(abs(by)):
            self.key("ArrowRight" if by > 0 else "ArrowLeft")

    def lighten(self) -> None:
        """Put the strength from normal to light: four quarters of a mark."""
        self.reach(self.page.locator(f"{PANEL} input[type=range][aria-label=Strength]"))
        for _ in range(4):
            self.key("ArrowLeft")

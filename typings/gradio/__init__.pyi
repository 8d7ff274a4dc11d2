"""What the panel uses of gradio, from 3.41 to 6."""

from collections.abc import Callable, Sequence
from typing import Any

__version__: str

class Component:
    label: str | None

class Event:
    def then(
        self,
        fn: Callable[..., Any] | None,
        inputs: Sequence[Component] = ...,
        outputs: Sequence[Component] = ...,
        **in_browser: str,
    ) -> Event: ...

class HTML(Component):
    def __init__(
        self, value: str = ..., *, elem_id: str | None = ..., elem_classes: list[str] | None = ...
    ) -> None: ...

class Textbox(Component):
    def __init__(
        self, value: str = ..., *, elem_id: str | None = ..., elem_classes: list[str] | None = ...
    ) -> None: ...
    def change(
        self,
        fn: Callable[..., Any] | None,
        inputs: Sequence[Component] = ...,
        outputs: Sequence[Component] = ...,
        **in_browser: str,
    ) -> Event: ...

class Button(Component):
    def __init__(
        self, value: str = ..., *, elem_id: str | None = ..., elem_classes: list[str] | None = ...
    ) -> None: ...
    def click(
        self,
        fn: Callable[..., Any] | None,
        inputs: Sequence[Component] = ...,
        outputs: Sequence[Component] = ...,
        *,
        show_progress: bool = ...,
        **in_browser: str,
    ) -> Event: ...

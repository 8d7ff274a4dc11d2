"""One browser for all tests of the panel, and one page of each server."""

from collections.abc import Iterator
from typing import Any

import pytest


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    from .served import started_browser

    with started_browser() as browser:
        yield browser


@pytest.fixture(scope="session")
def address() -> Iterator[str]:
    from .served import serve

    with serve("panel.page") as address:
        yield address


@pytest.fixture
def page(browser: Any, address: str, request: pytest.FixtureRequest) -> Iterator[Any]:
    from .served import opened

    with opened(browser, address, request.node.name) as page:
        yield page

"""Access control for the library's routes: they accept the same logins as the web UI's API and page."""

import secrets
from collections.abc import Callable, Mapping
from typing import Any

from fastapi import Depends, HTTPException
from fastapi.routing import APIRoute
from fastapi.security import HTTPBasic, HTTPBasicCredentials

BASIC = HTTPBasic(auto_error=False)

CURRENT_USER = "get_current_user"
"""Name of gradio's dependency that returns who is logged in, whatever its cookie is called (gradio/routes.py)."""


def guards(app: Any, api_auth: str | None) -> list[Any]:
    """Return a dependency that accepts logins for the page, and API accounts (`api_auth`: `user:password`, separated by
    commas).

    Neither the API's check (modules/api/api.py, `Api.auth`) nor gradio's covers the routes of extensions.
    """
    pairs = (api_auth or "").split(",")
    accounts = dict(pair.strip().split(":", 1) for pair in pairs if ":" in pair)
    logins = getattr(app, "auth", None)
    known = accounts | (logins if isinstance(logins, dict) else {})
    closed = bool(accounts) or logins is not None or getattr(app, "auth_dependency", None) is not None

    def allowed(
        user: str | None = Depends(current_user(app)),
        given: HTTPBasicCredentials | None = Depends(BASIC),  # noqa: B008
    ) -> None:
        if closed and user is None and not (given and _is_known(known, given)):
            raise HTTPException(401, "Incorrect username or password", {"WWW-Authenticate": "Basic"})

    return [Depends(allowed)]


def current_user(app: Any) -> Callable[..., Any]:
    """Return the app's dependency for the user who is logged in on its page, or one that returns None."""
    routes = [route for route in app.routes if isinstance(route, APIRoute)]
    used = (each.call for route in routes for each in route.dependant.dependencies)  # the page's own route has it
    return next((call for call in used if call and getattr(call, "__name__", "") == CURRENT_USER), _nobody)


def _nobody() -> None:
    """Return None: nobody is logged in."""


def _is_known(accounts: Mapping[str, str], given: HTTPBasicCredentials) -> bool:
    password = accounts.get(given.username)
    return password is not None and secrets.compare_digest(given.password.encode(), password.encode())

"""Adds a route for each request that has one."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from ..base.errors import IPAdapterError
from .requests import REQUESTS, Request, Server
from .response_models import MODELS

if TYPE_CHECKING:
    from ..engine.session import Session


def add_routes(app: Any, session: "Callable[[], Session]", guards: Sequence[Any]) -> None:
    """Add the routes to a FastAPI app; `guards` are dependencies that require the web UI's log-in.

    `session` is called for each request, so that adding the routes needs no session.
    """
    for request in REQUESTS:
        if request.route:
            method, name = request.route.split()
            app.add_api_route(
                f"/ipadapter/{name}",
                _endpoint(session, request),
                methods=[method],
                dependencies=guards,
                tags=["IP-Adapter"],
                operation_id=f"{method.lower()}_ipadapter_{name.replace('/', '_')}",
                summary=request.summary,
                response_model=MODELS[request.route],
                response_model_exclude_unset=True,
            )


def _endpoint(session: "Callable[[], Session]", request: Request) -> Callable[..., Any]:
    """Return the function for a route, whose arguments are what FastAPI reads from a request."""
    from fastapi import Body, Query

    # Accepts any body, because FastAPI's own validation fails for a body that is neither JSON nor text.
    def with_body(asked: Any = Body(description=request.body)) -> Any:  # noqa: B008
        server = Server(session())
        try:
            return request.answer(server, asked)
        except IPAdapterError as error:
            raise server.session.host.http_error(error) from error

    def with_base(base: str = Query("", description=request.base)) -> Any:
        return with_body({"base": base})

    def with_nothing() -> Any:
        return with_body({})

    return with_body if request.body else with_base if request.base else with_nothing

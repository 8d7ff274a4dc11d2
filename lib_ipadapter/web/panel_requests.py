"""The panel's requests to the server, through hidden gradio components: a request text, a button and an answer text.

The web UI offers routes only if it is started with its API, so the panel needs its own channel to the same requests.
"""

import json
from typing import Any

from ..base.errors import IPAdapterError, brief
from ..engine.session import Session
from ..review.likeness_report import LikenessReport
from .requests import PANEL, Request, Server


def panel_answer(session: Session, text: str, report: LikenessReport | None = None) -> str:
    """Return the answer to a panel's request, both as JSON: `do` names the request, and `id` is returned unchanged.

    Errors are returned as text in `message`.
    """
    number = None
    try:
        asked = _object_in(text)
        do, number = asked.pop("do", None), asked.pop("id", None)
        if not isinstance(do, str) or do not in PANEL:
            raise IPAdapterError(f"Unknown request {brief(do)}: expected one of {', '.join(PANEL)}. Reload the page.")
        answer = _answered(Server(session, report), PANEL[do], asked)
    except IPAdapterError as error:
        answer = {"message": str(error)}
    return json.dumps({**answer, "id": number})


def _answered(server: Server, request: Request, asked: dict[str, Any]) -> dict[str, Any]:
    """Return a request's answer, or the lists that it changes, with its message, if any.

    The files that a deleted subject leaves in its folder are `kept` in both cases.
    """
    answer = request.answer(server, asked)
    kept = {"kept": answer["kept"]} if "kept" in answer else {}
    shown = {**request.then(server, asked), **kept} if request.then else answer
    return {**shown, **(message(request.done, answer["name"]) if request.done else {})}


def message(done: str, name: str) -> dict[str, Any]:
    """Return a message for the user as part of an answer; the browser translates it and fills in the name."""
    return {"message": done, "values": {"name": name}}


def _object_in(text: str) -> dict[str, Any]:
    try:
        asked = json.loads(text)
    except (ValueError, RecursionError):
        asked = None
    if not isinstance(asked, dict):
        raise IPAdapterError(f"The request must be a JSON object, not {brief(text)}.")
    return asked

"""The routes, and the lists of files that they share with the panel."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .adapter import find_attentions
from .answers import Adapter, Counts, Encoder, Version
from .checkpoint import AdapterFile
from .errors import IPAdapterError
from .preparation import reason_against
from .session import Session
from .units import schema
from .version import VERSION


def add_routes(app: Any, session: Session, guards: Sequence[Any]) -> None:
    """Add the routes to a FastAPI app; `guards` are the dependencies that ask for the web UI's own log-in."""

    def rescan() -> dict[str, int]:
        session.preparation.library.rescan()
        return {"models": len(list_adapters(session)), "encoders": len(list_encoders(session))}

    routes: tuple[tuple[str, str, Callable[[], Any], Any, str], ...] = (
        ("GET", "version", lambda: {"version": VERSION}, Version, "The extension's version"),
        ("GET", "models", lambda: list_adapters(session), list[Adapter], "Adapter files, those that can run first"),
        ("GET", "encoders", lambda: list_encoders(session), list[Encoder], "Image encoder files"),
        ("GET", "schema", schema, dict[str, Any], "JSON Schema of a unit, to check one before it is sent"),
        ("POST", "rescan", rescan, Counts, "Look for files again"),
    )
    for method, name, answer, model, summary in routes:
        app.add_api_route(
            f"/ipadapter/{name}",
            answer,
            methods=[method],
            dependencies=guards,
            tags=["IP-Adapter"],
            operation_id=f"ipadapter_{name}",
            summary=summary,
            response_model=model,
            response_model_exclude_unset=True,
        )


def panel_list(session: Session, look_again: bool) -> str:
    """Return the adapters as the panel takes them, in JSON; after a new look at the folders where that is asked."""
    if look_again:
        session.preparation.library.rescan()
    return json.dumps(list_adapters(session))


def list_adapters(session: Session) -> list[dict[str, Any]]:
    """Return every adapter file, those that fit the loaded checkpoint first, and damaged files with their fault."""
    unet = session.host.loaded_unet()
    attentions = None if unet is None else find_attentions(unet)
    opened, damaged = session.preparation.library.adapters.all()
    listed = [_adapter_entry(session, name, adapter, attentions) for name, adapter in opened.items()]
    listed += [{"name": name, "reason": fault, "short": "damaged"} for name, fault in damaged.items()]
    return sorted(listed, key=lambda entry: (bool(entry["reason"]), entry["name"].lower()))


def _adapter_entry(
    session: Session, name: str, adapter: AdapterFile, attentions: Mapping[Any, Any] | None
) -> dict[str, Any]:
    found = adapter.recognised
    reason = (attentions is not None and reason_against(adapter, attentions)) or ""
    return {
        "name": name,
        "family": found.family.name,
        "base": found.base,
        "encoder": found.encoder,
        "tokens": found.tokens,
        "context_dim": found.context_dim,
        "layers": found.layers,
        "parameters": found.parameters,
        "lora": found.lora,
        "reason": reason,
        "short": f"for {found.base}" if found.family.runs else "not in this version yet",
        "note": "" if reason else _encoder_note(session, adapter),
    }


def _encoder_note(session: Session, adapter: AdapterFile) -> str:
    """Say which image encoder an adapter will use, or what to do where there is none."""
    try:
        encoder = session.preparation.library.encoder_for(adapter, "auto")
    except IPAdapterError as error:
        return error.sentence
    return f"{adapter.recognised.family.title.split(' (')[0].removeprefix('a ')}, image encoder {encoder.path.name}"


def usable(entries: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the names of the files in a list that can be used."""
    return [entry["name"] for entry in entries if not entry["reason"]]


def list_encoders(session: Session) -> list[dict[str, Any]]:
    """Return every image encoder file."""
    opened, damaged = session.preparation.library.encoders.all()
    listed: list[dict[str, Any]] = [
        {
            "name": name,
            "architecture": encoder.name,
            "image_size": encoder.image_size,
            "width": encoder.width,
            "projection": encoder.projection,
            "reason": "",
        }
        for name, encoder in opened.items()
    ]
    return listed + [{"name": name, "reason": fault} for name, fault in damaged.items()]

"""The routes, and the lists of files that they share with the panel."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from .adapter import find_attentions
from .checkpoint import AdapterFile
from .errors import IPAdapterError
from .faces import PACKS, find_models
from .preparation import reason_against
from .session import Session
from .units import schema
from .version import VERSION


def add_routes(app: Any, session: Session, guards: Sequence[Any]) -> None:
    """Add the routes to a FastAPI app; `guards` are the dependencies that ask for the web UI's own log-in."""

    def rescan() -> dict[str, int]:
        session.preparation.library.rescan()
        return {"models": len(list_adapters(session)), "encoders": len(list_encoders(session))}

    routes = {
        "version": lambda: {"version": VERSION},
        "models": lambda: list_adapters(session),
        "encoders": lambda: list_encoders(session),
        "schema": schema,
    }
    for name, answer in routes.items():
        app.add_api_route(f"/ipadapter/{name}", answer, methods=["GET"], dependencies=guards, tags=["IP-Adapter"])
    app.add_api_route("/ipadapter/rescan", rescan, methods=["POST"], dependencies=guards, tags=["IP-Adapter"])


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
        "variant": found.variant.name if found.variant else "",
        "variant_by": found.told_by,
        "fields": list(found.family.fields),
        "reason": reason,
        "short": f"for {found.base}" if found.runs else "not in this version yet",
        "note": "" if reason else _encoder_note(session, adapter),
    }


def _encoder_note(session: Session, adapter: AdapterFile) -> str:
    """Say what an adapter is, how that is known where files look alike, and what it will see references with."""
    library, found = session.preparation.library, adapter.recognised
    try:
        encoder = library.encoder_for(adapter, "auto")
        if found.family.vector:
            find_models(PACKS[found.family.pack], session.host.folders().faces)
    except IPAdapterError as error:
        return error.sentence
    sees = [f"face models {found.family.pack}"] if found.family.vector else []
    sees += [f"image encoder {encoder.path.name}"] if encoder else []
    told = {"name": " by its name", "hash": " by its hash", "default": ", as far as one can tell"}.get(
        found.told_by, ""
    )
    return f"{found.title.split(' (')[0].removeprefix('a ')}{told}, {', '.join(sees)}"


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

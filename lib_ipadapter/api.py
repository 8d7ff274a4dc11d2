"""The routes, and the lists of files that they share with the panel."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .adapter import find_attentions
from .answers import Adapter, Checked, Counts, Encoder, Faces, Keypoints, Name, Saved, Subject, Subjects, Version, Zip
from .checking import check
from .checkpoint import AdapterFile
from .errors import IPAdapterError, UnitError, brief
from .faces import PACKS, find_models
from .fields import Flag, Text, read_object
from .keypoints import asked_keypoints
from .plot import plotted
from .preparation import reason_against
from .preview import faces
from .saved import SavedReference
from .session import Session
from .subject_routes import (
    delete_subject,
    export_subject,
    import_subject,
    list_subjects,
    read_subject,
    save_subject,
)
from .unet_map import SD, SDXL
from .units import read_unit, schema
from .version import VERSION


def add_routes(app: Any, session: Session, guards: Sequence[Any]) -> None:
    """Add the routes to a FastAPI app; `guards` are the dependencies that ask for the web UI's own log-in."""
    from fastapi import Body

    def rescan() -> dict[str, int]:
        session.preparation.library.rescan()
        return {"models": len(list_adapters(session)), "encoders": len(list_encoders(session))}

    def asked_of(function: Callable[[Session, Any], Any], body: str) -> Callable[..., Any]:
        # any body comes through: FastAPI itself fails over one that is neither JSON nor text, where a dict is wanted
        def answer(asked: Any = Body(description=body)) -> Any:  # noqa: B008
            try:
                return function(session, asked)
            except IPAdapterError as error:
                raise session.host.refusal(error) from error

        return answer

    save = asked_of(save_reference, "An object: `name`, `unit`, and `overwrite`, whether to replace one of that name")
    more = "each with `image`, `weight`, `crop`, `note`"
    read = asked_of(read_subject, "An object: `name`")
    keep = asked_of(save_subject, f"An object: `name`, `pictures` ({more}), `notes`, `overwrite`")
    delete = asked_of(delete_subject, "An object: `name`")
    export = asked_of(export_subject, "An object: `name`")
    bring = asked_of(import_subject, "An object: `zip` in base64, `name` where it is to have another one, `overwrite`")
    look = asked_of(faces, "An object: `image`, and `model`, the adapter whose face models look, if any")
    measure = asked_of(check, "An object: `unit`, whose pictures are checked")
    drawn = asked_of(
        keypoints, "An object: `image`, `width`, `height`, and if wanted `face` and `place` [x, y, height]"
    )
    routes: tuple[tuple[str, str, Callable[..., Any], Any, str], ...] = (
        ("GET", "version", lambda: {"version": VERSION}, Version, "The extension's version"),
        ("GET", "models", lambda: list_adapters(session), list[Adapter], "Adapter files, those that can run first"),
        ("GET", "encoders", lambda: list_encoders(session), list[Encoder], "Image encoder files"),
        ("GET", "embeds", lambda: list_saved(session), list[Saved], "Saved references"),
        ("GET", "schema", schema, dict[str, Any], "JSON Schema of a unit, to check one before it is sent"),
        ("POST", "rescan", rescan, Counts, "Look for files again"),
        ("POST", "embeds", save, Saved, "Save the references of a unit under a name, unless it is taken"),
        ("GET", "subjects", lambda: list_subjects(session), Subjects, "Subjects, with thumbnails"),
        ("POST", "subjects", keep, Subject, "Save pictures as a subject, unless the name is taken"),
        ("POST", "subjects/read", read, Subject, "A subject with its whole pictures"),
        ("POST", "subjects/delete", delete, Name, "Remove a subject"),
        ("POST", "subjects/export", export, Zip, "A subject as a zip"),
        ("POST", "subjects/import", bring, Subject, "Save the subject in a zip, unless its name is taken"),
        ("POST", "faces", look, Faces, "Find the faces in a picture, numbered as a unit's face means them"),
        ("POST", "check", measure, Checked, "Measure a unit's pictures, show what will be seen of them, and advise"),
        ("POST", "keypoints", drawn, Keypoints, "Draw a face's points, for InstantID's ControlNet"),
    )
    for method, name, answer, model, summary in routes:
        app.add_api_route(
            f"/ipadapter/{name}",
            answer,
            methods=[method],
            dependencies=guards,
            tags=["IP-Adapter"],
            operation_id=f"{method.lower()}_ipadapter_{name.replace('/', '_')}",
            summary=summary,
            response_model=model,
            response_model_exclude_unset=True,
        )


PanelFunction = Callable[[Session, dict[str, Any]], dict[str, Any]]


def panel_list(session: Session, _asked: Mapping[str, Any]) -> dict[str, Any]:
    """Return the files that a panel lets a person choose from."""
    files = {"models": list_adapters(session), "saved": list_saved(session), "asks": list(PANEL)}
    try:
        return {**files, "presets": session.presets.all()}
    except IPAdapterError as error:
        return {**files, "presets": {}, "message": str(error)}


def panel_rescan(session: Session, asked: Mapping[str, Any]) -> dict[str, Any]:
    """Return these files after a new look at the folders."""
    session.preparation.library.rescan()
    return panel_list(session, asked)


def panel_save(session: Session, asked: Mapping[str, Any]) -> dict[str, Any]:
    """Save a unit's references; return all that are saved, and a word for the person."""
    name = save_reference(session, asked)["name"]
    return {"saved": list_saved(session), "message": f"Saved as {name}."}


def panel_plot(_session: Session, asked: Mapping[str, Any]) -> dict[str, Any]:
    """Return a unit's weights at each layer and over the steps, for a `base` model named as in the list of adapters."""
    unit = asked.get("unit")
    if not isinstance(unit, dict):
        raise UnitError("unit", unit, f"must be a unit, not {brief(unit)}.")
    return plotted(read_unit({**unit, "enabled": False}), SDXL if asked.get("base") == "SDXL" else SD)


def panel_save_preset(session: Session, asked: dict[str, Any]) -> dict[str, Any]:
    """Keep a unit's settings as a preset; return all presets, and a word for the person."""
    name = session.presets.save(asked)
    return {"presets": session.presets.all(), "message": f"Saved as {name}."}


def panel_delete_preset(session: Session, asked: dict[str, Any]) -> dict[str, Any]:
    """Forget a preset; return those that are left, and a word for the person."""
    name = session.presets.delete(asked)
    return {"presets": session.presets.all(), "message": f"Deleted {name}."}


def panel_subjects(change: Callable[[Session, Any], dict[str, Any]], done: str) -> PanelFunction:
    """Return what changes a subject and then tells of all subjects, with a word for the person."""

    def changed(session: Session, asked: dict[str, Any]) -> dict[str, Any]:
        name = change(session, asked)["name"]
        return {**list_subjects(session), "message": f"{done} {name}."}

    return changed


def keypoints(session: Session, asked: Any) -> dict[str, Any]:
    """Return the picture of a face's points; see `asked_keypoints`."""
    return asked_keypoints(session.preparation.faces, asked)


PANEL: Mapping[str, PanelFunction] = {
    "list": panel_list,
    "rescan": panel_rescan,
    "save": panel_save,
    "plot": panel_plot,
    "save preset": panel_save_preset,
    "delete preset": panel_delete_preset,
    "subjects": list_subjects,
    "read subject": read_subject,
    "save subject": panel_subjects(save_subject, "Saved as"),
    "delete subject": panel_subjects(delete_subject, "Deleted"),
    "export subject": export_subject,
    "import subject": panel_subjects(import_subject, "Imported as"),
    "faces": faces,
    "check": check,
    "keypoints": keypoints,
}
"""What the panel can ask for. Each function takes the object that the browser sent, without `do` and `id`."""


def panel_answer(session: Session, text: str) -> str:
    """Return the answer to what a panel asks, both as JSON: `do` names what is asked for, and `id` comes back.

    What cannot be done is answered with a sentence, in `message`.
    """
    number = None
    try:
        asked = _object_in(text)
        do, number = asked.pop("do", None), asked.pop("id", None)
        if not isinstance(do, str) or do not in PANEL:
            raise IPAdapterError(f"Nothing is known as {brief(do)}; known are {', '.join(PANEL)}. Reload the page.")
        answer = PANEL[do](session, asked)
    except IPAdapterError as error:
        answer = {"message": str(error)}
    return json.dumps({**answer, "id": number})


def _object_in(text: str) -> dict[str, Any]:
    try:
        asked = json.loads(text)
    except (ValueError, RecursionError):
        asked = None
    if not isinstance(asked, dict):
        raise IPAdapterError(f"What is asked must be a JSON object, not {brief(text)}.")
    return asked


def save_reference(session: Session, asked: Any) -> dict[str, Any]:
    """Save the references of `unit` under `name`; one of that name is replaced only where `overwrite` is true.

    Raises `IPAdapterError` where that cannot be done.
    """
    given = read_object("What is to be saved", asked, ("name", "unit", "overwrite", "task"))
    name = Text().read("name", given.get("name"))
    overwrite = Flag().read("overwrite", given.get("overwrite", False))
    unit = given.get("unit")
    if not isinstance(unit, dict):
        raise UnitError("unit", unit, f"must be a unit with the pictures to save, not {brief(unit)}.")
    read = read_unit({**unit, "enabled": True})
    with session.host.in_turn(Text().read("task", asked.get("task", ""))):
        saved = session.preparation.save(name, read, overwrite)
    return _saved_entry(saved.path.name, saved)


def list_saved(session: Session) -> list[dict[str, Any]]:
    """Return every saved reference, and damaged ones with their fault."""
    opened, damaged = session.preparation.library.saved.all()
    listed = [_saved_entry(name, reference) for name, reference in opened.items()]
    return listed + [{"name": name, "reason": fault} for name, fault in damaged.items()]


def _saved_entry(name: str, reference: SavedReference) -> dict[str, Any]:
    return {
        "name": name,
        "references": len(reference.pictures),
        "tiles": any(picture.places for picture in reference.pictures),
        "holds": list(reference.shapes),
        "encoder": reference.encoder,
        "sha256": reference.digest,
        "reason": "",
    }


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
        "title": found.title.split(" (")[0].removeprefix("an ").removeprefix("a ").removesuffix(" adapter"),
        "reason": reason,
        "short": f"for {found.base}" if found.runs else "not in this version yet",
        **({"note": "", "missing": False} if reason else _encoder_note(session, adapter)),
    }


def _encoder_note(session: Session, adapter: AdapterFile) -> dict[str, Any]:
    """Say what an adapter is, how that is known where files look alike, and what it will see references with; or what
    it misses."""
    library, found = session.preparation.library, adapter.recognised
    try:
        encoder = library.encoder_for(adapter, "auto")
        if found.family.vector:
            find_models(PACKS[found.pack], session.host.folders().faces)
    except IPAdapterError as error:
        return {"note": error.sentence, "missing": True}
    sees = [f"face models {found.pack}"] if found.family.vector else []
    sees += [f"image encoder {encoder.path.name}"] if encoder else []
    told = {"name": " by its name", "hash": " by its hash", "default": ", as far as one can tell"}.get(
        found.told_by, ""
    )
    note = f"{found.title.split(' (')[0].removeprefix('an ').removeprefix('a ')}{told}, {', '.join(sees)}"
    return {"note": note, "missing": False}


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

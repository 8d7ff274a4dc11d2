"""What the panel offers: files, presets, a unit's plot and the likeness report, as JSON values."""

from collections.abc import Callable, Mapping
from typing import Any

from ..base.errors import IPAdapterError
from ..base.json_objects import read_object
from ..engine.session import Session
from ..networks.unet_sites import SD
from ..review.face_preview import finds_faces
from ..review.likeness_report import LikenessReport, report_as_json
from ..unit.read_args import read_own_unit
from ..unit.schedule_plot import SHOWN, plotted
from ..unit.strength import SHIPPED, strengths
from ..weights.bases import BASES, NETWORK_PARTS
from .adapter_uses import suited
from .file_lists import list_adapters, list_encoders, list_saved, loaded_base
from .requests import PANEL


def rescan(session: Session, _asked: Any) -> dict[str, int]:
    """Search for files again; return how many were found."""
    session.preparation.files.rescan()
    return {"models": len(list_adapters(session)), "encoders": len(list_encoders(session))}


def plot(session: Session, asked: Mapping[str, Any]) -> dict[str, Any]:
    """Return a unit's weights at each layer and over the steps.

    The layers are those of the adapter `model`, or without one of the `base` model, named as in the list of adapters.
    """
    unit = read_own_unit(asked.get("unit"), "", enabled=False)
    adapter = session.preparation.files.all_adapters()[0].get(asked.get("model") or "")
    layout = adapter and adapter.layout_or_none
    return plotted(unit, layout or SHOWN.get(asked.get("base") or "", SD))


def panel_lists(session: Session) -> dict[str, Any]:
    """Return the files and presets that a panel offers, and the requests that it can make."""
    models, catalogue = list_adapters(session), session.preparation.files.known.catalogue
    lists: dict[str, Any] = {
        "models": models,
        "finds_faces": finds_faces(session.preparation),
        "titles": {
            model["name"]: catalogue.by_name[model["published"]].title for model in models if model.get("published")
        },
        "suited": suited(models, catalogue),
        "base": loaded_base(session),
        "saved": list_saved(session),
        "asks": list(PANEL),
        "news": session.news.unread,
    }
    faults: list[str] = []
    for part, otherwise in OWN_FILES.items():
        try:
            lists |= part(session)
        except IPAdapterError as error:
            lists |= otherwise
            faults.append(str(error))
    return {**lists, **({"message": " ".join(faults)} if faults else {})}


def saved_references(session: Session) -> dict[str, Any]:
    return {"saved": list_saved(session)}


def presets(session: Session) -> dict[str, Any]:
    """Return the user's presets, the error of each damaged one, and what is not known of others."""
    kept, damaged = session.presets.all()
    return {"presets": kept, "damaged_presets": damaged, "partial_presets": session.presets.partial()}


def own_strengths(session: Session) -> dict[str, Any]:
    """Return the values of the panel's strength slider."""
    bases = {*BASES.values(), *NETWORK_PARTS.values()}
    return {"strengths": strengths(session.host.folders().strengths, bases)}


OWN_FILES: Mapping[Callable[[Session], Mapping[str, Any]], Mapping[str, Any]] = {
    presets: {"presets": {}, "damaged_presets": {}, "partial_presets": {}},
    own_strengths: {"strengths": SHIPPED},
}
"""What users keep in files of their own, each with what takes its place where the file cannot be read."""


def read_news(session: Session, _asked: Any) -> dict[str, Any]:
    """Return what an update changed, which then counts as read."""
    return {"changes": [changes._asdict() for changes in session.news.read()]}


def save_preset(session: Session, asked: Mapping[str, Any]) -> dict[str, Any]:
    """Save a unit's settings as a preset."""
    return {"name": session.presets.save(asked)}


def delete_preset(session: Session, asked: Mapping[str, Any]) -> dict[str, Any]:
    """Delete a preset."""
    return {"name": session.presets.delete(asked)}


def tried(session: Session, asked: Any) -> dict[str, Any]:
    """Return the pictures of a try that the panel has not `seen`, in the order in which they were made.

    `last` is whether it will not ask for them again.
    """
    given = read_object("The request", asked, ("token", "seen", "last"))
    token, seen = given.get("token"), given.get("seen")
    if not (isinstance(token, str) and isinstance(seen, int)):
        raise IPAdapterError("The request must have a token, and the number of pictures that were seen.")
    return session.tried.take(token, seen, given.get("last") is True)


def likeness(report: LikenessReport | None) -> dict[str, Any]:
    """Return the likeness report of the latest generation; an empty one in a host that reports nothing."""
    return report.latest() if report else report_as_json([])

"""Saving a unit as a recipe, and taking one: its adapter is found by hash, whatever its file is called here."""

from collections.abc import Iterator
from typing import Any

from ..base.file_names import read_title
from ..base.json_objects import read_object
from ..engine.session import Session
from ..unit.field_kinds import Flag
from ..unit.read_args import read_own_unit
from ..unit.recipe import ENDING, Adapter, read_recipe, write_recipe
from ..weights.adapter_file import AdapterFile


def save_recipe(session: Session, asked: Any) -> dict[str, str]:
    """Return the text of `unit` as the recipe `name`, with its file name; `pictures` says whether it has those too."""
    given = read_object("The request", asked, ("name", "unit", "pictures"))
    name = read_title("name", given.get("name"))
    pictures = Flag().read("pictures", given.get("pictures", False))
    read = read_own_unit(given.get("unit"), " to save", enabled=False)
    adapter = _described(session, session.preparation.files.adapter_as_known(read.model)) if read.model else Adapter()
    return {"file": name + ENDING, "text": write_recipe(name, given["unit"], adapter, pictures)}


def _described(session: Session, adapter: AdapterFile) -> Adapter:
    title = adapter.recognised.title.removeprefix("an ").removeprefix("a ")
    return Adapter(adapter.path.name, session.preparation.files.known.digests.of(adapter.path), title)


def take_recipe(session: Session, asked: Any) -> dict[str, Any]:
    """Return the unit of a recipe's `text`, with the name of its adapter here, and a note on what does not fit."""
    recipe = read_recipe(read_object("The request", asked, ("text",)).get("text"))
    model, note = _found(session, recipe.adapter)
    kept = (
        session.preparation.files.fault_of(name, recipe.unit[name])
        for name in ("subject", "embeds")
        if recipe.unit.get(name)
    )
    notes = [each for each in (note, *kept, *recipe.notes) if each]
    return {"unit": {**recipe.unit, "model": model}, "note": " ".join(notes)}


def _found(session: Session, adapter: Adapter) -> tuple[str, str]:
    """Return the name of a recipe's adapter here, or "", and what is to be said about it."""
    if not adapter.file:
        return "", ""
    paths = session.preparation.files.adapters.paths()
    digests = session.preparation.files.known.digests
    called = [path for path in paths if path.name == adapter.file]
    for path in (*called, *_candidates(session, adapter)):
        if adapter.sha256 and digests.of(path) == adapter.sha256:
            said = "" if path in called else f"Its adapter {adapter.file} is called {path.name} here."
            return paths[path], said
    if called:
        return paths[called[0]], f"{adapter.file} has another content here than in the recipe, so results may differ."
    kind = f" ({adapter.title})" if adapter.title else ""
    return "", f"Its adapter {adapter.file}{kind} is not here. Get it, or choose another one."


def _candidates(session: Session, adapter: Adapter) -> Iterator[Any]:
    """Yield the adapters of the same kind; only these are worth hashing."""
    opened, _ = session.preparation.files.all_adapters()
    yield from (each.path for each in opened.values() if each.recognised.title.endswith(adapter.title))

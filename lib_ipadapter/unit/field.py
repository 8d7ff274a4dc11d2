"""The declaration of a field: everything that the API, the panel, presets, parameters and plots need to know of it."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .field_kinds import Kind

FRONT = ""
LAYERS, FACE, REFERENCES, REGION = "Layers and steps", "Face", "References", "Region"
NEGATIVE, COMPOSITION = "Negative references", "Composition references"

GROUPS: Mapping[str, str] = {
    FRONT: "",
    LAYERS: "",
    FACE: "Pictures that show a real person's likeness need that person's consent. insightface's models, which find "
    "faces, are licensed for non-commercial research only.",
    REFERENCES: "",
    REGION: "",
    NEGATIVE: "",
    COMPOSITION: "",
}
"""The panel's groups in order, and a note above the controls of each. All but the first are folded."""


@dataclass(frozen=True)
class Field:
    """One field of a unit."""

    kind: Kind
    default: Any
    label: str
    """In the panel, in parameters and in plots; parameters of older pictures hold it, so it stays."""
    help: str
    name: str = ""
    """In the API and everywhere outside the code."""
    attribute: str = ""
    """Of the `Unit`; differs from the name only where that is a Python keyword."""

    group: str | None = None
    """The panel's group, one of `GROUPS`; None for what the panel draws by itself."""
    late: bool = False
    """Whether the control stands behind those of its group that are not late."""
    slider: tuple[float, float] | None = None
    """Range of the slider, where values beyond it are rare; the number beside it takes all."""
    plot_cost: float = 0.0
    """What a change costs the X/Y/Z plot, 0..1: it changes costly ones as rarely as it can. A checkpoint is 1."""

    when: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict[str, tuple[str, ...]])
    """Fields and those of their values with which this one has a meaning."""
    by_family: bool = False
    """Whether the field has a meaning only for adapters whose family lists it."""

    infotext: bool = True
    """Whether a picture's parameters show it, where it differs from the default."""
    always: bool = False
    """Whether they show the default too."""
    axis: bool = True
    """Whether the X/Y/Z plot has an axis of it."""
    preset: bool = True
    """Whether a preset keeps it."""

    @property
    def json_default(self) -> Any:
        return list(self.default) if isinstance(self.default, tuple) else self.default


def declared(kind: Kind, default: Any, label: str, text: str, **more: Any) -> Any:
    """Return a dataclass field that carries its declaration."""
    return dataclasses.field(default=default, metadata={"field": Field(kind, default, label, text, **more)})


def fields_of(unit: type[Any]) -> dict[str, Field]:
    """Return the declarations in a class body, by name and in order."""
    found: dict[str, Field] = {}
    for each in dataclasses.fields(unit):
        field: Field = each.metadata["field"]
        name = field.name or each.name
        found[name] = dataclasses.replace(field, name=name, attribute=each.name)
    return found

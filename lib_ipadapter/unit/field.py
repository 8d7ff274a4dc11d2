"""The declaration of a field: everything that the API, the panel, presets, infotext and plots need to know about it."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .field_kinds import Kind

FRONT = ""
STEPS, LAYERS, FACE, REFERENCES, REGION = "Steps", "Layers and weight types", "Face", "References", "Region"
NEGATIVE, COMPOSITION = "Negative references", "Composition references"

GROUPS: Mapping[str, str] = {
    FRONT: "",
    STEPS: "",
    LAYERS: "",
    FACE: "Get a person's consent before you generate pictures with their likeness. insightface's face models are "
    "licensed for non-commercial research only.",
    REFERENCES: "",
    REGION: "",
    NEGATIVE: "",
    COMPOSITION: "",
}
"""The panel's groups in order, each with a note above its controls. All but the first are collapsed."""


@dataclass(frozen=True)
class Field:
    """One field of a unit."""

    kind: Kind
    default: Any
    label: str
    """Label in the panel, infotext and plots. Must not change, because infotext of older pictures has it."""
    help: str
    name: str = ""
    """Name in the API and everywhere outside the code."""
    attribute: str = ""
    """Attribute of `Unit`; differs from the name only where that is a Python keyword."""

    group: str | None = None
    """Group in the panel, one of `GROUPS`; None for fields without a generic control."""
    late: bool = False
    """Whether the control comes after those of its group that are not late."""
    slider: tuple[float, float] | None = None
    """Range of the slider, where it is narrower than the allowed range; the number input accepts all values."""
    plot_cost: float = 0.0
    """Cost of changing it in the X/Y/Z plot, which changes costly fields least often: 0..1; a checkpoint has 1."""

    when: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict[str, tuple[str, ...]])
    """Other fields, with the values for which this field has an effect."""
    by_family: bool = False
    """Whether the field applies only to adapters whose family lists it."""

    infotext: bool = True
    """Whether infotext includes it if it differs from the default."""
    always: bool = False
    """Whether infotext includes the default too."""
    axis: bool = True
    """Whether the X/Y/Z plot has an axis for it."""
    preset: bool = True
    """Whether presets save it."""

    @property
    def json_default(self) -> Any:
        return list(self.default) if isinstance(self.default, tuple) else self.default


def declared(kind: Kind, default: Any, label: str, text: str, **more: Any) -> Any:
    """Return a dataclass field that carries its declaration."""
    return dataclasses.field(default=default, metadata={"field": Field(kind, default, label, text, **more)})


def fields_of(unit: type[Any]) -> dict[str, Field]:
    """Return the declarations in a class body, by name, in order."""
    found: dict[str, Field] = {}
    for each in dataclasses.fields(unit):
        field: Field = each.metadata["field"]
        name = field.name or each.name
        found[name] = dataclasses.replace(field, name=name, attribute=each.name)
    return found

"""The frozen `Unit`, one image prompt as the user set it, and the declaration of each of its fields.

The class body is the only list of fields: API, panel, infotext, presets and plots are derived from it. To add a field,
declare it here and use its value.
"""

from dataclasses import dataclass
from typing import Any

from ..networks.orthogonal import METHODS
from ..networks.scaling import SCALED
from ..pictures.noise import NOISES
from .combine import COMBINES
from .curves import CURVES
from .field import COMPOSITION, FACE, FRONT, LAYERS, NEGATIVE, REFERENCES, REGION, STEPS, declared, fields_of
from .field_kinds import (
    AdapterName,
    Choice,
    Face,
    Flag,
    LayerPoints,
    Number,
    OptionalNumber,
    Points,
    Region,
    SavedName,
    SubjectName,
    Text,
    WeightType,
    Whole,
)
from .passes import INNER, PASSES
from .picture_fields import CROP, Mask, Picture, Pictures
from .weight_types import WEIGHT_TYPES, types_that_use

VARIANTS = ("auto", "v1", "v2", "unnorm", "InstantID")
"""Names of all variants in the table of families, and `auto`."""

PICTURE_FIELDS = ("images", "composition_images", "negative_images")


@dataclass(frozen=True)
class Unit:
    """One image prompt as the user set it, with validated values."""

    enabled: bool = declared(Flag(), True, "Enabled", "Whether the unit is used.", infotext=False, preset=False)
    model: str = declared(
        AdapterName(),
        "",
        "Adapter",
        "File name of the adapter, with or without folder and extension.",
        infotext=False,  # the name of the file that was found is written instead
        plot_cost=0.4,
        preset=False,  # saved next to the settings, and only if an adapter is chosen
    )
    images: tuple[Picture, ...] = declared(
        Pictures(), (), "References", "Pictures that guide the result.", preset=False
    )
    negative_images: tuple[Picture, ...] = declared(
        Pictures(),
        (),
        "Negative references",
        "Pictures the result should not resemble: the image counterpart of the negative prompt.",
        group=NEGATIVE,
        preset=False,
    )
    composition_images: tuple[Picture, ...] = declared(
        Pictures(),
        (),
        "Composition references",
        "Pictures for the composition layers, instead of the references.",
        group=COMPOSITION,
        preset=False,
    )
    subject: str = declared(
        SubjectName(),
        "",
        "Subject",
        "Name of a saved set of pictures to add to the references.",
        group=REFERENCES,
        preset=False,
    )
    embeds: str = declared(
        SavedName(),
        "",
        "Saved reference",
        "Name of saved image features (embeds) to use instead of pictures.",
        group=REFERENCES,
        preset=False,
    )
    weight: float = declared(
        Number(-5, 5),
        1.0,
        "Weight",
        "1 is the strength used in training, 0 is off. Negative values push the result away from the references.",
        group=FRONT,
        slider=(-1, 2),
        always=True,
    )
    hires_weight: float | None = declared(
        OptionalNumber(-5, 5),
        None,
        "Hires weight",
        "Weight in the second pass of hires fix, if different.",
        group=STEPS,
        late=True,
    )
    weight_type: str = declared(
        WeightType(WEIGHT_TYPES),
        "linear",
        "Weight type",
        "How the weight is distributed over the layers.",
        group=LAYERS,
    )
    composition_weight: float = declared(
        Number(-5, 5),
        1.0,
        "Composition weight",
        "Weight of the composition layers, for weight types with style and composition.",
        group=LAYERS,
        when={"weight_type": types_that_use("composition_weight")},
    )
    style_boost: float = declared(
        Number(-5, 5),
        1.0,
        "Style boost",
        "How strongly style transfer precise pushes the layout away from the reference.",
        group=LAYERS,
        when={"weight_type": types_that_use("style_boost")},
    )
    composition_boost: float = declared(
        Number(-5, 5),
        0.0,
        "Composition boost",
        "How strongly composition precise pushes the style away from the reference.",
        group=LAYERS,
        when={"weight_type": types_that_use("composition_boost")},
    )
    layers: str = declared(
        LayerPoints(0, 56),
        "",
        "Layers",
        "Weights of individual layers, such as 6:1, 3:0.5, multiplied by the weight. Layers not listed are off.",
        group=LAYERS,
    )
    curve: str = declared(
        Points(0, 1, tuple(CURVES)),
        "",
        "Curve",
        "Change from start (0) to end (1): linear in, linear out, cosine in, cosine out, or points such as 0:1, 0.6:0.",
        group=STEPS,
    )
    scaling: str = declared(
        Choice(tuple(SCALED)),
        "V only",
        "Scaling",
        "What the weight multiplies: only the values (V), or the keys (K) too.",
        group=LAYERS,
    )
    combine: str = declared(
        Choice(COMBINES), "concat", "Combine", "How several references are combined.", group=REFERENCES
    )
    start: float = declared(
        Number(0, 1), 0.0, "Start", "When the unit starts, as a fraction of the steps.", group=FRONT
    )
    end: float = declared(Number(0, 1), 1.0, "End", "When the unit stops, as a fraction of the steps.", group=FRONT)
    mask: str | None = declared(
        Mask(),
        None,
        "Region",
        "Attention mask: the unit applies fully where it is white, partly where it is grey, and not where it is black.",
        group=REGION,
        axis=False,
        preset=False,
    )
    region: str = declared(
        Region(),
        "",
        "Place",
        "Region as text, such as left half, or left to right to give each reference or face its own region.",
        group=REGION,
        preset=False,
    )
    crop: str = declared(CROP, "center", "Crop", "How each reference is made square for the encoder.", group=REFERENCES)
    tiles: bool = declared(
        Flag(),
        False,
        "Tiles",
        "Encode each reference in square tiles that each apply to their own part of the picture.",
        group=REFERENCES,
    )
    enhance: int = declared(
        Whole(1, 16),
        1,
        "Enhance",
        "Squares along each side of a reference, encoded along with the whole for more detail; 1 is the whole alone.",
        group=REFERENCES,
    )
    enhance_ratio: float = declared(
        Number(0, 1),
        0.5,
        "Enhance ratio",
        "Share of the whole picture when it is mixed with the squares.",
        group=REFERENCES,
    )
    unfold: bool = declared(
        Flag(),
        False,
        "One each",
        "Use the first reference for the first picture of a batch, the second for the second, etc. (unfold batch).",
        group=REFERENCES,
    )
    noise: float = declared(
        Number(0, 1),
        0.0,
        "Noise",
        "Strength of the noise pictures used as negative references.",
        group=NEGATIVE,
        late=True,
        when={"noise_type": tuple(NOISES)},
    )
    noise_type: str = declared(
        Choice(("none", *NOISES)),
        "none",
        "Noise type",
        "How noise pictures are made from the references.",
        group=NEGATIVE,
    )
    face: str | int = declared(
        Face(),
        "largest",
        "Face",
        "Which face in a reference to use: by position, by number (0 is the largest), or all.",
        group=FACE,
        by_family=True,
    )
    structure_weight: float = declared(
        Number(-5, 5),
        1.0,
        "Face structure",
        "FaceID Plus v2: weight of the face's CLIP features relative to its face embedding.",
        group=FACE,
        slider=(0, 2),
        by_family=True,
    )
    lora_weight: float = declared(
        Number(-5, 5),
        1.0,
        "LoRA weight",
        "Weight of FaceID's LoRA; 0 is off.",
        group=FACE,
        slider=(0, 2),
        by_family=True,
    )
    method: str = declared(
        Choice(tuple(METHODS)),
        "fidelity",
        "PuLID method",
        "PuLID: fidelity favours the likeness, style the prompt; neutral adds the face as other adapters do.",
        group=FACE,
        by_family=True,
    )
    id_mix: bool = declared(
        Flag(),
        False,
        "Mix identities",
        "PuLID v1: use the further references in full, instead of the face embedding alone.",
        group=FACE,
        by_family=True,
    )
    variant: str = declared(
        Choice(VARIANTS),
        "auto",
        "Variant",
        "Which variant the adapter is, where its tensors do not show it; auto decides by file name or hash.",
        group=FACE,
        by_family=True,
    )
    passes: str = declared(
        Choice(tuple(PASSES)),
        "both",
        "Pass",
        "Passes of hires fix in which the unit is active.",
        name="pass",
        group=STEPS,
    )
    inner: str = declared(
        Choice(tuple(INNER)),
        "all",
        "Inner generations",
        "Whether the unit is used for the picture, for ADetailer's inner generations, or for both.",
        group=STEPS,
    )
    encoder: str = declared(
        Text(),
        "auto",
        "Image encoder",
        "CLIP vision file; auto picks one that matches the adapter.",
        group=REFERENCES,
        plot_cost=0.5,
    )
    encoder_size: int = declared(
        Whole(0, 896),
        0,
        "Encoder size",
        "Size in pixels at which the image encoder sees a reference; 0 is that of its training. Some adapters use 448.",
        group=REFERENCES,
        plot_cost=0.5,
    )

    def pictures_on(self, name: str) -> dict[str, Picture]:
        """Return the pictures of a field that are not switched off, by their own field, such as `images[0]`."""
        given: tuple[Picture, ...] = getattr(self, name)
        return {f"{name}[{i}]": picture for i, picture in enumerate(given) if picture.enabled}

    @property
    def has_references(self) -> bool:
        return bool(self.pictures_on("images") or self.subject or self.embeds)


FIELDS = fields_of(Unit)
"""Every field by its public name."""


def schema() -> dict[str, Any]:
    """Return the JSON Schema of a unit."""
    properties = {
        name: {
            **field.kind.schema(),
            "default": field.json_default,
            "title": field.label,
            "description": field.help,
        }
        for name, field in FIELDS.items()
    }
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "IP-Adapter unit",
        "type": "object",
        "additionalProperties": False,
        "properties": properties,
        "if": {"properties": {"enabled": {"const": False}}, "required": ["enabled"]},
        "else": {**_filled("model"), "oneOf": [{"anyOf": [_filled("images"), _filled("subject")]}, _filled("embeds")]},
    }


def _filled(name: str) -> dict[str, Any]:
    """Return the schema of an object in which a field is present and not empty."""
    return {"required": [name], "properties": {name: dict(FIELDS[name].kind.filled)}}

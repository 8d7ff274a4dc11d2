"""Translates ControlNet units, as API clients send them, so that such clients only have to change the script's key.

Source: Mikubill/sd-webui-controlnet 1.1.455, internal_controlnet/args.py (fields), scripts/enums.py (values). Forge's
differ only in some names.
"""

from collections.abc import Callable, Mapping
from typing import Any

from ..base.errors import UnitError, brief

RENAMED = {
    "guidance_start": "start",
    "guidance_end": "end",
    "guidance": "end",
    "effective_region_mask": "mask",
}
"""ControlNet's fields that have another name here."""

KEPT = ("enabled", "model", "weight")
"""Fields with the same name and meaning."""

WITHOUT_EFFECT = (
    "resize_mode",
    "low_vram",
    "lowvram",
    "processor_res",
    "threshold_a",
    "threshold_b",
    "pixel_perfect",
    "control_mode",
    "save_detected_map",
    "inpaint_crop_input_image",
    "is_ui",
    "input_mode",
    "output_dir",
    "union_control_type",
    "pulid_mode",
    "use_preview_as_input",
    "generated_image",
)
"""Fields that have no effect on IP-Adapter in ControlNet either."""

REFUSED = {
    "mask": "hides part of the reference in ControlNet. Make that part of the reference transparent instead; for a "
    "region of the picture, send effective_region_mask.",
    "ipadapter_input": "is a pickled file, which could run code. Send the picture as image instead.",
    "loopback": "uses each result as the next reference. Send the result as image instead.",
    "batch_images": "names a folder on the server. Send the pictures in image instead.",
    "batch_mask_dir": "names a folder on the server. Send effective_region_mask instead.",
    "batch_image_files": "names files on the server. Send the pictures in image instead.",
    "batch_keyframe_idx": "sets a picture for each AnimateDiff frame, which is not supported. Leave it out.",
    "animatediff_batch": "sets a picture for each AnimateDiff frame, which is not supported. Leave it out.",
    "batch_modifiers": "sets a picture for each AnimateDiff frame, which is not supported. Leave it out.",
}
"""Fields that are not supported unless they are empty, and what to do instead."""

ALIASES = {"input_image": "image", "mask_image": "mask"}
"""Names in older versions and in Forge."""

PASSES = {"Both": "both", "Low res only": "base", "High res only": "hires"}
"""ControlNet's `hr_option` -> `pass`."""

NOTHING = (None, "", False, [], {})

LIKE_CONTROLNET = {"crop": "squash", "combine": "average tokens"}
"""Settings that match ControlNet's behaviour, apart from its bugs: it squashes references, and averages several."""


def is_controlnets(given: Mapping[str, Any]) -> bool:
    """Return whether an object is a ControlNet unit: it has a field that only those have."""
    return any(key in FIELDS and key not in (*KEPT, "mask") for key in given)


def from_controlnet(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return a ControlNet unit translated to a unit of this extension, and any other object unchanged.

    Fields of both may be mixed. Raises `UnitError` for unsupported fields.
    """
    if not is_controlnets(given):
        return dict(given)
    unit: dict[str, Any] = {}
    for key, value in given.items():
        for name, translated in TRANSLATED.get(ALIASES.get(key, key), _as_it_is)(key, value).items():
            if name in unit:
                raise UnitError(key, value, f"means the same as {name}; use only one of them.")
            unit[name] = translated
    if "layers" in unit:
        unit["weight"] = 1.0  # advanced_weighting replaces it in ControlNet
    pictures = unit.get("images")
    several = isinstance(pictures, list) and len(pictures) > 1
    return {name: how for name, how in LIKE_CONTROLNET.items() if name == "crop" or several} | unit


Translation = Callable[[str, Any], dict[str, Any]]


def _as_it_is(key: str, value: Any) -> dict[str, Any]:
    return {key: value}


def _renamed(key: str, value: Any) -> dict[str, Any]:
    return {} if value is None else {RENAMED[key]: value}


def _without_effect(_key: str, _value: Any) -> dict[str, Any]:
    return {}


def _refused(key: str, value: Any) -> dict[str, Any]:
    if value not in NOTHING:
        raise UnitError(key, value, REFUSED[ALIASES.get(key, key)])
    return {}


def _module(key: str, value: Any) -> dict[str, Any]:
    """Accept any IP-Adapter preprocessor: which one does not matter, because the adapter file shows its encoder."""
    if value is None:
        return {}
    name = value.lower().replace("-", "").replace("_", "") if isinstance(value, str) else ""
    if "ipadapter" not in name:
        raise UnitError(
            key,
            value,
            f"must be a preprocessor for IP-Adapter, such as ip-adapter-auto or ip-adapter_clip_h; not "
            f"{brief(value)}. Send units with other preprocessors to ControlNet.",
        )
    return {}


def _model(key: str, value: Any) -> dict[str, Any]:
    return {key: "" if value in (None, "None") else value}


def _image(key: str, value: Any) -> dict[str, Any]:
    """Translate a picture, an object with a picture and a mask, or a list of these; refuse a [picture, mask] pair."""
    if value is None:
        return {}
    pictures = value if isinstance(value, list) else [value]
    if len(pictures) == 2 and all(isinstance(picture, str) for picture in pictures):
        raise UnitError(
            key,
            "two pictures",
            "is a picture and its mask, as ControlNet reads a list of two texts. Send several pictures as objects "
            f"with image. The mask {REFUSED['mask']}",
        )
    return {"images": [_picture(key, picture) for picture in pictures if picture is not None]}


def _picture(key: str, value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    _refused("mask", value.get("mask"))
    return {name: each for name, each in value.items() if name != "mask"}


def _hires(key: str, value: Any) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, str) or value not in PASSES:
        raise UnitError(key, value, f"must be one of {', '.join(PASSES)}; not {brief(value)}.")
    return {"pass": PASSES[value]}


def _layers(key: str, value: Any) -> dict[str, Any]:
    """Translate a list of weights, one per layer in execution order, which replaces the single weight."""
    if value is None:
        return {}
    if not isinstance(value, list) or not all(type(weight) in (int, float) for weight in value):
        raise UnitError(key, value, f"must be a list of numbers, one per layer; not {brief(value)}.")
    return {"layers": ", ".join(f"{layer}:{weight:.12g}" for layer, weight in enumerate(value))}


TRANSLATED: Mapping[str, Translation] = {
    **dict.fromkeys(RENAMED, _renamed),
    **dict.fromkeys(WITHOUT_EFFECT, _without_effect),
    **dict.fromkeys(REFUSED, _refused),
    **dict.fromkeys(KEPT, _as_it_is),
    "model": _model,
    "module": _module,
    "image": _image,
    "hr_option": _hires,
    "advanced_weighting": _layers,
}
FIELDS = frozenset(TRANSLATED) | frozenset(ALIASES)

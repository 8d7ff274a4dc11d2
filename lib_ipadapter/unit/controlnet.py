"""Units as clients of ControlNet send them, translated into those of this extension: for them only one key changes.

Source: Mikubill/sd-webui-controlnet 1.1.455, internal_controlnet/args.py (fields), scripts/enums.py (values); Forge's
are the same but for some names.
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
"""Fields of ControlNet that are fields here under other names."""

KEPT = ("enabled", "model", "weight")
"""Fields that mean the same under the same name."""

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
"""Fields that change nothing in ControlNet's IP-Adapter, either."""

REFUSED = {
    "mask": "hides a part of the reference in ControlNet. Send a reference that is transparent there instead; for a "
    "region of the picture, send effective_region_mask.",
    "ipadapter_input": "holds a pickled file, which could run code. Send the picture as image instead.",
    "loopback": "makes a reference of each result. Send the result as image instead.",
    "batch_images": "names a folder on the server. Send the pictures in image instead.",
    "batch_mask_dir": "names a folder on the server. Send effective_region_mask instead.",
    "batch_image_files": "names files on the server. Send the pictures in image instead.",
    "batch_keyframe_idx": "gives AnimateDiff a picture for each frame, which these units cannot. Leave it out.",
    "animatediff_batch": "gives AnimateDiff a picture for each frame, which these units cannot. Leave it out.",
    "batch_modifiers": "gives AnimateDiff a picture for each frame, which these units cannot. Leave it out.",
}
"""Fields that cannot be followed, unless they are empty, and what to do instead."""

ALIASES = {"input_image": "image", "mask_image": "mask"}
"""Older names, and Forge's."""

PASSES = {"Both": "both", "Low res only": "base", "High res only": "hires"}
"""ControlNet's `hr_option` -> `pass`."""

NOTHING = (None, "", False, [], {})

LIKE_CONTROLNET = {"crop": "squash", "combine": "average tokens"}
"""What makes the picture that ControlNet would, but for its errors: it squashes references, and averages several."""


def is_controlnets(given: Mapping[str, Any]) -> bool:
    """Return whether an object is a unit of ControlNet: it has a field that only those have."""
    return any(key in FIELDS and key not in (*KEPT, "mask") for key in given)


def from_controlnet(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return an object of ControlNet's as a unit of this extension, and any other object as it is.

    Fields of this extension may stand among the others. Raises `UnitError` for what cannot be followed.
    """
    if not is_controlnets(given):
        return dict(given)
    unit: dict[str, Any] = {}
    for key, value in given.items():
        for name, translated in TRANSLATED.get(ALIASES.get(key, key), _as_it_is)(key, value).items():
            if name in unit:
                raise UnitError(key, value, f"says what {name} says, too; leave one of them out.")
            unit[name] = translated
    if "layers" in unit:
        unit["weight"] = 1.0  # which advanced_weighting replaces
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
    """The adapter file shows which encoder it needs, so of the preprocessor only its kind matters."""
    if value is None:
        return {}
    name = value.lower().replace("-", "").replace("_", "") if isinstance(value, str) else ""
    if "ipadapter" not in name:
        raise UnitError(
            key,
            value,
            f"must be one of ControlNet's for IP-Adapter, such as ip-adapter-auto or ip-adapter_clip_h; not "
            f"{brief(value)}. Send units for other preprocessors to ControlNet.",
        )
    return {}


def _model(key: str, value: Any) -> dict[str, Any]:
    return {key: "" if value in (None, "None") else value}


def _image(key: str, value: Any) -> dict[str, Any]:
    """A picture, an object with a picture and a mask, a list of such objects, or a list of a picture and its mask."""
    if value is None:
        return {}
    pictures = value if isinstance(value, list) else [value]
    if len(pictures) == 2 and all(isinstance(picture, str) for picture in pictures):
        raise UnitError(
            key,
            "two pictures",
            "holds a picture and a mask of it, where ControlNet's list has two texts. Send several pictures as "
            f"objects with image; of the mask, it {REFUSED['mask']}",
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
    """A weight for each layer in the order in which the U-Net runs them, in place of the one weight."""
    if value is None:
        return {}
    if not isinstance(value, list) or not all(type(weight) in (int, float) for weight in value):
        raise UnitError(key, value, f"must be a list of numbers, one a layer; not {brief(value)}.")
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

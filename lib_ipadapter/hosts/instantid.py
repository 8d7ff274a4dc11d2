"""Recognises InstantID's models in the ControlNet extension and in Forge's built-in ControlNet."""

from collections.abc import Collection
from typing import Any

WORD = "instantid"
"""Part of the names of InstantID's ControlNets, whose tensors do not identify them; only letters and digits are
compared. The ControlNet extension looks for `instant_id`."""


def controlnet_scripts(p: Any) -> list[Any]:
    """Return ControlNet's scripts in a generation; other scripts may have the title None."""
    return [script for script in p.scripts.alwayson_scripts if str(script.title()).lower() == "controlnet"]


def is_instantid(name: object) -> bool:
    """Return whether a model with this name is InstantID's ControlNet."""
    return WORD in "".join(filter(str.isalnum, str(name).lower()))


def controlnets_without_adapter(models: Collection[str]) -> list[str]:
    """Return InstantID's ControlNets among the models in use, unless one of its adapters is also in use."""
    named = sorted(filter(is_instantid, models))
    controlnets = [name for name in named if "adapter" not in name]
    return controlnets if len(controlnets) == len(named) else []

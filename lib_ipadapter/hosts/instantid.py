"""Which of ControlNet's models are InstantID's, in the ControlNet extension and in the one built into Forge."""

from collections.abc import Collection
from typing import Any

WORD = "instantid"
"""Part of the names of InstantID's ControlNets, of which only letters and digits are compared: their tensors do not
show what they are. The ControlNet extension looks for `instant_id`."""


def controlnet_scripts(p: Any) -> list[Any]:
    """Return ControlNet's scripts in a generation; the title of another extension's may be None."""
    return [script for script in p.scripts.alwayson_scripts if str(script.title()).lower() == "controlnet"]


def is_instantid(name: object) -> bool:
    """Return whether a model of this name is InstantID's."""
    return WORD in "".join(filter(str.isalnum, str(name).lower()))


def controlnets_without_adapter(models: Collection[str]) -> list[str]:
    """Return InstantID's ControlNets among the names of models in use, unless one of its adapters is among them."""
    named = sorted(filter(is_instantid, models))
    controlnets = [name for name in named if "adapter" not in name]
    return controlnets if len(controlnets) == len(named) else []

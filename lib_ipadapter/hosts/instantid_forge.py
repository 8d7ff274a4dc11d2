"""Feeds units' image tokens to InstantID's ControlNet in the Forge family's built-in ControlNet, in place of text.

The text conditioning is an argument of each ControlNet call, next to the options with the marks of rows. For one pass,
all ControlNets are called through our wrappers, which replace it. The wrappers are set on the copies that the web UI
makes of its ControlNets for each pass, and removed afterwards; no patcher or network is changed.

Source: Forge's extensions-builtin/sd_forge_controlnet/scripts/controlnet.py (`current_params`), and
backend/patcher/controlnet.py (`apply_controlnet_advanced`, `ControlNet.get_control`); reForge and Forge Classic have
these in ldm_patched/modules/controlnet.py.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor

from ..base.errors import IPAdapterError
from .instantid import controlnet_scripts, is_instantid

TEXT = "ip_adapter_text"
"""Key in a ControlNet's arguments for the original text conditioning, for the ControlNets before it in the chain."""

Tokens = Callable[[int, Mapping[str, Any], Tensor], Tensor]
"""(number of InstantID's ControlNet, options of the call, text: (rows, tokens, width)) -> its image tokens."""


def networks_of(p: Any) -> list[Any]:
    """Return the networks of InstantID's ControlNets in a generation, in the order of ControlNet's units."""
    (extension, *_) = controlnet_scripts(p)
    units = extension.get_enabled_units(p.script_args[extension.args_from : extension.args_to])
    loaded = extension.current_params  # excludes units that failed, if the web UI continues without them
    named = [(number, unit.model) for number, unit in enumerate(units) if is_instantid(unit.model)]
    return [_network(loaded[number].model, name) for number, name in named if number in loaded]


def _network(model: Any, name: str) -> Any:
    network = getattr(getattr(model, "model_patcher", None), "control_model", None)
    if network is None:
        raise IPAdapterError(
            f"expected {name} to be InstantID's ControlNet, by its name, but it is a {type(model).__name__}. "
            "Choose another model in that ControlNet's unit, or switch the unit off."
        )
    return network


class Feeding:
    """Feeds image tokens to InstantID's ControlNets during one pass."""

    def __init__(self, networks: Sequence[Any], tokens: Tokens) -> None:
        self._networks = networks
        self._tokens = tokens
        self._fed: list[Any] = []

    def put_on(self, patcher: Any) -> None:
        """Feed the ControlNets of a patcher from now on; does nothing if they are already fed."""
        found = patcher.list_controlnets() if self._networks else []
        if found == self._fed:
            return
        self.take_off()
        left = list(enumerate(self._networks))
        for controlnet in reversed(found):  # the chain starts with the last unit's
            own = next((each for each in left if each[1] is getattr(controlnet, "control_model", None)), None)
            if own:
                left.remove(own)
            controlnet.get_control = FedCall(controlnet.get_control, self._tokens, own[0] if own else None)
        self._fed = found

    def take_off(self) -> None:
        for controlnet in self._fed:
            del controlnet.get_control
        self._fed = []


class FedCall:
    """Wraps the call of a ControlNet, which itself calls the one before it in the chain with its own arguments."""

    def __init__(self, call: Callable[..., Any], tokens: Tokens, number: int | None) -> None:
        self._call, self._tokens, self._number = call, tokens, number

    def __call__(self, x: Tensor, timestep: Any, cond: Mapping[str, Any], *rest: Any) -> Any:
        text = cond.get(TEXT, cond["c_crossattn"])
        seen = text if self._number is None else self._tokens(self._number, cond["transformer_options"], text)
        return self._call(x, timestep, {**cond, "c_crossattn": seen, TEXT: text}, *rest)

"""InstantID's ControlNet among those built into the Forge family: it sees image tokens instead of the text.

What a ControlNet sees is an argument of each call, beside the options in which the web UI says what the rows are. So
for one pass all of them are called through objects of ours, which pass on other arguments. These are put on the copies
that the web UI makes of its ControlNets for each pass, and taken off after it; no patcher or network is touched.

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
"""Key, in what a ControlNet is called with, of the text that those before it in the chain are to see."""

Tokens = Callable[[int, Mapping[str, Any], Tensor], Tensor]
"""(number of InstantID's ControlNet, options of the call, text: (rows, tokens, width)) -> what it sees, as long."""


def networks_of(p: Any) -> list[Any]:
    """Return the networks of InstantID's ControlNets in a generation, in the order of their units."""
    (extension, *_) = controlnet_scripts(p)
    units = extension.get_enabled_units(p.script_args[extension.args_from : extension.args_to])
    loaded = extension.current_params  # without units that failed, where the web UI goes on without these
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
    """What InstantID's ControlNets see during one pass."""

    def __init__(self, networks: Sequence[Any], tokens: Tokens) -> None:
        self._networks = networks
        self._tokens = tokens
        self._fed: list[Any] = []

    def put_on(self, patcher: Any) -> None:
        """Feed the ControlNets of a patcher from now on; harmless where they are fed already."""
        found = patcher.list_controlnets() if self._networks else []
        if found == self._fed:
            return
        self.take_off()
        left = list(enumerate(self._networks))
        for controlnet in reversed(found):  # the first unit's is the last of the chain
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
    """Replaces the call of a ControlNet, which calls the one before it in the chain with its own arguments."""

    def __init__(self, call: Callable[..., Any], tokens: Tokens, number: int | None) -> None:
        self._call, self._tokens, self._number = call, tokens, number

    def __call__(self, x: Tensor, timestep: Any, cond: Mapping[str, Any], *rest: Any) -> Any:
        text = cond.get(TEXT, cond["c_crossattn"])
        seen = text if self._number is None else self._tokens(self._number, cond["transformer_options"], text)
        return self._call(x, timestep, {**cond, "c_crossattn": seen, TEXT: text}, *rest)

"""InstantID's ControlNet in the ControlNet extension: it sees image tokens of a unit in the place of the text.

Left alone, the extension takes them from an IP-Adapter unit of its own that stands right before the ControlNet, and
fails without one. So for one generation such a ControlNet is loaded there like any other, and what it sees is set
once all is ready, in the way that the extension has for it: no module is touched, and whoever comes first is the same.

Source: Mikubill/sd-webui-controlnet 1.1.455, scripts/controlnet.py (`controlnet_main_entry`, `load_control_model`) and
scripts/hook.py (`control_context_override`).
"""

import sys
from collections.abc import Callable, Collection, Generator
from contextlib import contextmanager
from functools import partial
from typing import Any

from torch import Tensor

from ..base.errors import IPAdapterError
from ..port import SamplingRunPort

CONTEXTS = "ip_adapter_contexts"
"""Attribute of a generation's record that holds what its ControlNets see."""

ENTRY = "controlnet_main_entry"
"""What the extension calls once a generation, or with a refiner once a batch, to load and set up its units."""

LOADER = "load_control_model"
"""What the extension's class loads a ControlNet with, and tells its type by."""

TITLE = "controlnet"
WORD = "instantid"
"""What the names of InstantID's ControlNets hold, of which letters and digits alone are compared; their tensors do not
tell. The extension asks for `instant_id`."""


UNITS_ABSENT = (
    "expected units at work when InstantID's ControlNet is called, but there are none: another extension calls the "
    "U-Net by itself. Switch that extension, or InstantID's ControlNet, off."
)

Refusal = Callable[[IPAdapterError], Exception]
"""Returns what stops a generation with the error's sentence."""


class Contexts:
    """What InstantID's ControlNets of one generation see: image tokens of the run that is at work."""

    def __init__(self, refusal: Refusal) -> None:
        self.run: SamplingRunPort | None = None
        self._refusal = refusal

    def of(self, number: int, rows: int) -> Tensor:
        """Return what the ControlNet of this number, from 0, sees: (rows, tokens, context dim)."""
        try:
            if self.run is None:
                raise IPAdapterError(UNITS_ABSENT)
            return self.run.face_tokens(number, rows)
        except IPAdapterError as error:
            raise self._refusal(error) from error


class Entry:
    """Stands before the extension's entry: loads InstantID's ControlNets like others, and then sets what they see.

    It does so for any generation in which units feed them, for ADetailer begins others within one, and has the
    extension set up anew for a copy of that one's record.
    """

    def __init__(self, extension: Any) -> None:
        self.extension = extension
        self.earlier = vars(extension).get(ENTRY)
        self.enter: Callable[[Any], Any] = getattr(extension, ENTRY)

    def __call__(self, p: Any) -> Any:
        contexts = contexts_of(p)
        if contexts is None:
            return self.enter(p)
        with loaded_like_others(type(self.extension)):
            done = self.enter(p)
        set_contexts(self.extension, contexts)
        return done

    def put_on(self) -> None:
        setattr(self.extension, ENTRY, self)

    def take_off(self) -> None:
        delattr(self.extension, ENTRY)
        if self.earlier is not None:
            setattr(self.extension, ENTRY, self.earlier)


def listen(p: Any, feeding: bool, refusal: Refusal) -> None:
    """Prepare the extension, where there is one, for a generation in which units may feed InstantID's ControlNets.

    It is called before any script's `process`, in every generation, and takes off what an earlier one left. A record
    that is a copy of one that is fed shares what that one's ControlNets see.
    """
    contexts: Contexts | None = vars(p).pop(CONTEXTS, None)
    scripts = getattr(p.scripts, "alwayson_scripts", ())
    extension = next((each for each in scripts if each.title().lower() == TITLE and hasattr(each, ENTRY)), None)
    if extension is None:
        return
    earlier = vars(extension).get(ENTRY)
    if isinstance(earlier, Entry):
        earlier.take_off()
    if feeding:
        setattr(p, CONTEXTS, contexts or Contexts(refusal))
        Entry(extension).put_on()


def contexts_of(p: Any) -> Contexts | None:
    """Return what the ControlNets of a generation see, or None where units feed none."""
    return getattr(p, CONTEXTS, None)


def is_instantids(name: object) -> bool:
    """Tell whether a ControlNet of this name is InstantID's."""
    return WORD in "".join(filter(str.isalnum, str(name).lower()))


def unfed(models: Collection[str]) -> list[str]:
    """Return InstantID's ControlNets among the names of models in use, unless one of its adapters is among them."""
    named = sorted(filter(is_instantids, models))
    controlnets = [name for name in named if "adapter" not in name]
    return controlnets if len(controlnets) == len(named) else []


@contextmanager
def loaded_like_others(script: Any) -> Generator[None, None, None]:
    """Have the extension take InstantID's ControlNets for ordinary ones, which need no unit before them."""
    owner = next(each for each in script.__mro__ if LOADER in vars(each))
    loader, load = vars(owner)[LOADER], getattr(owner, LOADER)

    def loaded(p: Any, unet: Any, name: Any) -> Any:
        found = load(p, unet, name)
        kinds = type(found.type)
        own = is_instantids(name) and found.type in (kinds.InstantID, kinds.ControlNet)
        return found._replace(type=kinds.ControlNet) if own else found

    setattr(owner, LOADER, staticmethod(loaded))
    try:
        yield
    finally:
        setattr(owner, LOADER, loader)


def set_contexts(extension: Any, contexts: Contexts) -> None:
    """Set what each of InstantID's ControlNets sees: of the extension's own unit before it, or else of ours in turn."""
    network = extension.latest_network
    params = network.control_params if network else []
    embed = sys.modules[type(network).__module__].ImageEmbed if network else tuple
    number = 0
    for i, (unit, param) in enumerate(zip(extension.enabled_units, params, strict=bool(params))):
        kinds = type(param.control_model_type)
        if not (is_instantids(unit.model) and param.control_model_type is kinds.ControlNet):
            continue
        param.control_model_type = kinds.InstantID
        before = params[i - 1] if i else None
        if before and before.control_model_type is kinds.IPAdapter:
            param.control_context_override = before.control_model.image_emb
        else:
            param.control_context_override = told(embed, partial(contexts.of, number))
            number += 1


def told(embed: Any, tokens: Callable[[int], Tensor]) -> Any:
    """Return an object of the extension's class for what a ControlNet sees, which asks for it at each call.

    Of the extension's marks of rows, which `eval` gets, only the number counts: in hires passes they are all the same.
    """

    class Told(embed):
        def eval(self, cond_mark: Tensor) -> Tensor:
            return tokens(len(cond_mark))

    return Told(None, None)

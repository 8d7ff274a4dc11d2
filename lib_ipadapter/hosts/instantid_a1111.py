"""InstantID's ControlNet in the ControlNet extension: it sees image tokens of a unit instead of the text.

Left alone, the extension takes them from an IP-Adapter unit of its own right before the ControlNet, and fails without
one. So for one generation such a ControlNet is loaded there like any other, and once all is ready, what it sees is set
as the extension itself would set it: no module is touched, and the order of extensions does not matter.

Source: Mikubill/sd-webui-controlnet 1.1.455, scripts/controlnet.py (`controlnet_main_entry`, `load_control_model`) and
scripts/hook.py (`control_context_override`).
"""

import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import partial
from typing import Any

from torch import Tensor

from ..base.errors import IPAdapterError
from ..port import SamplingRunPort
from .instantid import is_instantid

SOURCE = "ip_adapter_face_tokens"
"""Attribute of a generation's record that holds what its ControlNets see."""

ENTRY = "controlnet_main_entry"
"""What the extension calls once per generation, or with a refiner once per batch, to load and set up its units."""

LOADER = "load_control_model"
"""What the extension's class loads a ControlNet with and recognises its type by."""

UNITS_ABSENT = (
    "expected units at work when InstantID's ControlNet is called, but there are none: another extension calls the "
    "U-Net by itself. Switch that extension, or InstantID's ControlNet, off."
)

HttpError = Callable[[IPAdapterError], Exception]
"""Returns what stops a generation with the error's sentence."""


class FaceTokens:
    """What InstantID's ControlNets of one generation see: image tokens of the run that is at work."""

    def __init__(self, http_error: HttpError) -> None:
        self.run: SamplingRunPort | None = None
        self._http_error = http_error

    def of(self, number: int, rows: int) -> Tensor:
        """Return what the ControlNet of this number, from 0, sees: (rows, tokens, context dim)."""
        try:
            if self.run is None:
                raise IPAdapterError(UNITS_ABSENT)
            return self.run.face_tokens(number, rows)
        except IPAdapterError as error:
            raise self._http_error(error) from None


class Entry:
    """Stands before the extension's entry: has InstantID's ControlNets loaded like others, then sets what they see.

    It does so for any generation whose units feed them, for ADetailer runs others within one, and has the extension
    set up again for a copy of the outer one's record.
    """

    def __init__(self, extension: Any) -> None:
        self.extension = extension
        self.earlier = vars(extension).get(ENTRY)
        self.enter: Callable[[Any], Any] = getattr(extension, ENTRY)

    def __call__(self, p: Any) -> Any:
        tokens = face_tokens_of(p)
        if tokens is None:
            return self.enter(p)
        with loaded_like_others(type(self.extension)):
            done = self.enter(p)
        set_face_tokens(self.extension, tokens)
        return done

    def put_on(self) -> None:
        setattr(self.extension, ENTRY, self)

    def take_off(self) -> None:
        delattr(self.extension, ENTRY)
        if self.earlier is not None:
            setattr(self.extension, ENTRY, self.earlier)


def prepare(p: Any, feeds: bool, http_error: HttpError) -> None:
    """Prepare the extension, where there is one, for a generation whose units may feed InstantID's ControlNets.

    It is called before any script's `process`, in every generation. Without `feeds` it only undoes what an earlier
    generation left; so it calls nothing of any other script. A record that is a copy of one that is fed shares its face
    tokens.
    """
    tokens: FaceTokens | None = vars(p).pop(SOURCE, None)
    scripts = getattr(p.scripts, "alwayson_scripts", ())
    for script in scripts:
        if isinstance(earlier := vars(script).get(ENTRY), Entry):
            earlier.take_off()
    extension = next((each for each in scripts if hasattr(type(each), ENTRY) and hasattr(type(each), LOADER)), None)
    if feeds and extension is not None:
        setattr(p, SOURCE, tokens or FaceTokens(http_error))
        Entry(extension).put_on()


def face_tokens_of(p: Any) -> FaceTokens | None:
    """Return what the ControlNets of a generation see, or None where units feed none."""
    return getattr(p, SOURCE, None)


@contextmanager
def loaded_like_others(script: Any) -> Generator[None, None, None]:
    """Have the extension take InstantID's ControlNets for ordinary ones, which need no unit before them."""
    owner = next(each for each in script.__mro__ if LOADER in vars(each))
    loader, load = vars(owner)[LOADER], getattr(owner, LOADER)

    def loaded(p: Any, unet: Any, name: Any) -> Any:
        found = load(p, unet, name)
        kinds = type(found.type)
        own = is_instantid(name) and found.type in (kinds.InstantID, kinds.ControlNet)
        return found._replace(type=kinds.ControlNet) if own else found

    setattr(owner, LOADER, staticmethod(loaded))
    try:
        yield
    finally:
        setattr(owner, LOADER, loader)


def set_face_tokens(extension: Any, tokens: FaceTokens) -> None:
    """Set what each of InstantID's ControlNets sees: of the extension's own unit before it, or else of ours in turn."""
    network = extension.latest_network
    params = network.control_params if network else []
    embed = sys.modules[type(network).__module__].ImageEmbed if network else tuple
    number = 0
    for i, (unit, param) in enumerate(zip(extension.enabled_units, params, strict=bool(params))):
        kinds = type(param.control_model_type)
        if not (is_instantid(unit.model) and param.control_model_type is kinds.ControlNet):
            continue
        param.control_model_type = kinds.InstantID
        before = params[i - 1] if i else None
        if before and before.control_model_type is kinds.IPAdapter:
            param.control_context_override = before.control_model.image_emb
        else:
            param.control_context_override = embed_of(embed, partial(tokens.of, number))
            number += 1


def embed_of(embed: Any, tokens: Callable[[int], Tensor]) -> Any:
    """Return an object of the extension's class for what a ControlNet sees, which asks for it at each call.

    Of the extension's marks of rows, which `eval` gets, only the number counts: in hires passes they are all the same.
    """

    class Embed(embed):
        def eval(self, cond_mark: Tensor) -> Tensor:
            return tokens(len(cond_mark))

    return Embed(None, None)

"""Feeds a unit's image tokens to InstantID's ControlNet in the ControlNet extension, in place of text.

By itself, the extension takes the tokens from its own IP-Adapter unit just before the ControlNet, and fails without
one. For one generation, such a ControlNet is therefore loaded there like any other, and its tokens are set afterwards
in the way the extension does it. No module is changed, and the order of extensions does not matter.

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
"""Attribute of the processing object that holds the image tokens for its ControlNets."""

ENTRY = "controlnet_main_entry"
"""Method that the extension calls once per generation, or with a refiner once per batch, to set up its units."""

LOADER = "load_control_model"
"""Function with which the extension loads a ControlNet and recognises its type."""

UNITS_ABSENT = (
    "expected active units when InstantID's ControlNet is called, but there are none: another extension calls the "
    "U-Net by itself. Switch off that extension or InstantID's ControlNet."
)

HttpError = Callable[[IPAdapterError], Exception]
"""Returns the exception that stops a generation with an error's text."""


class FaceTokens:
    """Source of image tokens for the InstantID ControlNets of one generation: the current sampling run."""

    def __init__(self, http_error: HttpError) -> None:
        self.run: SamplingRunPort | None = None
        self._http_error = http_error

    def of(self, number: int, rows: int) -> Tensor:
        """Return the image tokens for the ControlNet `number`, from 0: (rows, tokens, context dim)."""
        try:
            if self.run is None:
                raise IPAdapterError(UNITS_ABSENT)
            return self.run.face_tokens(number, rows)
        except IPAdapterError as error:
            raise self._http_error(error) from None


class Entry:
    """Wraps the extension's entry: loads InstantID's ControlNets like others, then sets their image tokens.

    Applies to any generation whose units feed them, because ADetailer runs inner generations, for which the extension
    sets up a copy of the outer processing object again.
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
    """Prepare the extension, if installed, for a generation whose units may feed InstantID's ControlNets.

    Called before any script's `process`, in every generation. Without `feeds` it only undoes leftovers of an earlier
    generation, and calls nothing of other scripts. A copy of a processing object shares its face tokens.
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
    """Return the image tokens for the ControlNets of a generation, or None if no unit feeds them."""
    return getattr(p, SOURCE, None)


@contextmanager
def loaded_like_others(script: Any) -> Generator[None, None, None]:
    """Make the extension treat InstantID's ControlNets as ordinary ones, which need no unit before them."""
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
    """Set the tokens of each InstantID ControlNet: from the extension's own unit before it, else from our units in
    order."""
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
    """Return an instance of the extension's image embedding class that fetches its tokens at each call.

    `eval` uses only the number of the extension's row marks, because they are all equal in hires passes.
    """

    class Embed(embed):
        def eval(self, cond_mark: Tensor) -> Tensor:
            return tokens(len(cond_mark))

    return Embed(None, None)

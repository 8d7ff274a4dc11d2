"""One pass of sampling in a web UI: how long units act, and how one that cannot act stops the generation."""

import logging
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

import torch
from fastapi import HTTPException
from modules import shared

from ..base.boxes import Size
from ..base.errors import STATUS, IPAdapterError
from ..port import SamplingRunPort

log = logging.getLogger(__name__)

CURRENT = "ip_adapter_pass"
"""Attribute that holds the pass, or None where no unit acts in it: of a sampler that was told of, and of its denoiser
while it is at work."""

AWAITED = "ip_adapter_awaited"
"""Attribute of a generation with units: the error that stops a sampler of which nobody told before it began."""

WARN_ONLY = "ipadapter_warn_only"
"""Setting: a unit that cannot run is left out with a warning, instead of stopping the generation."""

UNTOLD = (
    "expected the web UI to tell of each pass before it samples, but something samples in a way of its own, as "
    "DemoFusion does, so the units could not act. Switch that off, or the units."
)

PASSED_BY = (
    "expected the checkpoint's own U-Net to be called, but something computed in its place, such as a compiled or "
    "converted U-Net, so the units could not act. Switch that off, or the units."
)


class Refusal(HTTPException):
    """Stops a generation with a sentence: the API answers with the status, the panel shows the text."""

    def __init__(self, error: IPAdapterError) -> None:
        super().__init__(STATUS, str(error))
        self.body = error.problem()

    def __str__(self) -> str:
        return str(self.detail)


def http_error(error: IPAdapterError) -> Exception:
    return Refusal(error)


@contextmanager
def stop_on_error(p: Any, unit: int | None = None) -> Generator[None, None, None]:
    """Let any error in the context stop the generation of `p`, or with the setting for it become a comment.

    The script runner swallows what a script raises, and a picture made without its image prompt is a wrong picture.
    """
    try:
        yield
    except IPAdapterError as error:
        error.unit = error.unit or unit
        if not _warned(p, error):
            _refuse(p, error)
    except Exception as error:
        log.exception("IP-Adapter failed")
        _refuse(p, IPAdapterError(f"failed with {type(error).__name__}: {error}. The console has the details."))


def _warned(p: Any, error: IPAdapterError) -> bool:
    """Tell of an error in the log and beside the picture, if the setting says that this is enough."""
    enough = bool(shared.opts.data.get(WARN_ONLY, False))
    if enough:
        log.warning("%s The picture is made without it.", error)
        p.comment(f"{error} The picture was made without it.")
    return enough


def _refuse(p: Any, error: IPAdapterError) -> None:
    """Raise the error from where nothing catches it: when this one generation samples, or its next pass does.

    Another extension may put a way to sample of its own in the place of that; it is stopped as it calls the model.
    """

    def raise_refusal(*_args: Any, **_kwargs: Any) -> None:
        raise Refusal(error)

    setattr(p, AWAITED, error)
    p.sample = raise_refusal
    if p.sampler is not None:
        p.sampler.launch_sampling = raise_refusal


class Pass:
    """One pass of sampling: arms the run for each call of a module through which every call of the model goes.

    A door says in its own subclass which module that is, and what rows each call has.
    """

    def __init__(self, p: Any, run: SamplingRunPort) -> None:
        self.run = run
        self.first_picture = p.iteration * p.batch_size
        self.params: Any = None
        self.refusal: Refusal | None = None
        """What a call was refused with; the web UI swallows it where the call is another extension's own."""
        self._armed = False
        self._watched: torch.nn.Module | None = None
        self._handles: list[Any] = []

    @staticmethod
    def watched(params: Any) -> torch.nn.Module:
        """Return the module to watch, by what the denoiser tells before it calls the model."""
        raise NotImplementedError

    @classmethod
    def on_cfg_denoiser(cls, params: Any) -> None:
        """Tell the pass, if this denoiser has one, that the model is about to be called for `params.x`."""
        current: Pass | None = getattr(params.denoiser, CURRENT, None)
        if current:
            current.expect(params)
        elif error := untold(params.denoiser):
            refuse_call(cls.watched(params), error)

    def arm(self, module: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Arm the run for this call of the watched module; may return the call's arguments changed."""
        raise NotImplementedError

    def expect(self, params: Any) -> None:
        """Take note of the denoiser's whole batch; other callbacks may still replace `params.x`, so keep `params`."""
        self.params = params
        module = self.watched(params)
        if module is not self._watched:  # new at the start and after the refiner's switch
            self._release()
            self._watched = module
            self._handles = [
                module.register_forward_pre_hook(self._arm, with_kwargs=True),
                module.register_forward_hook(self._disarm),
            ]

    @property
    def size(self) -> Size:
        """Height and width of the whole latent picture."""
        return self.params.x.shape[-2], self.params.x.shape[-1]

    @property
    def bypassed(self) -> bool:
        """Whether the denoiser called a model, but not the one that is watched, or not with its cross-attentions."""
        return self.params is not None and (not self._armed or self.run.bypassed)

    def end(self) -> None:
        self._release()
        self.run.eject()

    def _release(self) -> None:
        while self._handles:
            self._handles.pop().remove()

    def _arm(self, module: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        self._armed = True
        try:
            return self.arm(module, args, kwargs)
        except IPAdapterError as error:
            self.refusal = Refusal(error)
            raise self.refusal from error

    def _disarm(self, *_: Any) -> None:
        self.run.end_call()


def act(p: Any, current: Pass | None) -> None:
    """Let a pass act while the sampler of `p` is at work, and not a moment longer; with None no unit acts in it.

    The sampler is a fresh object, or with tiled diffusion that of the pass before. Forge calls scripts twice before the
    second pass of hires fix; the later call counts.
    """
    sampler, denoiser = p.sampler, p.sampler.model_wrap_cfg
    wrapped = hasattr(sampler, CURRENT)
    setattr(sampler, CURRENT, current)
    if wrapped:
        return
    launch: Callable[..., Any] = sampler.launch_sampling

    def launch_sampling(*args: Any, **kwargs: Any) -> Any:
        acting: Pass | None = getattr(sampler, CURRENT)
        if acting is None:
            return launch(*args, **kwargs)
        setattr(denoiser, CURRENT, acting)
        try:
            made = launch(*args, **kwargs)
            if acting.refusal:
                raise acting.refusal
            if acting.bypassed and not _warned(p, error := IPAdapterError(PASSED_BY)):
                raise Refusal(error)
            return made
        except IPAdapterError as error:  # of a hook inside the model
            raise Refusal(error) from error
        finally:
            del denoiser.__dict__[CURRENT]
            acting.end()

    sampler.launch_sampling = launch_sampling


def expect_passes(p: Any) -> None:
    vars(p).setdefault(AWAITED, IPAdapterError(UNTOLD))


def forget(p: Any) -> None:
    """Await nothing of a generation that begins, whose record may be a copy of another one's."""
    vars(p).pop(AWAITED, None)


def untold(denoiser: Any) -> IPAdapterError | None:
    """Return what stops a denoiser whose generation has units, but whose sampler began without a word to them."""
    p, sampler = denoiser.p, denoiser.sampler
    error: IPAdapterError | None = getattr(p, AWAITED, None)
    if error is None or hasattr(sampler, CURRENT):
        return None
    if _warned(p, error):
        delattr(p, AWAITED)  # once is enough
        return None
    return error


def refuse_call(module: torch.nn.Module, error: IPAdapterError) -> None:
    """Raise the error when the module is called next: what a callback raises, the web UI only reports."""

    def refuse(*_: Any) -> None:
        handle.remove()
        raise Refusal(error)

    handle = module.register_forward_pre_hook(refuse)


def progress(denoiser: Any) -> float:
    """Return the fraction 0..1 of the pass's calls that are done; samplers of second order call twice a step."""
    return min(max(denoiser.step / denoiser.total_steps, 0.0), 1.0)

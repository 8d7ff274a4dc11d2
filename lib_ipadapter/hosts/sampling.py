"""One pass of sampling in a web UI: how long units act, and how they follow each call of the model."""

from collections.abc import Callable
from typing import Any

import torch

from ..base.boxes import Size
from ..base.errors import IPAdapterError
from ..port import SamplingRunPort
from .refusal import EXPECTED, Refusal, refuse_call, warned

CURRENT = "ip_adapter_pass"
"""Attribute that holds the pass, or None where no unit acts in it: of a sampler that was announced, and of its denoiser
while it is at work."""

BYPASSED = (
    "expected the checkpoint's own U-Net to be called, but something computed in its place, such as a compiled or "
    "converted U-Net, or changed the rows of some of its cross-attentions, so the units had no effect there. Switch "
    "that off, or the units."
)


class Pass:
    """Prepares the run for each call of a module through which every call of the model goes.

    A host's own subclass says which module that is, and what rows each call has.
    """

    def __init__(self, p: Any, run: SamplingRunPort) -> None:
        self.run = run
        self.first_picture = p.iteration * p.batch_size
        self.params: Any = None
        self.refusal: Refusal | None = None
        """What a call was refused with; the web UI swallows it where the call is another extension's own."""
        self._called = False
        self._watched: torch.nn.Module | None = None
        self._handles: list[Any] = []

    @staticmethod
    def watched(params: Any) -> torch.nn.Module:
        """Return the module to watch, by what the denoiser passes to callbacks before it calls the model."""
        raise NotImplementedError

    @classmethod
    def on_cfg_denoiser(cls, params: Any) -> None:
        """Prepare the pass, if this denoiser has one, for a call of the model with `params.x`."""
        current: Pass | None = getattr(params.denoiser, CURRENT, None)
        if current:
            current.expect(params)
        elif error := _unannounced(params.denoiser):
            refuse_call(cls.watched(params), error)

    def begin_call(self, module: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Prepare the run for this call of the watched module; may return the call's arguments changed."""
        raise NotImplementedError

    def expect(self, params: Any) -> None:
        """Take note of the denoiser's whole batch; other callbacks may still replace `params.x`, so keep `params`."""
        self.params = params
        module = self.watched(params)
        if module is not self._watched:  # new at the start and after the refiner's switch
            self._release()
            self._watched = module
            self._handles = [
                module.register_forward_pre_hook(self._begin_call, with_kwargs=True),
                module.register_forward_hook(self._end_call),
            ]

    @property
    def size(self) -> Size:
        """Height and width of the whole latent picture."""
        return self.params.x.shape[-2], self.params.x.shape[-1]

    @property
    def bypassed(self) -> bool:
        """Whether the denoiser called a model, but not the one that is watched, or not with its cross-attentions."""
        return self.params is not None and (not self._called or self.run.bypassed)

    def end(self) -> None:
        self._release()
        self.run.eject()

    def _release(self) -> None:
        while self._handles:
            self._handles.pop().remove()

    def _begin_call(self, module: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        self._called = True
        try:
            return self.begin_call(module, args, kwargs)
        except IPAdapterError as error:
            self.refusal = Refusal(error)
            raise self.refusal from None

    def _end_call(self, *_: Any) -> None:
        self.run.end_call()


def act(p: Any, current: Pass | None) -> None:
    """Let a pass act while the sampler of `p` is at work, and no longer; with None no unit acts in it.

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
            if acting.bypassed and not warned(p, error := IPAdapterError(BYPASSED)):
                raise Refusal(error)
            return made
        except IPAdapterError as error:  # of a hook inside the model
            raise Refusal(error) from None
        finally:
            del denoiser.__dict__[CURRENT]
            acting.end()

    sampler.launch_sampling = launch_sampling


def _unannounced(denoiser: Any) -> IPAdapterError | None:
    """Return what stops a denoiser whose generation has units, but whose sampler began without a word to them."""
    p, sampler = denoiser.p, denoiser.sampler
    error: IPAdapterError | None = getattr(p, EXPECTED, None)
    if error is None or hasattr(sampler, CURRENT):
        return None
    if warned(p, error):
        delattr(p, EXPECTED)  # once is enough
        return None
    return error


def progress(denoiser: Any) -> float:
    """Return the fraction 0..1 of the pass's calls that are done; samplers of second order call twice a step."""
    return min(max(denoiser.step / denoiser.total_steps, 0.0), 1.0)

"""A pass of sampling in a web UI: when it starts and ends, and each call of the model in it."""

from collections.abc import Callable
from typing import Any

import torch

from ..base.boxes import Size
from ..base.errors import IPAdapterError
from ..port import SamplingRunPort
from .refusal import EXPECTED, Refusal, refuse_call, warned
from .tries import is_try

CURRENT = "ip_adapter_pass"
"""Attribute of a sampler, and of its denoiser during sampling: the pass, or None for a pass without units."""

BYPASSED = (
    "expected the checkpoint's own U-Net to be called, but something replaced it, such as a compiled or converted "
    "U-Net, or changed the rows of some of its cross-attentions, so the units had no effect there. Switch that off, or "
    "the units."
)


class Pass:
    """Prepares the run for each call of the model, by watching a module through which every call goes.

    Each host's subclass defines which module that is and how to find the rows of a call.
    """

    def __init__(self, p: Any, run: SamplingRunPort) -> None:
        self.run = run
        self.first_picture = 0 if is_try(p) else p.iteration * p.batch_size
        self.params: Any = None
        self.refusal: Refusal | None = None
        """Error of a call, stored because it may be caught if another extension makes the call."""
        self._called = False
        self._watched: torch.nn.Module | None = None
        self._handles: list[Any] = []

    @staticmethod
    def watched(params: Any) -> torch.nn.Module:
        """Return the module to watch, from the params that the denoiser passes to callbacks."""
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
        """Prepare the run for this call of the watched module; may return changed arguments for the call."""
        raise NotImplementedError

    def expect(self, params: Any) -> None:
        """Store the denoiser's params for the next call; other callbacks may still replace `params.x`."""
        self.params = params
        module = self.watched(params)
        if module is not self._watched:  # at the start and after a refiner switch
            self._release()
            self._watched = module
            self._handles = [
                module.register_forward_pre_hook(self._begin_call, with_kwargs=True),
                module.register_forward_hook(self._end_call),
            ]

    @property
    def size(self) -> Size:
        """Height and width of the whole latent image."""
        return self.params.x.shape[-2], self.params.x.shape[-1]

    @property
    def bypassed(self) -> bool:
        """Whether the denoiser called another model than the watched one, or bypassed its cross-attentions."""
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


def use_pass(p: Any, current: Pass | None) -> None:
    """Use a pass while the sampler of `p` runs; None means a pass without units.

    The sampler is a new object, or with tiled diffusion that of the previous pass. Forge calls scripts twice before the
    second pass of hires fix; the later call wins.
    """
    sampler, denoiser = p.sampler, p.sampler.model_wrap_cfg
    wrapped = hasattr(sampler, CURRENT)
    setattr(sampler, CURRENT, current)
    if wrapped:
        return
    launch: Callable[..., Any] = sampler.launch_sampling

    def launch_sampling(*args: Any, **kwargs: Any) -> Any:
        active: Pass | None = getattr(sampler, CURRENT)
        if active is None:
            return launch(*args, **kwargs)
        setattr(denoiser, CURRENT, active)
        try:
            sampled = launch(*args, **kwargs)
            if active.refusal:
                raise active.refusal
            if active.bypassed and not warned(p, error := IPAdapterError(BYPASSED)):
                raise Refusal(error)
            return sampled
        except IPAdapterError as error:  # from a hook inside the model
            raise Refusal(error) from None
        finally:
            del denoiser.__dict__[CURRENT]
            active.end()

    sampler.launch_sampling = launch_sampling


def _unannounced(denoiser: Any) -> IPAdapterError | None:
    """Return the error for a denoiser of a generation with units whose sampler started without `while_sampling`."""
    p, sampler = denoiser.p, denoiser.sampler
    error: IPAdapterError | None = getattr(p, EXPECTED, None)
    if error is None or hasattr(sampler, CURRENT):
        return None
    if warned(p, error):
        delattr(p, EXPECTED)  # warn only once
        return None
    return error


def progress(denoiser: Any) -> float:
    """Return the fraction 0..1 of the pass's model calls that are done; second-order samplers call twice per step."""
    return min(max(denoiser.step / denoiser.total_steps, 0.0), 1.0)

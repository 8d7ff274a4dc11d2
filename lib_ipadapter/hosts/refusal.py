"""Stops a generation with a message if a unit cannot run, or only warns, depending on the setting."""

import logging
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import torch
from fastapi import HTTPException
from modules import shared

from ..base.errors import IPAdapterError

log = logging.getLogger(__name__)

EXPECTED = "ip_adapter_expected"
"""Attribute of the processing object with the error for a sampler that starts without `while_sampling`."""

WARN_ONLY = "ipadapter_warn_only"
"""Setting: skip a unit that cannot run with a warning, instead of stopping the generation."""

UNANNOUNCED = (
    "the units would have no effect, because something does its own sampling, as DemoFusion does, without calling "
    "scripts first. Switch it off, or switch off the units."
)


class Refusal(HTTPException):
    """Stops a generation with a message: the API returns the status, the page shows the text."""

    def __init__(self, error: IPAdapterError) -> None:
        super().__init__(error.status, str(error))
        self.body = error.problem()

    def __str__(self) -> str:
        return str(self.detail)


class RefusingSampler:
    """Replaces a sampling function, and raises the refusal when it is called."""

    def __init__(self, error: IPAdapterError) -> None:
        self._error = error

    def __call__(self, *_args: Any, **_kwargs: Any) -> Any:
        raise Refusal(self._error)


@contextmanager
def stop_on_error(p: Any, unit: int | None = None) -> Generator[None, None, None]:
    """Let any error in the context stop the generation of `p`, or become a comment if the setting says so.

    The script runner catches exceptions of scripts, and would then generate a picture without its image prompt.
    """
    try:
        yield
    except IPAdapterError as error:
        error.unit = error.unit or unit
        if not warned(p, error):
            log.warning("%s", error)
            _stop(p, error)
    except Exception as error:
        log.exception("IP-Adapter failed")
        _stop(p, IPAdapterError(f"failed with {type(error).__name__}: {error}. See the console for details."))


def warned(p: Any, error: IPAdapterError) -> bool:
    """Show an error in the log and below the picture if the setting asks for warnings only; return whether it does."""
    warn_only = bool(shared.opts.data.get(WARN_ONLY, False))
    if warn_only:
        log.warning("%s The picture is generated without it.", error)
        p.comment(f"{error} The picture was generated without it.")
    return warn_only


def _stop(p: Any, error: IPAdapterError) -> None:
    """Raise the error where nothing catches it: when `p` or its next pass starts sampling.

    If another extension replaces the sampling of `p`, its first call of the model raises the error.
    """
    setattr(p, EXPECTED, error)
    p.sample = RefusingSampler(error)
    if p.sampler is not None:
        p.sampler.launch_sampling = p.sample


def expect_passes(p: Any) -> None:
    """From now on, raise an error if a sampler of `p` starts without `while_sampling`."""
    vars(p).setdefault(EXPECTED, IPAdapterError(UNANNOUNCED))


def forget(p: Any) -> None:
    """Undo leftovers of an earlier generation with the same processing object, or with one that this is a copy of."""
    vars(p).pop(EXPECTED, None)
    if isinstance(vars(p).get("sample"), RefusingSampler):
        del p.sample


def refuse_call(module: torch.nn.Module, error: IPAdapterError) -> None:
    """Raise the error at the module's next call, because the web UI only logs exceptions of callbacks."""

    def refuse(*_: Any) -> None:
        handle.remove()
        raise Refusal(error)

    handle = module.register_forward_pre_hook(refuse)

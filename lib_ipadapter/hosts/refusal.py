"""How a unit that cannot run stops a generation with a sentence, or only warns, as the setting says."""

import logging
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import torch
from fastapi import HTTPException
from modules import shared

from ..base.errors import STATUS, IPAdapterError

log = logging.getLogger(__name__)

EXPECTED = "ip_adapter_expected"
"""Attribute of a generation with units: the error that stops a sampler that was not announced before it began."""

WARN_ONLY = "ipadapter_warn_only"
"""Setting: a unit that cannot run is left out with a warning, instead of stopping the generation."""

UNANNOUNCED = (
    "expected the web UI to call scripts before each pass, but something samples in its own way, as DemoFusion does, "
    "so the units could not act. Switch that off, or the units."
)


class Refusal(HTTPException):
    """Stops a generation with a sentence: the API answers with the status, the page shows the text."""

    def __init__(self, error: IPAdapterError) -> None:
        super().__init__(STATUS, str(error))
        self.body = error.problem()

    def __str__(self) -> str:
        return str(self.detail)


class RefusingSampler:
    """Stands in for a function that samples, and raises the refusal when it is called."""

    def __init__(self, error: IPAdapterError) -> None:
        self._error = error

    def __call__(self, *_args: Any, **_kwargs: Any) -> Any:
        raise Refusal(self._error)


@contextmanager
def stop_on_error(p: Any, unit: int | None = None) -> Generator[None, None, None]:
    """Let any error in the context stop the generation of `p`, or become a comment if the setting says so.

    The script runner swallows what a script raises, and a picture without its image prompt is a wrong picture.
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
        _stop(p, IPAdapterError(f"failed with {type(error).__name__}: {error}. The console has the details."))


def warned(p: Any, error: IPAdapterError) -> bool:
    """Report an error in the log and below the picture if the setting says that this is enough; return whether so."""
    enough = bool(shared.opts.data.get(WARN_ONLY, False))
    if enough:
        log.warning("%s The picture is made without it.", error)
        p.comment(f"{error} The picture was made without it.")
    return enough


def _stop(p: Any, error: IPAdapterError) -> None:
    """Raise the error from where nothing catches it: when this one generation samples, or its next pass does.

    Another extension may replace how `p` samples; then its first call of the model raises the error.
    """
    setattr(p, EXPECTED, error)
    p.sample = RefusingSampler(error)
    if p.sampler is not None:
        p.sampler.launch_sampling = p.sample


def expect_passes(p: Any) -> None:
    """Refuse, from now on, a sampler of `p` that was not announced."""
    vars(p).setdefault(EXPECTED, IPAdapterError(UNANNOUNCED))


def forget(p: Any) -> None:
    """Undo what an earlier generation left on its record, which this one's may be, or a copy of it."""
    vars(p).pop(EXPECTED, None)
    if isinstance(vars(p).get("sample"), RefusingSampler):
        del p.sample


def refuse_call(module: torch.nn.Module, error: IPAdapterError) -> None:
    """Raise the error when the module is called next: what a callback raises, the web UI only reports."""

    def refuse(*_: Any) -> None:
        handle.remove()
        raise Refusal(error)

    handle = module.register_forward_pre_hook(refuse)

"""Runs *Try it* (`unit/tries.py`) in a web UI: Generate, but with a small and quick picture for each change.

Each picture is an iteration of the same generation, as with a batch count. All have the seed and the prompt of the
first, and units of their own. What is changed is the processing object alone, so nothing has to be undone.
"""

import weakref
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modules import shared
from PIL import Image

from ..base.errors import IPAdapterError
from ..unit.read_args import read_unit
from ..unit.tries import MOST_STEPS, Try, find_try, small_size
from .other_extensions import is_inner
from .refusal import forget

if TYPE_CHECKING:
    from ..engine.session import Session

TRY = "ip_adapter_try"
"""Attribute of the processing object with its `Running`, which copies of it share."""

EQUAL = ("all_prompts", "all_negative_prompts", "all_seeds", "all_subseeds")
"""Lists of the processing object with an entry for each picture, which are all like the first."""

SCRIPT_CHOSEN = (
    "Try does not work with the script {title}, which makes pictures of its own. Set Script to None, and try again."
)
TWICE = "Try works on one picture at a time, not on a batch of files."


@dataclass
class Running:
    """A try that is being made."""

    p: weakref.ref[Any]
    """The processing object that it belongs to."""
    asked: Try
    indices: Sequence[int]
    """Of the changes that can be made, by iteration."""
    index: int = 0
    """Of the change of the current iteration."""
    refused: str = ""
    """Why it cannot run."""


class Tries:
    """What the script's methods do for a try. Without one, each of them does nothing."""

    def __init__(self, session: "Session") -> None:
        self._session = session

    def begin(self, p: Any, args: Iterable[Any]) -> None:
        """Make `p` small and quick if its args contain a try of the panel; raises nothing, as the library may not."""
        args = list(args)
        if getattr(p, "is_api", False) or is_inner(p) or _is_copy(p):
            return
        asked = find_try(args)
        if asked is None:
            return
        running = Running(weakref.ref(p), asked, range(len(asked.changes)), refused=_why_not(p))
        setattr(p, TRY, running)
        if not running.refused:
            _shrink(p, asked, self._base(asked))
            facts = {name: getattr(p, name) for name in ("width", "height", "steps")}
            self._session.tried.begin(asked.token, count=len(asked.changes), **facts)

    def prepare(self, p: Any) -> None:
        """Leave out the changes whose units cannot run, with the reason; if all cannot, the generation is stopped."""
        running = _of(p)
        if running is None:
            return
        with self._session.host.stop_on_error(p):
            if running.refused:
                raise IPAdapterError(running.refused)
            running.indices = self._able(p, running.asked)
            running.index = running.indices[0]
            p.n_iter = len(running.indices)
            _equalise(p, p.n_iter)

    def next_picture(self, p: Any) -> bool:
        """Begin an iteration; return whether its units are others than those that the generation began with."""
        running = _of(p)
        if running is None:
            return False
        _equalise(p, p.n_iter)  # again, because scripts that choose prompts at random may have come later
        running.index = running.indices[p.iteration]
        if p.iteration:
            forget(p)
        return p.iteration > 0

    def after_picture(self, p: Any, picture: Image.Image) -> None:
        """Show a finished picture in the panel; one that was interrupted or skipped is not."""
        running, state = _of(p), shared.state
        if running and not (state.interrupted or state.skipped):
            self._session.tried.add_picture(running.asked.token, running.index, picture)

    def _able(self, p: Any, asked: Try) -> list[int]:
        able: list[int] = []
        errors: list[IPAdapterError] = []
        for index in range(len(asked.changes)):
            try:
                self._session.check(p, asked.args(index))
                able.append(index)
            except IPAdapterError as error:
                errors.append(error)
                self._session.tried.add_reason(asked.token, index, error.sentence)
        if not able:
            raise errors[0]
        return able

    def _base(self, asked: Try) -> str:
        """Return the base model of the unit's adapter, or "" where the unit cannot be read, which is reported later."""
        try:
            unit = read_unit(asked.units[asked.number])
            return self._session.preparation.adapter_as_known(unit).recognised.base
        except IPAdapterError:
            return ""


def args_of_picture(p: Any, args: Iterable[Any]) -> Iterable[Any]:
    """Return a script's args with the changes of the current picture, if `p` belongs to a try."""
    running: Running | None = vars(p).get(TRY)
    if running is None:
        return args
    return [] if running.refused else running.asked.args(running.index)


def is_try(p: Any) -> bool:
    """Return whether the pictures of `p` are versions of one."""
    return _of(p) is not None


def _of(p: Any) -> Running | None:
    """Return the try of `p`, but not one of which `p` is only a copy, as in generations of other extensions."""
    running: Running | None = vars(p).get(TRY)
    return running if running and running.p() is p else None


def _is_copy(p: Any) -> bool:
    return TRY in vars(p) and _of(p) is None


def _why_not(p: Any) -> str:
    chosen = p.script_args[0] if p.script_args else 0  # number from 1, 0 for none
    if isinstance(chosen, int) and chosen:
        return SCRIPT_CHOSEN.format(title=p.scripts.selectable_scripts[chosen - 1].title())
    return TWICE if TRY in vars(p) else ""


def _shrink(p: Any, asked: Try, base: str) -> None:
    """Source: modules/processing.py of all web UIs; `_ad_disabled` is ADetailer's (scripts/!adetailer.py)."""
    p.n_iter, p.batch_size = len(asked.changes), 1
    p.width, p.height = small_size(p.width, p.height, base)
    p.steps = min(p.steps, MOST_STEPS)
    p.do_not_save_samples = p.do_not_save_grid = True
    p.enable_hr = False
    p.refiner_checkpoint = p.refiner_switch_at = None
    p._ad_disabled = True
    if folder := getattr(shared.opts, "temp_dir", ""):
        Path(folder).mkdir(parents=True, exist_ok=True)  # Forge Neo shows unsaved pictures from there, but expects it


def _equalise(p: Any, count: int) -> None:
    for name in EQUAL:
        setattr(p, name, list(getattr(p, name)[:1]) * count)

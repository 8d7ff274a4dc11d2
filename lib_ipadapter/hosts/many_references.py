"""One generation for each of many references, as a script that the user selects in the web UI."""

import base64
import copy
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from modules import processing, shared

from ..base.errors import IPAdapterError, UnitError
from ..pictures.image_file import decode, read_image_file
from ..unit.field_kinds import Text
from ..unit.picture_fields import Picture, read_picture, read_weights
from ..unit.read_args import with_reference

FILE = "IP-Adapter reference"
"""Name of the infotext parameter with the file name of a picture's reference."""


def make_series(p: Any, given: Iterable[Any] | None, weights: str, script: Any) -> Any:
    """Generate once for each reference, used by the units that have none; return the results as one.

    `given` are uploaded files, or pictures as a unit takes them; `weights`, such as `1, 0.5`, apply to them unless
    empty. `script` is the web UI's, with the units in its arguments. Each generation has the same seed.
    Interrupting ends the series, skipping goes on to the next picture.
    Raises `IPAdapterError` before the first generation if a picture cannot be read or every unit has references.
    """
    named = [_named(entry, number) for number, entry in enumerate(given or (), 1)]
    pictures = [(name, picture) for name, picture in named if picture.enabled]
    if not pictures:
        raise IPAdapterError("This script needs references. Drop some pictures, or choose another script.")
    pictures = list(_weighted(pictures, Text().read("weights", weights) if _is_whole(p) else ""))
    for name, picture in pictures:
        decode(name, read_image_file(name, picture.image).content)
    processing.fix_seed(p)
    p.do_not_save_grid = True
    shared.state.job_count = len(pictures) * p.n_iter
    jobs = [_job(p, name, picture, script) for name, picture in pictures]
    results: list[Any] = []
    for number, job in enumerate(jobs, 1):
        if shared.state.interrupted or shared.state.stopping_generation:
            break
        shared.state.job = f"reference {number} out of {len(jobs)}"
        results.append(processing.process_images(job))
    return _together(p, results)


def _is_whole(p: Any) -> bool:
    """Return whether the script args have the full length, so that each script's values are at its own position.

    API clients that send fewer values for the selected script shift the args of all others (modules/api/api.py,
    `init_script_args`).
    """
    return len(p.script_args) >= max(script.args_to or 0 for script in p.scripts.scripts)


def _weighted(pictures: Sequence[tuple[str, Picture]], weights: str) -> Iterator[tuple[str, Picture]]:
    """Yield pictures with the weights in a text; raises `UnitError` for a weight of 0."""
    numbers = (
        read_weights("weights", weights, len(pictures)) if weights.strip() else [each.weight for _, each in pictures]
    )
    for (name, picture), weight in zip(pictures, numbers, strict=True):
        if not weight:
            raise UnitError(name, 0, "has a weight of 0; remove it, or give it another weight.")
        yield name, replace(picture, weight=weight)


def _named(entry: Any, number: int) -> tuple[str, Picture]:
    """Return a picture's name, for messages, and the picture.

    Files uploaded through the web UI have a name; base64 text from an API client has none.
    """
    uploaded = getattr(entry, "name", None)
    if uploaded is None:
        return f"picture {number}", read_picture(f"picture {number}", entry)
    content = base64.b64encode(Path(uploaded).read_bytes()).decode()
    return getattr(entry, "orig_name", None) or Path(uploaded).name, Picture(content)


def _job(p: Any, name: str, picture: Picture, script: Any) -> Any:
    """Return the generation for one reference: a copy of `p` with this picture in its units."""
    job = copy.copy(p)
    args = list(p.script_args)
    slots = args[script.args_from : script.args_to]
    slots = [with_reference(slots, picture), *[None] * (len(slots) - 1)]
    job.script_args = (*args[: script.args_from], *slots, *args[script.args_to :])
    job.extra_generation_params = {**p.extra_generation_params, FILE: name}
    return job


def _together(p: Any, results: Sequence[Any]) -> Any:
    """Merge the results of several generations, without their grids."""
    firsts = [each.index_of_first_image for each in results]
    images, infotexts = (
        [one for each, first in zip(results, firsts, strict=True) for one in getattr(each, name)[first:]]
        for name in ("images", "infotexts")
    )
    lists = {name: [one for each in results for one in getattr(each, name)] for name in ("all_prompts", "all_seeds")}
    return processing.Processed(p, images, p.seed, infotexts=infotexts, **lists)

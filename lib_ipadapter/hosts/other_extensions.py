"""Checks for other extensions and scripts in a generation."""

import logging
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Any

from modules import shared

from ..base.errors import ForbiddenError, IPAdapterError
from ..base.file_names import HASH
from ..unit.unit import Unit
from .instantid import controlnet_scripts

log = logging.getLogger(__name__)

OWN_SAMPLING = ("img2img alternative test",)
"""Titles of scripts that call the sampler without running extensions first."""

TITLE = "IP-Adapter"
"""Title of this extension's script, by which API clients and other machines address it."""

ENTRY = "ip_adapter"
"""Name of this extension's script file, by which ADetailer addresses it."""


SCRIPT_NAMES = "ad_script_names"
"""ADetailer's setting: names of the script files that it runs in its generations, with commas."""


def check(p: Any, adapters: Collection[str], units: Collection[Unit]) -> None:
    if is_inner(p):
        return
    refuse_own_sampling(p)
    refuse_workers_without(p, any(unit.unfold for unit in units))
    if any(unit.inner == "inner only" for unit in units) and not in_inner_generations():
        raise IPAdapterError(
            "A unit is for inner generations only, but ADetailer does not run this extension in them: in Settings, "
            f"ADetailer, add {ENTRY} to the names of scripts to apply, or set the unit's inner generations to all."
        )
    for name in sorted({Path(name).stem.lower() for name in adapters} & controlnets_models(p)):
        text = (
            f"IP-Adapter: {name} is also active in a ControlNet unit, so it is applied twice. Switch one of them off."
        )
        log.warning(text)
        p.comment(text)


def refuse_own_sampling(p: Any) -> None:
    """Raise `IPAdapterError` for a script that calls the sampler without running extensions (modules/scripts.py)."""
    chosen = p.script_args[0] if p.script_args else 0  # number from 1, 0 for none, or a name from infotext
    runs = isinstance(chosen, int) and chosen
    title = p.scripts.selectable_scripts[chosen - 1].title() if runs else ""
    if title in OWN_SAMPLING:
        raise IPAdapterError(
            f"The script {title} does its own sampling, which does not work with units. Choose another script, or "
            "switch the units off."
        )


def refuse_workers_without(p: Any, unfold: bool) -> None:
    """Raise `IPAdapterError` if other machines would generate some of the pictures without this extension.

    With `unfold`, no other machine may be used, because each counts its pictures from the first.

    Source: papuSpartan/stable-diffusion-webui-distributed 8fd65eb, scripts/spartan/world.py and worker.py, which
    distributes the work before the generation begins and sends each machine the args of the scripts that it has.
    """
    worlds = [script.world for script in p.scripts.alwayson_scripts if script.title() == "Distribute"]
    mode = "img2img" if getattr(p, "init_images", None) else "txt2img"
    at_work = {
        job.worker.label: map(str.lower, job.worker.supported_scripts.get(mode, ()))
        for world in worlds
        if (world.enabled_i2i if mode == "img2img" else world.enabled)
        for job in world.jobs
        if job.batch_size and not job.worker.master
    }
    if unfold and at_work:
        raise IPAdapterError(
            "One reference per picture (unfold) does not work with several machines, because each counts its pictures "
            "from the first. Switch off unfold or the extension Distributed."
        )
    without = sorted(label for label, scripts in at_work.items() if TITLE.lower() not in scripts)
    if without:
        raise IPAdapterError(
            f"Machines that generate some of the pictures lack this extension: {', '.join(without)}. Install it there, "
            "disable them in the extension Distributed, or switch the units off."
        )


def in_inner_generations() -> bool:
    """Return whether ADetailer runs this extension in its generations (scripts/!adetailer.py, `script_filter`)."""
    names = shared.opts.data.get(SCRIPT_NAMES, "").split(",")
    return not shared.opts.data.get("ad_only_selected_scripts", True) or ENTRY in map(str.strip, names)


def join_inner_generations() -> dict[str, str]:
    """Add this extension to those that ADetailer runs, by the web UI's rule for settings; return the changed settings.

    Raises `IPAdapterError` if ADetailer is not installed, or the setting must not be changed.
    Source: modules/ui_settings.py, `run_settings_single`, and modules/options.py, whose assertions are for the flags
    --freeze-settings, --freeze-settings-in-sections and --freeze-specific-settings.
    """
    if SCRIPT_NAMES not in shared.opts.data_labels:
        raise IPAdapterError("The extension ADetailer is not installed.")
    names = [name.strip() for name in shared.opts.data.get(SCRIPT_NAMES, "").split(",")]
    changed = ",".join(dict.fromkeys([*filter(None, names), ENTRY]))
    try:
        shared.opts.set(SCRIPT_NAMES, changed)
        shared.opts.save(shared.config_filename)
    except AssertionError as error:
        raise ForbiddenError(f"The setting was not changed: {error}.") from error
    if in_inner_generations():
        return {SCRIPT_NAMES: changed}
    raise ForbiddenError("The setting was not changed: the web UI does not allow it.")


def controlnets_models(p: Any) -> set[str]:
    """Return the models of enabled ControlNet units in `p`: names in lower case, without folder and hash.

    Source: Mikubill/sd-webui-controlnet 1.1.455, scripts/controlnet.py; Forge's own has the same title and fields.
    """
    scripts = controlnet_scripts(p)
    args = [arg for script in scripts for arg in p.script_args[script.args_from : script.args_to]]
    units = [
        arg if isinstance(arg, dict) else vars(arg) for arg in args if isinstance(arg, dict) or hasattr(arg, "model")
    ]
    models = [str(unit.get("model")) for unit in units if unit.get("enabled", True)]
    return {Path(HASH.sub("", model)).stem.lower() for model in models}


def is_inner(p: Any) -> bool:
    """Return whether `p` is an inner generation of ADetailer (scripts/!adetailer.py, `get_i2i_p`)."""
    return bool(getattr(p, "_ad_inner", False))


def loras_of_prompt() -> frozenset[str]:
    """Return the LoRAs that the prompt has loaded.

    Source: extensions-builtin/Lora/networks.py, which holds the LoRAs of the last parsed prompt, including the hires
    prompt.
    """
    loaded = getattr(sys.modules.get("networks"), "loaded_networks", ())
    return frozenset(Path(network.network_on_disk.filename).stem.lower() for network in loaded)

"""Writes samples of what version 0.1.0 kept into a folder, with that version's code.

Run it in the folder tests/ of its commit adb9b1d, with `..` on PYTHONPATH. test_older_data.py reads the samples.
"""

import base64
import json
import runpy
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import conftest  # noqa: F401, adjusts the imports
import torch
from small_host import CONTEXT, Processing, SmallHost, ask, call, photo, save_files
from unets import ldm_unet

from lib_ipadapter.hosts.host import Shelter
from lib_ipadapter.session import Session


SITE = "input_blocks.1.1.transformer_blocks.0.attn2.to_out.0"
"""Where what each unit adds is recorded."""


class Option:
    """What the web UI keeps of a setting, for its default."""

    def __init__(self, default: object, *_: object, **__: object) -> None:
        self.default = default

    def info(self, _text: str) -> "Option":
        return self

    def needs_reload_ui(self) -> "Option":
        return self


def web_ui_settings() -> dict[str, object]:
    """Return the settings that the script adds to a web UI's settings file."""
    found: dict[str, object] = {}
    options = SimpleNamespace(
        add_option=lambda key, option: found.update({key: option.default}), onchange=lambda *_: None, data={}
    )
    callbacks = {name: lambda *_: None for name in ("on_before_ui", "on_app_started", "on_cfg_denoiser")}
    parts = {
        "shared": {"OptionInfo": Option, "opts": options, "cmd_opts": None},
        "scripts": {"Script": object},
        "script_callbacks": {**callbacks, "on_ui_settings": lambda add: add()},
        "ui_components": {},
    }
    sys.modules["modules"] = ModuleType("modules")
    for name, content in parts.items():
        vars(sys.modules["modules"])[name] = SimpleNamespace(**content)
    runpy.run_path("../scripts/ip_adapter.py")
    return found


def write(folder: Path, made: Path) -> None:
    """Save a preset, subjects and references as a user does, and generate with them."""
    made.mkdir()
    save_files(made)
    host = SmallHost(made, ldm_unet(context_dim=CONTEXT))
    host.kept = Shelter(folder / "references", 1 << 20)
    session = Session(host)
    settings = {"weight_type": "style transfer", "layers": "0:0.5, 6:1", "crop": "pad", "end": 0.8}
    for name, more in {"Weich 猫": settings, "Plain": {}, "Default": {"weight": 0.6, "combine": "average"}}.items():
        ask(session, "save preset", name=name, unit={"model": "base", "images": [photo()], **more})
    pictures = [{"image": photo(3), "note": "from afar"}, {"image": photo(4), "weight": 0.5, "crop": "top"}]
    ask(session, "save subject", name="Anna Blum", pictures=pictures, notes="née Klein")
    zipped = ask(session, "export subject", name="Anna Blum")["zip"]
    (folder / "Anna Blum.zip").write_bytes(base64.b64decode(zipped))
    images = [photo(5), {"image": photo(6), "weight": 0.5}]
    for name, more in {"whole": {}, "tiles": {"tiles": True}}.items():
        ask(session, "save", name=name, unit={"model": "plus", "images": images, **more})
    units = [
        {"model": "base", "images": [photo(1), {"image": photo(2), "weight": 0.5, "mask": photo(9)}], **settings},
        {"model": "plus", "subject": "Anna Blum", "negative_images": [photo(7)], "hires_weight": 0.3, "pass": "base"},
        {"model": "plus", "embeds": "whole", "weight": 0.333, "region": "left half; feather 0.1", "unfold": True},
    ]
    (folder / "config.json").write_text(json.dumps(web_ui_settings(), indent=1), encoding="utf-8")
    p = Processing()
    session.before_generation(p, units)
    assert not host.refused, host.refused
    added = [
        (call(host, session, [unit], watch=SITE) - call(host, session, [], watch=SITE))[:, 0, :6] for unit in units
    ]
    (folder / "added.json").write_text(json.dumps(torch.stack(added).tolist()), encoding="utf-8")
    (folder / "units.json").write_text(json.dumps(units, indent=1, ensure_ascii=False), encoding="utf-8")
    described = json.dumps(p.extra_generation_params, indent=1, ensure_ascii=False)
    (folder / "parameters.json").write_text(described, encoding="utf-8")


if __name__ == "__main__":
    target = Path(sys.argv[1])
    write(target, target / "made")

"""Install what the web UI's Python lacks, and change nothing that it has. The web UI runs this at every start.

Every version that is there goes to pip as a constraint, so that pip adds packages or fails, but never replaces one.
"""

import importlib.util
import sys
import tempfile
from importlib import metadata
from pathlib import Path

NEEDED = {"open_clip": "open_clip_torch", "safetensors": "safetensors", "einops": "einops"}
"""Packages by the name under which they are imported. All but the first are in every web UI known to us."""


def missing() -> list[str]:
    return [package for name, package in NEEDED.items() if importlib.util.find_spec(name) is None]


def constraints() -> str:
    """Return every installed distribution at its very version, as a constraints file."""
    there = {d.metadata["Name"]: d.version for d in metadata.distributions() if d.metadata["Name"] and d.version}
    return "".join(f"{name}=={version}\n" for name, version in sorted(there.items()))


def install(packages: list[str]) -> None:
    """Install the packages through the web UI's own launcher, which knows its index, its flags and its installer."""
    import launch

    with tempfile.TemporaryDirectory() as folder:
        pins = Path(folder, "constraints.txt")
        pins.write_text(constraints(), encoding="utf-8")
        try:
            launch.run_pip(f'install --constraint "{pins}" {" ".join(packages)}', "requirements of IP-Adapter")
        except RuntimeError as error:
            names = " ".join(packages)
            print(
                f"IP-Adapter: {names} could not be installed beside the versions that the web UI has, so nothing was "
                f"changed; units cannot run until it is there. pip said: {str(error)[-600:]}",
                file=sys.stderr,
            )


if packages := missing():
    install(packages)

"""The ends of the supported versions, and the environment of each: its requirements file, its Python, its tests.

Standard library only: `tasks.py` imports this before any environment is there.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.needs import runs_anywhere

ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / "build"
REQUIREMENTS = ROOT / "tests" / "requirements"


class MissingPythonError(Exception):
    """The Python that an end needs is not installed."""


@dataclass(frozen=True)
class End:
    """One end of the supported versions: its requirements file, its Python, and the tests that make sense there."""

    name: str
    python: str
    """Wanted version, or empty for the Python that runs this file."""
    tests: tuple[str, ...]

    @property
    def folder(self) -> Path:
        return BUILD / f"env-{self.name}"

    @property
    def executable(self) -> str:
        return str(self.folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python"))


BROWSER_ONLY = (
    *("crop", "face_offer", "following", "get_models", "helpers", "keypoints", "likeness", "masks"),
    *("offered", "recipes", "regions", "repairs", "states", "steps", "strength", "strip", "try"),
)
"""Tests in tests/panel of what the browser draws, which does not depend on gradio's version."""
ONE_END_ONLY = (
    *("active_unit", "contract", "families", "instantid_a1111", "instantid_forge"),
    *("install", "meaning", "missing_files", "people", "region_text"),
)
"""Long tests that do not depend on packages whose versions differ much."""

ENDS = {
    end.name: end
    for end in (
        End("current", "", ("tests", "--ignore-glob", "tests/panel/test_[!d]*")),  # no web UI has this gradio
        End(
            "a1111",
            "3.10",
            (
                "tests",
                *(f"--ignore=tests/panel/test_{name}.py" for name in BROWSER_ONLY),
                *(f"--ignore=tests/test_{name}.py" for name in ONE_END_ONLY),
            ),
        ),
        End(
            "forge-neo",
            "3.13",
            ("tests/test_unit.py", "tests/test_downloads.py", "tests/test_route_guards.py", "tests/panel"),
        ),
    )
}

SYSTEMS = "systems"


def end_of_systems() -> End:
    """Return the end for other operating systems: tests that need nothing but torch and files."""
    return End(SYSTEMS, "", runs_anywhere())


def find_python(version: str) -> str:
    """Return a Python of this version; the running one if the version is empty."""
    if not version or sys.version_info[:2] == tuple(map(int, version.split("."))):
        return sys.executable
    for candidate in (*_pyenv_pythons(version), f"python{version}"):
        found = shutil.which(candidate)
        if found and subprocess.run([found, "--version"], capture_output=True, check=False).returncode == 0:
            return found
    raise MissingPythonError(f"Python {version} was not found on PATH or in pyenv")


def _pyenv_pythons(version: str) -> list[str]:
    """Return pyenv's Pythons of this version, newest first."""
    if not shutil.which("pyenv"):
        return []

    def pyenv(*arguments: str) -> str:
        return subprocess.run(["pyenv", *arguments], capture_output=True, text=True, check=False).stdout.strip()

    names = [name for name in pyenv("versions", "--bare").split() if name.startswith(f"{version}.")]
    return [str(Path(pyenv("prefix", name), "bin", "python")) for name in reversed(names)]


def set_up(end: End, run: Callable[..., None]) -> None:
    """Make the end's environment with `run`, unless it exists and its requirements are unchanged."""
    wanted = (REQUIREMENTS / f"{end.name}.txt").read_text(encoding="utf-8")
    installed = end.folder / "requirements.txt"
    if installed.exists() and installed.read_text(encoding="utf-8") == wanted:
        return
    python = find_python(end.python)
    shutil.rmtree(end.folder, ignore_errors=True)
    run(python, "-m", "venv", str(end.folder))
    listed = [line for line in wanted.splitlines() if line and not line.startswith("#")]
    alone = [line.removesuffix("  # alone") for line in listed if line.endswith("  # alone")]
    together = [line for line in listed if not line.endswith("  # alone")]
    install = (end.executable, "-m", "pip", "install", "--quiet", "--no-compile")  # most of it is never imported
    run(*install, *together)
    if alone:  # packages whose own pins are years old
        run(*install, "--no-deps", *alone)
    installed.write_text(wanted, encoding="utf-8")

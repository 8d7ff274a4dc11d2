"""Set up, check, test, measure: `python tasks.py test` on any machine with Python 3.10 to 3.13 and nothing else.

Each end of what the extension supports has an environment of its own below build/, made when it is first needed.
"""

import argparse
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent
BUILD = ROOT / "build"
REQUIREMENTS = ROOT / "tests" / "requirements"


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


PROCESSES = min(4, max(2, os.cpu_count() or 2))
"""How many share the tests, where nothing outside them, such as a web UI, is started once for all."""

BY_FILES = ("--dist", "loadfile", "--no-loadscope-reorder")
"""How they share them: each file's tests share what is set up once; the order is that of `tests/conftest.py`."""

BROWSERS_OWN = ("helpers", "keypoints", "likeness", "masks", "strip")
"""Tests of the panel that are about what the browser draws, which is the same whichever gradio carries it."""
SHAPES_AND_DOUBLES = (
    *("contract", "controls", "face_context", "families", "forge_context"),
    *("install", "meaning", "missing_files", "places"),
)
"""Long tests in which no package takes part whose versions differ much; one end is enough for them."""

ENDS = {
    end.name: end
    for end in (
        End("current", "", ("tests", "--ignore-glob", "tests/panel/test_[!d]*")),  # no web UI has its gradio
        End(
            "a1111",
            "3.10",
            (
                "tests",
                *(f"--ignore=tests/panel/test_{name}.py" for name in BROWSERS_OWN),
                *(f"--ignore=tests/test_{name}.py" for name in SHAPES_AND_DOUBLES),
            ),
        ),
        End("forge-neo", "3.13", ("tests/test_units.py", "tests/panel")),
    )
}


def find_python(version: str) -> str | None:
    """Return a Python of this version, or None; the running one where no version is asked for."""
    if not version or sys.version_info[:2] == tuple(map(int, version.split("."))):
        return sys.executable
    candidates = [f"python{version}"]
    if shutil.which("pyenv"):
        listed = subprocess.run(["pyenv", "versions", "--bare"], capture_output=True, text=True, check=False).stdout
        for name in listed.split():
            if name.startswith(f"{version}."):
                prefix = subprocess.run(["pyenv", "prefix", name], capture_output=True, text=True, check=False).stdout
                candidates.insert(0, str(Path(prefix.strip(), "bin", "python")))
    for candidate in candidates:
        found = shutil.which(candidate)
        if found and subprocess.run([found, "--version"], capture_output=True, check=False).returncode == 0:
            return found
    return None


def run(*command: str, **environment: str) -> None:
    print("$", " ".join(command), flush=True)
    subprocess.run(command, cwd=ROOT, env=os.environ | environment, check=True)


def set_up(end: End) -> bool:
    """Make the end's environment unless it is there and unchanged; False where its Python is missing."""
    wanted = (REQUIREMENTS / f"{end.name}.txt").read_text()
    mark = end.folder / "requirements.txt"
    if mark.exists() and mark.read_text() == wanted:
        return True
    python = find_python(end.python)
    if python is None:
        print(f"{end.name}: Python {end.python} was not found; this end is left out.")
        return False
    shutil.rmtree(end.folder, ignore_errors=True)
    run(python, "-m", "venv", str(end.folder))
    listed = [line for line in wanted.splitlines() if line and not line.startswith("#")]
    alone = [line.removesuffix("  # alone") for line in listed if line.endswith("  # alone")]
    together = [line for line in listed if not line.endswith("  # alone")]
    install = (end.executable, "-m", "pip", "install", "--quiet", "--no-compile")  # most of it is never imported
    run(*install, *together)
    if alone:  # packages whose own pins are years old
        run(*install, "--no-deps", *alone)
    mark.write_text(wanted)
    return True


def check() -> None:
    python = ENDS["current"].executable
    run(python, "-m", "ruff", "format", "--check", ".")
    run(python, "-m", "ruff", "check", ".")
    run(python, "-m", "pyright", "--pythonpath", python)


def test(end: End, *more: str) -> None:
    if end.name == "current":
        check()
    shared = () if "IP_ADAPTER_HOST" in os.environ else ("-n", str(PROCESSES), *BY_FILES)
    run(end.executable, "-m", "pytest", *end.tests, *shared, *more, HF_HUB_OFFLINE="1")


MODULES = {
    "demo": "demo.page",
    "demo-panel": "demo.panel",
    "train-demo": "demo.train",
    "screenshots": "screenshots",
}


def demo(task: str, more: list[str]) -> None:
    """Show the small model, train it, take pictures of it, or copy it into a web UI, which needs no environment."""
    if task == "demo-files":
        run(sys.executable, "demo/files.py", *more)
        return
    set_up(ENDS["current"])
    module = MODULES[task]
    # as the tests do, so that torchvision can be imported beside a torch that was built otherwise
    start = f"import sys; sys.path += ['tests']; import conftest; from {module} import main; main()"
    run(ENDS["current"].executable, "-c", start, *more, HF_HUB_OFFLINE="1", OMP_WAIT_POLICY="PASSIVE")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", choices=("test", "check", "bench", "demo-files", *MODULES))
    parser.add_argument("--end", choices=(*ENDS, "all"), default="current", help="which versions to test with")
    options, more = parser.parse_known_args()
    if options.task == "bench":
        set_up(ENDS["current"])
        run(ENDS["current"].executable, "benchmarks/run.py", *more)
        return
    if options.task in ("demo-files", *MODULES):
        demo(options.task, more)
        return
    ends = list(ENDS.values()) if options.end == "all" else [ENDS[options.end]]
    if options.task == "check":
        set_up(ENDS["current"])
        check()
        return
    with ThreadPoolExecutor() as workers:  # most of the time goes into fetching and unpacking
        ready = [end for end, made in zip(ends, list(workers.map(set_up, ends)), strict=True) if made]
    for end in ready:
        test(end, *more)


if __name__ == "__main__":
    main()

"""Setup, checks, tests and benchmarks, for example `python tasks.py test`. Needs only Python 3.10 to 3.13.

Each end of the supported versions has its own environment in build/, created on first use. The test command ends with
one line of counts, and its exit code is 0 only if nothing failed.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.environments import BUILD, ENDS, ROOT, SYSTEMS, End, MissingPythonError, end_of_systems, set_up
from tests.results import Results, print_summary, read_report

IMPOSSIBLE = 2
"""Exit code of a task that could not run; failed tests and checks give 1."""

PROCESSES = min(4, max(2, os.cpu_count() or 2))
"""Number of test processes, except for tests that share something outside, such as a web UI."""

BY_FILES = ("--dist", "loadfile", "--no-loadscope-reorder")
"""How tests are distributed: the tests of a file run in one process, in the order of `tests/conftest.py`."""


def run(*command: str, **environment: str) -> None:
    """Run a command in the repository; it must exit with code 0, and is ended if this process is ended."""
    print("$", " ".join(command), flush=True)
    with subprocess.Popen(command, cwd=ROOT, env=os.environ | environment) as child:
        try:
            code = child.wait()
        except BaseException:
            child.terminate()
            child.wait()
            raise
    if code:
        raise subprocess.CalledProcessError(code, command)


SCRIPTS = ("tests/check_scripts.py",)
"""The one check that needs more than Python: npm."""
CHECKS = (
    ("-m", "ruff", "format", "--check", "."),
    ("-m", "ruff", "check", "."),
    ("-m", "pyright", "--pythonpath", ENDS["current"].executable),
    SCRIPTS,
)


def check(strict: bool) -> Results:
    """Run each check; without npm, the check of scripts and styles is skipped unless `strict`."""
    skipped = Counter({"npm was not found: javascript/ and styles/": int(not (strict or shutil.which("npm")))})
    failed: list[str] = []
    for command in CHECKS:
        if command is SCRIPTS and skipped.total():
            continue
        try:
            run(ENDS["current"].executable, *command)
        except subprocess.CalledProcessError:
            failed.append(" ".join(command))
    return Results("check", failed_tests=tuple(failed), skipped=+skipped)


def test(end: End, strict: bool, more: list[str]) -> Results:
    """Run the tests of an end whose environment exists."""
    report = BUILD / f"tests-{end.name}.xml"
    report.unlink(missing_ok=True)
    shared = () if "IP_ADAPTER_HOST" in os.environ else ("-n", str(PROCESSES), *BY_FILES)
    known = ("--known-skips", end.name) if strict else ()
    options = (*shared, *report_options(report), *known, *more)
    code = 0
    try:
        run(end.executable, "-m", "pytest", *end.tests, *options, HF_HUB_OFFLINE="1")
    except subprocess.CalledProcessError as error:
        code = error.returncode
    return read_report(end.name, report, code)


def report_options(report: Path) -> tuple[str, ...]:
    """Return options that make pytest write a full report, even if a file cannot be imported."""
    return ("--continue-on-collection-errors", f"--junit-xml={report}")


def test_ends(ends: list[End], strict: bool, more: list[str]) -> int:
    """Set up and test each end, print a summary, and return the exit code."""
    with ThreadPoolExecutor() as workers:  # most of the time is spent downloading and unpacking
        problems = list(workers.map(problem_of_setting_up, ends))
    results = []
    for end, problem in zip(ends, problems, strict=True):
        if problem:
            results.append(Results(end.name, problems=(problem,)))
            continue
        if end.name == "current":
            results.append(check(strict))
        results.append(test(end, strict, more))
    return print_summary(results)


def problem_of_setting_up(end: End) -> str:
    """Set up an end, and return what went wrong, or ""."""
    try:
        set_up(end, run)
    except (MissingPythonError, subprocess.CalledProcessError) as error:
        return str(error)
    return ""


MODULES = {
    "demo": "demo.page",
    "demo-panel": "demo.panel",
    "train-demo": "demo.train",
    "screenshots": "screenshots",
}


def run_module(module: str, more: list[str]) -> None:
    """Run the `main` of a module of the demo or the tests in the current end's environment."""
    set_up(ENDS["current"], run)
    # conftest is imported as in tests, so that torchvision works with a different build of torch
    start = f"import sys; sys.path += ['tests']; import conftest; from {module} import main; main()"
    run(ENDS["current"].executable, "-c", start, *more, HF_HUB_OFFLINE="1", OMP_WAIT_POLICY="PASSIVE")


def perform(options: argparse.Namespace, more: list[str]) -> int:
    """Perform the chosen task and return its exit code."""
    strict = options.end == "all" or os.environ.get("CI", "").lower() in ("1", "true")
    if options.task == "test":
        if options.end == SYSTEMS:  # what is missing there may be skipped
            return test_ends([end_of_systems()], False, more)
        ends = list(ENDS.values()) if options.end == "all" else [ENDS[options.end]]
        return test_ends(ends, strict, more)
    if options.task == "demo-files":  # needs no environment
        run(sys.executable, "demo/files.py", *more)
    elif options.task in MODULES:
        run_module(MODULES[options.task], more)
    else:
        set_up(ENDS["current"], run)
        if options.task == "check":
            return print_summary([check(strict)])
        benchmark = "card.py" if any(each.startswith("--device") for each in more) else "run.py"
        run(ENDS["current"].executable, f"benchmarks/{benchmark}", *more)
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", choices=("test", "check", "bench", "demo-files", *MODULES))
    parser.add_argument("--end", choices=(*ENDS, SYSTEMS, "all"), default="current", help="which versions to test with")
    options, more = parser.parse_known_args()
    signal.signal(signal.SIGTERM, ended)
    try:
        return perform(options, more)
    except MissingPythonError as error:
        print(error, file=sys.stderr)
        return IMPOSSIBLE
    except subprocess.CalledProcessError:  # the command has already printed the error
        return IMPOSSIBLE
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def ended(_signal: int, _frame: Any) -> None:
    """End this process with an exception, so that its child processes are ended too."""
    raise SystemExit(128 + signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main())

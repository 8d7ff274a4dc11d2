"""tasks.py: nothing passes because it is missing, and nothing that was started keeps running."""

import ast
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import conftest
import known_skips
import pytest

import tasks
from tests import environments
from tests.environments import ENDS, End
from tests.results import Results, print_summary, read_report

TESTS = Path(__file__).resolve().parent
ROOT = TESTS.parent
COUNTS = re.compile(r"\d+ passed, \d+ failed, \d+ skipped")


def functions(path: Path) -> set[str]:
    return {node.name for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.FunctionDef)}


def run_pytest(folder: Path, tests: dict[str, str], *options: str) -> tuple[Results, str]:
    """Run test files with the plugin as tasks.py does, and return the results and the output."""
    (folder / "conftest.py").write_text("from known_skips import *")
    for name, content in tests.items():
        (folder / f"test_{name}.py").write_text(content)
    report = folder / "report.xml"
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *tasks.report_options(report), *options, "."]
    environment = os.environ | {"PYTHONPATH": str(TESTS)}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    return read_report("current", report, done.returncode), done.stdout


SKIPS = {
    "mark": "import pytest\n@pytest.mark.skip(reason='no Chromium')\ndef test_it(): pass",
    "call": "import pytest\ndef test_it(): pytest.skip('no Chromium')",
    "fixture": "import pytest\n@pytest.fixture\ndef page(): pytest.skip('no Chromium')\ndef test_it(page): pass",
    "module": "import pytest\npytest.skip('no Chromium', allow_module_level=True)",
    "import": "import pytest\npytest.importorskip('nothing_of_that_name', reason='no Chromium')",
}


@pytest.mark.parametrize("processes", ["0", "2"])
def test_a_skip_that_is_not_listed_is_a_failure_in_ci(tmp_path: Path, processes: str) -> None:
    tests, options = SKIPS | {"sound": "def test_it(): pass"}, ("-n", processes)
    lenient, _ = run_pytest(tmp_path, tests, *options)
    assert (lenient.passed, lenient.failed, dict(lenient.skipped)) == (1, 0, {"no Chromium": len(SKIPS)})
    strict, printed = run_pytest(tmp_path, tests, *options, "--known-skips", "current")
    assert (strict.passed, strict.failed, strict.skipped.total()) == (1, len(SKIPS), 0)
    assert "no Chromium" in printed
    assert "known_skips.py does not list it" in printed


def test_a_skip_is_listed_for_a_test_and_an_end() -> None:
    assert known_skips.is_known("tests/host/test_api.py::test_the_routes_list_files_and_fields", "current")
    assert known_skips.is_known("tests/test_whole_unet.py", "a1111")
    assert not known_skips.is_known("tests/test_whole_unet.py", "current")
    assert not known_skips.is_known("tests/panel/test_panel.py::test_five_units", "a1111")


@pytest.mark.parametrize("begins", known_skips.KNOWN)
def test_every_listed_skip_names_an_existing_test(begins: str) -> None:
    path, _, name = begins.partition("::")
    assert (ROOT / path).exists()
    assert not name or name in functions(ROOT / path)
    assert set(known_skips.KNOWN[begins][0]) <= set(ENDS)


def test_every_file_that_runs_first_exists() -> None:
    there = {path.stem for path in TESTS.rglob("test_*.py")}
    assert set(conftest.LONGEST) <= there, set(conftest.LONGEST) - there


def test_every_file_that_an_end_names_exists() -> None:
    left_out = {*(f"tests/panel/test_{name}.py" for name in environments.BROWSER_ONLY)}
    left_out |= {f"tests/test_{name}.py" for name in environments.ONE_END_ONLY}
    named = {name for end in ENDS.values() for name in end.tests if not name.startswith("--") and "*" not in name}
    assert [name for name in left_out | named if not (ROOT / name).exists()] == []


def test_every_test_that_does_not_apply_to_a_web_ui_exists() -> None:
    pytest.importorskip("torch")
    from host.conftest import NOT_IN

    there = {name for path in (TESTS / "host").glob("test_*.py") for name in functions(path)}
    begins = {begins.partition("[")[0] for reasons in NOT_IN.values() for begins in reasons}
    assert [each for each in begins if not any(name.startswith(each) for name in there)] == []


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for environments and reports."""
    monkeypatch.setattr(environments, "BUILD", tmp_path)
    monkeypatch.setattr(tasks, "BUILD", tmp_path)
    return tmp_path


def test_an_end_whose_python_is_missing_is_a_failure(build: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert tasks.test_ends([End("a1111", "3.99", ("tests",))], False, []) == 1
    *before, last = capfd.readouterr().out.strip().splitlines()
    assert last == "0 passed, 1 failed, 0 skipped"
    assert "a1111: failed: Python 3.99 was not found on PATH or in pyenv" in before


def test_an_environment_that_cannot_be_made_is_a_failure(
    build: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(environments, "find_python", lambda _version: "false")
    assert tasks.test_ends([ENDS["a1111"]], False, []) == 1
    assert capfd.readouterr().out.strip().splitlines()[-1] == "0 passed, 1 failed, 0 skipped"


@pytest.mark.parametrize("strict", [False, True])
def test_without_npm_the_scripts_checks_are_skipped_and_in_ci_they_fail(
    strict: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(*command: str) -> None:
        if command[1:] == tasks.SCRIPTS:
            raise subprocess.CalledProcessError(1, command)

    monkeypatch.setattr(tasks, "run", run)
    monkeypatch.setattr(tasks.shutil, "which", lambda _name: None)
    results = tasks.check(strict)
    assert (results.failed, results.skipped.total()) == (int(strict), int(not strict))


def test_a_run_without_a_report_is_a_failure(tmp_path: Path) -> None:
    results = read_report("current", tmp_path / "none.xml", 4)
    assert (results.failed, results.problems) == (1, ("pytest ended with code 4 and wrote no report",))


def test_a_run_without_any_test_is_a_failure(tmp_path: Path) -> None:
    results, _ = run_pytest(tmp_path, {"none": ""})
    assert results.problems == ("pytest ended with code 5",)


MIXED = """
import pytest
def test_one(): pass
def test_two(): assert False
@pytest.fixture
def broken(): raise OSError
def test_three(broken): pass
@pytest.mark.parametrize("n", range(3))
def test_four(n): pytest.skip("some reason")
"""


def test_the_last_line_counts_all_ends_and_the_exit_code_shows_a_failure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results, _ = run_pytest(tmp_path, {"some": MIXED})
    assert print_summary([results, Results("a1111", passed=5)]) == 1
    *before, last = capsys.readouterr().out.strip().splitlines()
    assert last == "6 passed, 2 failed, 3 skipped"
    assert COUNTS.fullmatch(last)
    assert "current: skipped 3: some reason" in before
    assert "current: failed: test_some.test_two" in before
    assert print_summary([Results("a1111", passed=5)]) == 0


@pytest.mark.parametrize("task", [["demo-files", "/nowhere/web-ui"], ["demo-files"]])
def test_a_task_that_cannot_run_ends_with_a_reason_and_exit_code_2(task: list[str]) -> None:
    done = subprocess.run([sys.executable, "tasks.py", *task], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert re.search(r"is not a web UI's folder|WEBUI_FOLDER", done.stdout + done.stderr)


INTERRUPTIBLE = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})"
)
"""Receives interrupts, also where what runs the tests ignores or blocks them, as in the background."""


@pytest.fixture
def waiting(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A task that waits for its child, and the child's process id."""
    noted = tmp_path / "child"
    child = f"import os, pathlib, time; pathlib.Path({str(noted)!r}).write_text(str(os.getpid())); time.sleep(600)"
    task = f"import sys, tasks; tasks.perform = lambda *_: tasks.run(sys.executable, '-c', {child!r}); tasks.main()"
    task = f"{INTERRUPTIBLE}; {task}"
    with subprocess.Popen([sys.executable, "-c", task, "check"], cwd=ROOT) as started:
        while not (noted.exists() and noted.read_text()):
            assert started.poll() is None
            time.sleep(0.05)
        yield started, int(noted.read_text())
        started.kill()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no signals to catch")
@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGINT])
def test_ending_a_task_ends_its_child_processes(
    waiting: tuple[subprocess.Popen[bytes], int], by: signal.Signals
) -> None:
    task, child = waiting
    task.send_signal(by)
    task.wait(20)
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)

"""What .github/ names exists: commands, ends, Pythons, links; and the tests of other systems need no web UI."""

import importlib.util
import os
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

import tasks
from tests.environments import ENDS, REQUIREMENTS, ROOT, SYSTEMS
from tests.needs import runs_anywhere

if not importlib.util.find_spec("yaml"):
    pytest.skip("PyYAML is not installed at this end", allow_module_level=True)

import yaml

WORKFLOW = ROOT / ".github" / "workflows" / "tests.yml"
FORMS = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("[0-9]*.yml"))
EXPRESSION = re.compile(r"\$\{\{ matrix\.(\w+) \}\}")


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def jobs() -> dict[str, Any]:
    return read(WORKFLOW)["jobs"]


def variants(job: dict[str, Any]) -> list[dict[str, str]]:
    """Return the values of a job's matrix, one mapping for each run."""
    matrix = job["strategy"]["matrix"]
    return matrix.get("include") or [{name: value} for name, values in matrix.items() for value in values]


def commands() -> list[list[str]]:
    """Return the words of each command that the workflow runs, with all values of its matrix."""
    return [
        shlex.split(EXPRESSION.sub(lambda found, values=values: values[found[1]], step["run"]))
        for job in jobs().values()
        for values in variants(job)
        for step in job["steps"]
        if "run" in step
    ]


def test_each_command_is_one_that_exists(monkeypatch: pytest.MonkeyPatch) -> None:
    tested: list[str] = []
    monkeypatch.setattr(tasks, "test_ends", lambda ends, strict, more: tested.extend(end.name for end in ends) or 0)
    monkeypatch.setenv("CI", "true")
    for program, *arguments in commands():
        if program == "python":
            monkeypatch.setattr("sys.argv", arguments)
            assert arguments[0] == "tasks.py"
            assert tasks.main() == 0
        else:
            assert os.access(ROOT / program, os.X_OK)
            assert not arguments
    assert sorted(tested) == sorted([*ENDS, SYSTEMS, SYSTEMS])


def test_each_end_has_its_python() -> None:
    pythons = {values["end"]: values["python"] for values in variants(jobs()["ends"])}
    assert {name: pythons[name] for name, end in ENDS.items() if end.python} == {
        name: end.python for name, end in ENDS.items() if end.python
    }
    assert set(pythons) == set(ENDS)


def test_the_ci_script_installs_the_browser_as_the_workflow_does() -> None:
    assert ".ci/browser\n" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert [".ci/browser"] in commands()


def test_other_systems_run_what_depends_on_them_and_needs_no_web_ui() -> None:
    chosen = set(runs_anywhere())
    assert {f"tests/test_{name}.py" for name in ("files", "downloads", "hostile_files", "systems", "cli")} <= chosen
    assert not {f"tests/test_{name}.py" for name in ("session", "routes", "whole_unet", "github", "demo")} & chosen


def test_the_packages_of_other_systems_are_those_of_the_current_end() -> None:
    pinned = (REQUIREMENTS / "current.txt").read_text(encoding="utf-8").splitlines()
    for line in (REQUIREMENTS / "systems.txt").read_text(encoding="utf-8").splitlines():
        assert line.startswith("#") or "==" not in line or line in pinned


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.stem)
def test_issue_forms_have_unique_ids_and_links_that_lead_somewhere(path: Path) -> None:
    form = read(path)
    assert {"name", "description", "body"} <= set(form)
    ids = [part["id"] for part in form["body"] if part["type"] != "markdown"]
    assert len(ids) == len(set(ids))
    for link in re.findall(r"\]\(\.\./blob/main/([^)#]+)", path.read_text(encoding="utf-8")):
        assert (ROOT / link).exists()


def test_a_bug_report_needs_the_report_that_the_panel_copies() -> None:
    (form,) = [read(path) for path in FORMS if "bug" in path.name]
    (report,) = [part for part in form["body"] if part.get("id") == "report"]
    assert report["validations"]["required"] is True
    assert "*Copy report*" in report["attributes"]["description"]
    code = (ROOT / "javascript" / "ip_adapter_report.js").read_text(encoding="utf-8")
    assert 'say("Copy report")' in code

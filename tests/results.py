"""The results of one end's tests, read from pytest's JUnit report. Standard library only."""

from __future__ import annotations

import ast
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree


@dataclass(frozen=True)
class Results:
    """Counts of one end; `problems` describes failures outside of tests, such as a missing Python."""

    end: str
    passed: int = 0
    failed_tests: tuple[str, ...] = ()
    skipped: Counter[str] = field(default_factory=Counter)
    """How many were skipped, by reason; a module skipped as a whole counts once."""
    problems: tuple[str, ...] = ()

    @property
    def failed(self) -> int:
        return len(self.failed_tests) + len(self.problems)


def read_report(end: str, report: Path, code: int) -> Results:
    """Return the results in the report of a pytest run with this exit code."""
    if not report.exists():
        return Results(end, problems=(f"pytest ended with code {code} and wrote no report",))
    passed, failed, skipped = 0, [], Counter[str]()
    for case in ElementTree.parse(report).iter("testcase"):
        if (skip := case.find("skipped")) is not None:
            skipped[_reason(skip)] += 1
        elif case.find("failure") is not None or case.find("error") is not None:
            failed.append(f"{case.get('classname')}.{case.get('name')}".strip("."))
        else:
            passed += 1
    unexplained = code != 0 and not failed
    problems = (f"pytest ended with code {code}",) if unexplained else ()
    return Results(end, passed, tuple(failed), skipped, problems)


def _reason(skip: ElementTree.Element) -> str:
    message, text = skip.get("message", ""), skip.text or ""
    if message == "collection skipped":  # for a module the text is the tuple (path, line, "Skipped: reason")
        return str(ast.literal_eval(text)[2]).removeprefix("Skipped: ")
    return message


def print_summary(results: list[Results]) -> int:
    """Print what was skipped and why, what failed, and last a line of counts; return the exit code."""
    for each in results:
        for reason, count in sorted(each.skipped.items()):
            print(f"{each.end}: skipped {count}: {reason}")
    for each in results:
        for failure in (*each.problems, *each.failed_tests):
            print(f"{each.end}: failed: {failure}")
    passed, failed = sum(each.passed for each in results), sum(each.failed for each in results)
    skipped = sum(each.skipped.total() for each in results)
    print(f"{passed} passed, {failed} failed, {skipped} skipped", flush=True)
    return int(failed > 0)

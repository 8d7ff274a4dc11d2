"""The tests that may be skipped in CI, and a pytest plugin that fails every other one that is skipped there.

`--known-skips END` names the end of the supported versions that is tested; without it any test may be skipped.
"""

from collections.abc import Iterator
from typing import Any

import pytest

EVERYWHERE = ("current", "a1111", "forge-neo")

KNOWN: dict[str, tuple[tuple[str, ...], str]] = {
    "tests/host/": (EVERYWHERE, "they run in an installed web UI, which IP_ADAPTER_HOST names"),
    "tests/test_install.py": (("current",), "A1111's numpy is built for Python 3.10 to 3.12, Forge Neo's for 3.11 on"),
    "tests/test_model_files.py::test_a_file_without_permission_is_reported": (EVERYWHERE, "root may read everything"),
    "tests/test_hostile_files.py::test_a_file_without_permission_is_reported_as_such": (
        EVERYWHERE,
        "root may read everything",
    ),
    "tests/test_downloads.py::test_if_the_disk_fills_up_what_was_downloaded_is_kept": (
        EVERYWHERE,
        "only root can make a small disk, on Linux",
    ),
    "tests/test_attention.py::test_half_precision_gives_no_nan_for_any_finite_input": (
        ("a1111",),
        "torch 2.1 has no half precision on a CPU",
    ),
    "tests/test_benchmarks.py": (("a1111",), "the oracle, diffusers, needs a newer torch"),
    "tests/test_counting.py::test_a_unet_has_the_stated_operations": (
        ("a1111",),
        "the oracle, diffusers, needs a newer torch",
    ),
    "tests/test_whole_unet.py": (("a1111",), "the oracle, diffusers, needs a newer torch"),
    "tests/test_flux.py": (("a1111",), "the oracle, diffusers, needs a newer torch"),
    "tests/test_siglip.py": (("a1111",), "the oracle needs a newer transformers"),
    "tests/test_pulid.py": (("a1111",), "the oracle, diffusers, needs a newer torch"),
    "tests/test_faceid.py": (("a1111",), "the oracle, diffusers, needs a newer torch"),
    "tests/test_instantid.py": (("a1111",), "the oracle, diffusers, needs a newer torch"),
    "tests/test_saved_embeds.py::test_files_saved_by_diffusers_are_read": (
        ("a1111",),
        "the oracle, diffusers, needs a newer torch",
    ),
    "tests/test_routes.py::test_schemathesis_finds_nothing": (("a1111",), "schemathesis needs a newer pydantic"),
    "tests/panel/test_demo_panel.py": (("forge-neo",), "this end has no torch"),
}
"""By the start of a test's id: the ends at which it may be skipped, and why."""


def is_known(test: str, end: str) -> bool:
    return any(test.startswith(begins) and end in ends for begins, (ends, _) in KNOWN.items())


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--known-skips", metavar="END", help="fail what is skipped but not listed for this end")


def fail_unless_known(report: Any, end: str | None) -> None:
    """Turn a skip that is not listed for the end into a failure."""
    if end and report.skipped and not hasattr(report, "wasxfail") and not is_known(report.nodeid, end):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = (  # with the id: pytest-xdist counts files that cannot be collected by this text
            f"{report.nodeid} may not be skipped at the end {end}, for tests/known_skips.py does not list it.\n{reason}"
        )


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[Any]:
    report = yield
    fail_unless_known(report, item.config.getoption("known_skips"))
    return report


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Iterator[Any]:
    report = yield
    fail_unless_known(report, collector.config.getoption("known_skips"))
    return report

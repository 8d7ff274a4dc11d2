"""The benchmark of what a generation costs outside sampling still measures what it says."""

import sys
from pathlib import Path

import pytest

if sys.platform == "win32":
    pytest.skip("the benchmark reads its memory as Unix does", allow_module_level=True)

sys.path.append(str(Path(__file__).resolve().parent.parent / "benchmarks"))

import generation


@pytest.mark.parametrize("measure", [generation.open_large, generation.prepare_again, generation.paste])
def test_each_cost_has_a_name_and_a_time(measure) -> None:
    assert all(took > 0 for took in measure().values())


def test_a_large_file_is_recognised_without_reading_its_tensors() -> None:
    (what,) = generation.open_large()
    assert int(what.split(",")[1].split()[0]) < 50, "megabytes of 1500"

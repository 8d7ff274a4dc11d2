import argparse
from typing import Any

class Options:
    data: dict[str, Any]
    data_labels: dict[str, Any]

    def set(self, key: str, value: Any) -> bool: ...
    def save(self, filename: str) -> None: ...

class State:
    interrupted: bool
    skipped: bool
    stopping_generation: bool
    job: str
    job_count: int
    sampling_step: int
    sampling_steps: int
    textinfo: str | None

    def begin(self, job: str = ...) -> None: ...
    def end(self) -> None: ...

opts: Options
cmd_opts: argparse.Namespace
state: State
data_path: str
sd_model: Any
"""The loaded checkpoint; reading it loads one if there is none."""
config_filename: str

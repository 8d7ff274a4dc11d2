"""The download queue: one file at a time, in order, can be stopped and resumed, and never gets stuck."""

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hub import Hub, stall, status
from test_downloads import CONTENT, names, published, serve

from lib_ipadapter.files import download_queue
from lib_ipadapter.files import hub as hub_module
from lib_ipadapter.files.catalogue import PublishedFile
from lib_ipadapter.files.download_queue import DownloadQueue, Entry, Order, process_queue


@pytest.fixture
def queue() -> DownloadQueue:
    return DownloadQueue()


def order(file: PublishedFile, folder: Path, then: Callable[[], None] = lambda: None) -> Order:
    return Order(file, folder, then)


def states(queue: DownloadQueue) -> dict[str, str]:
    return {each.file.name: each.state for each in queue.progress()}


def until(true: Callable[[], object]) -> None:
    end = time.monotonic() + 20
    while not true():
        assert time.monotonic() < end
        time.sleep(0.005)


def over(queue: DownloadQueue) -> bool:
    return not any(state in download_queue.UNDER_WAY for state in states(queue).values())


def test_files_are_downloaded_one_at_a_time_in_the_order_requested(
    hub: Hub, queue: DownloadQueue, tmp_path: Path
) -> None:
    files = [published(f"{name}.bin") for name in "cab"]
    for file in files:
        serve(hub, file)
    most, done = 0, list[str]()

    def count() -> None:
        nonlocal most
        time.sleep(0.005)
        running = sum(state in ("running", "checking") for state in states(queue).values())
        most = max(most, running)

    hub.sleep = count
    queue.add([order(file, tmp_path, lambda name=file.name: done.append(name)) for file in files])
    queue.add([order(files[0], tmp_path)])  # is already under way
    until(lambda: over(queue))
    assert most == 1
    assert done == [file.name for file in files]
    assert states(queue) == dict.fromkeys(done, "done")
    assert names(tmp_path) == ["a.bin", "b.bin", "c.bin"]
    assert len(hub.ranges()) == 3
    (first, *_) = queue.progress()
    assert (first.done, first.bytes, first.speed, first.seconds_left) == (len(CONTENT), len(CONTENT), 0, None)


def test_after_a_failure_with_its_error_the_next_download_starts(
    hub: Hub, queue: DownloadQueue, tmp_path: Path
) -> None:
    gone, there = published("gone.bin"), published("there.bin")
    serve(hub, there)
    queue.add([order(gone, tmp_path), order(there, tmp_path)])
    until(lambda: over(queue))
    assert states(queue) == {"gone.bin": "failed", "there.bin": "done"}
    assert "is no longer at" in queue.progress()[0].error
    serve(hub, gone)
    queue.add([order(gone, tmp_path)])
    until(lambda: over(queue))
    assert states(queue) == {"there.bin": "done", "gone.bin": "done"}


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_an_unexpected_error_does_not_stop_the_queue(hub: Hub, queue: DownloadQueue, tmp_path: Path) -> None:
    def fail() -> None:
        raise ZeroDivisionError

    files = [published("a.bin"), published("b.bin")]
    for file in files:
        serve(hub, file)
    queue.add([order(files[0], tmp_path, fail), order(files[1], tmp_path)])
    until(lambda: over(queue))
    assert states(queue) == {"a.bin": "failed", "b.bin": "done"}
    assert "console" in queue.progress()[0].error


def test_stopping_is_immediate_and_the_download_can_be_resumed(
    hub: Hub, queue: DownloadQueue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_module, "TIMEOUT", (1, 1))
    file, waiting, resume = published(), published("b.bin"), threading.Event()
    serve(hub, file, faults=[stall(5 * hub_module.PIECE, resume)])
    serve(hub, waiting)
    queue.add([order(file, tmp_path), order(waiting, tmp_path)])
    until(lambda: queue.progress()[0].done >= 5 * hub_module.PIECE)
    queue.stop([waiting.name])
    assert states(queue) == {file.name: "running", "b.bin": "stopped"}
    queue.stop()
    assert states(queue) == {file.name: "stopped", "b.bin": "stopped"}
    queue.add([order(waiting, tmp_path), order(file, tmp_path)])  # while the first one is still stalled
    assert states(queue) == {"b.bin": "waiting", file.name: "waiting"}
    until(lambda: over(queue))
    resume.set()
    assert states(queue) == {"b.bin": "done", file.name: "done"}
    assert hub.ranges() == ["", "", f"bytes={5 * hub_module.PIECE}-"]


def test_stopping_ends_the_wait_for_another_attempt(hub: Hub, queue: DownloadQueue, tmp_path: Path) -> None:
    file = published()
    serve(hub, file, faults=[status(503, Retry_After="100")])
    queue.add([order(file, tmp_path)])
    until(lambda: hub.ranges())
    time.sleep(0.1)
    queue.stop([file.name])
    queue.add([order(file, tmp_path)])
    until(lambda: over(queue))
    assert states(queue) == {file.name: "done"}


def test_speed_and_time_left_depend_on_the_last_seconds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(download_queue.time, "monotonic", lambda: now)
    entry = Entry(order(replace(published(), bytes=100_000), tmp_path))
    assert (entry.progress.speed, entry.progress.seconds_left) == (0, None)
    for second in range(31):
        now = float(second)
        entry.report("running", second * (1000 if second < 15 else 2000), 100_000)
    assert entry.progress.speed == pytest.approx(2000)
    assert entry.progress.seconds_left == 20
    now += 9  # no bytes arrive
    assert entry.progress.speed == pytest.approx(1000)
    entry.report("checking", 100_000, 100_000)
    assert (entry.progress.speed, entry.progress.seconds_left) == (0, None)


def test_a_process_has_one_queue() -> None:
    assert process_queue() is process_queue()

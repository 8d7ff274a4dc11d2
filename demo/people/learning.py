"""Training in slices of some minutes, each of which continues the last: one file has everything that the next needs."""

import copy
import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import torch
from torch import Tensor, nn

SAVE_EVERY = 120.0
"""Seconds between two saves of the state."""
REPORT_EVERY = 50
"""Number of steps that a line of the log summarises."""


class Clock:
    """Says when a slice is over: when its minutes have passed, or when the process is asked to end."""

    def __init__(self, minutes: float) -> None:
        self.begin = time.monotonic()
        self._minutes = minutes
        self._asked = False
        for each in (signal.SIGTERM, signal.SIGINT):
            signal.signal(each, self._ask)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self._asked = True

    @property
    def over(self) -> bool:
        return self._asked or time.monotonic() - self.begin > 60 * self._minutes


class Learner:
    """AdamW at a constant rate after a short rise, and a running mean of the weights, which is what is used later.

    With `cool`, the rate falls to zero over the slice; this is for the last one.
    """

    def __init__(self, network: nn.Module, path: Path, rate: float, keep: float = 0.999, cool: bool = False) -> None:
        self.network, self.mean = network, copy.deepcopy(network).requires_grad_(False)
        self.step, self.seen, self.seconds = 0, 0, 0.0
        self._path, self._rate, self._keep, self._cool = path, rate, keep, cool
        self._parameters = [p for p in network.parameters() if p.requires_grad]
        self._optimiser = torch.optim.AdamW(self._parameters, lr=rate, betas=(0.9, 0.99), weight_decay=0.01)
        self._losses: dict[str, list[float]] = {}
        if path.exists():
            self._go_on(torch.load(path, map_location=next(network.parameters()).device))

    def _go_on(self, state: dict) -> None:
        """Continue from a state; a packed one has only the mean, which is then used for the weights too."""
        self.network.load_state_dict(state.get("network", state["mean"]))
        self.mean.load_state_dict(state["mean"])
        if "optimiser" in state:
            self._optimiser.load_state_dict(state["optimiser"])
        self.step, self.seen, self.seconds = state["step"], state["seen"], state["seconds"]

    def steps(self, minutes: float) -> Iterator[int]:
        """Yield the number of each step of a slice; save at intervals and at the end."""
        clock, saved = Clock(minutes), time.monotonic()
        before = self.seconds
        while not clock.over:
            self._set_rate((time.monotonic() - clock.begin) / (60 * minutes))
            yield self.step
            self.seconds = before + time.monotonic() - clock.begin
            if time.monotonic() - saved > SAVE_EVERY:
                self.save()
                saved = time.monotonic()
        self.save()

    def _set_rate(self, progress: float) -> None:
        rate = self._rate * min(1.0, (self.step + 1) / 200) * (1 - progress if self._cool else 1.0)
        for group in self._optimiser.param_groups:
            group["lr"] = max(rate, 0.0)

    def learn(self, samples: int, **losses: Tensor) -> None:
        """Take a step on the sum of the losses, which include their factors."""
        self._optimiser.zero_grad()
        sum(losses.values(), torch.zeros((), device=self._parameters[0].device)).backward()
        nn.utils.clip_grad_norm_(self._parameters, 1.0)
        self._optimiser.step()
        keep = min(self._keep, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for mean, now in zip(self.mean.parameters(), self.network.parameters(), strict=True):
                mean.lerp_(now, 1 - keep)
        self.step += 1
        self.seen += samples
        self._note(losses)

    def _note(self, losses: dict[str, Tensor]) -> None:
        for name, loss in losses.items():
            self._losses.setdefault(name, []).append(float(loss.detach()))
        if self.step % REPORT_EVERY == 0:
            means = {name: round(sum(some) / len(some), 5) for name, some in self._losses.items()}
            line = {"step": self.step, "seen": self.seen, "seconds": round(self.seconds), **means}
            with self._path.with_suffix(".jsonl").open("a", encoding="utf-8") as log:
                log.write(json.dumps(line) + "\n")
            print(time.strftime("%H:%M:%S"), line, flush=True)
            self._losses.clear()

    def save(self) -> None:
        state = {
            "network": self.network.state_dict(),
            "mean": self.mean.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "step": self.step,
            "seen": self.seen,
            "seconds": self.seconds,
        }
        self._path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = self._path.with_suffix(".tmp")
        torch.save(state, unfinished)
        unfinished.replace(self._path)


def read_mean(path: Path, network: nn.Module) -> nn.Module:
    """Load a stage's running mean into a network, without gradients."""
    network.load_state_dict(torch.load(path, map_location="cpu")["mean"])
    return network.eval().requires_grad_(False)


def step_of(path: Path) -> int:
    """Return how many steps a stage has taken."""
    return torch.load(path, map_location="cpu")["step"]


def pack(path: Path, packed: Path) -> None:
    """Write only the mean of a state, in half precision: an eighth of its size.

    It can replace the state where that is too large to be copied to another machine.
    """
    state = torch.load(path, map_location="cpu")
    halves = {key: tensor.half() for key, tensor in state["mean"].items()}
    packed.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"mean": halves} | {name: state[name] for name in ("step", "seen", "seconds")}, packed)

"""The benchmarks hold the layers of one site at a time, and say how much memory they need before they start."""

import sys
import weakref
from pathlib import Path

import pytest
import torch

pytest.importorskip("diffusers", reason="diffusers, an oracle, is not installed at this end of the versions")
import diffusers.pipelines.controlnet as pipelines
from diffusers.models.controlnets.multicontrolnet import MultiControlNetModel

pipelines.MultiControlNetModel = MultiControlNetModel  # where the authors' package of 2023 looks for it
sys.path.append(str(Path(__file__).resolve().parent.parent / "benchmarks"))

import sites

SIZE_LIMIT = 6_000_000_000


@pytest.mark.parametrize("name", sites.SIZES)
def test_the_sites_need_less_than_6_gb(name: str) -> None:
    assert 0 < sites.needed_bytes(name, torch.float32) < SIZE_LIMIT


def test_the_layers_of_one_site_are_freed_before_the_next_are_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sites, "SIZES", {"narrow": (sites.SD, 16, 2, None)})
    monkeypatch.setattr(sites, "WIDTHS", {"SD": (8, 8, 8, 8)})
    monkeypatch.setattr(sites, "LATENT", {"SD": (8, 8)})
    made: list[weakref.ref] = []
    alive: list[int] = []
    ways = sites.ways

    def counted(subject, *more):
        alive.append(sum(each() is not None for each in made))
        made.append(weakref.ref(subject.attention))
        return ways(subject, *more)

    monkeypatch.setattr(sites, "ways", counted)
    added = sites.measure("narrow", 1, torch.device("cpu"), torch.float32)
    assert len(made) == 16
    assert set(alive) == {0}
    assert {"ours, 4", "diffusers, 16", "authors, 4"} <= set(added)

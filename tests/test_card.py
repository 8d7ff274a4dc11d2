"""The benchmark for graphics cards: its U-Net is ldm's, its ways act, and it reports each of them."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from lib_ipadapter.networks.unet_modules import find_attentions

sys.path.append(str(Path(__file__).resolve().parent.parent / "benchmarks"))

import card
import ldm_unet
from flux_network import FluxShape

CPU = torch.device("cpu")
NARROW = card.UNetCalls(replace(ldm_unet.SD15, channels=32, context_dim=64), 8, 2)
SHALLOW = card.FluxCalls(FluxShape(heads=2, text=24, pooled=16, channels=4, doubles=3, singles=5), 8, 2)
CALLS = {"U-Net": NARROW, "FLUX": SHALLOW}


def test_the_benchmarks_unet_computes_what_ldms_does() -> None:
    pytest.importorskip("ldm", reason="ldm's U-Net, an oracle, is not installed at this end of the versions")
    from unets import ldm_unet as real_unet

    theirs = real_unet(context_dim=64, channels=32)
    ours = card.made_on(CPU, torch.float32, NARROW)
    ours.load_state_dict(theirs.state_dict())
    torch.manual_seed(2)
    latent, text = torch.randn(2, 4, 16, 16), torch.randn(2, 7, 64)
    timesteps = torch.tensor([3, 700])
    assert torch.allclose(ours(latent, timesteps, text), theirs(latent, timesteps, context=text), atol=1e-5)


@pytest.mark.parametrize(("shape", "sites"), [(ldm_unet.SD15, 16), (ldm_unet.SDXL, 70)])
def test_it_has_all_sites(shape: ldm_unet.Shape, sites: int) -> None:
    with torch.device("meta"):
        unet = ldm_unet.UNet(shape)
    assert len(find_attentions(unet)) == sites


def test_every_way_is_measured_and_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys) -> None:
    monkeypatch.setattr(card, "NETWORKS", CALLS)
    monkeypatch.setattr(card, "RANK", 4)
    monkeypatch.setattr(sys, "argv", ["card.py", "--device", "cpu", "--json", str(tmp_path / "made.json")])
    card.main()
    figures = json.loads((tmp_path / "made.json").read_text())["figures"]
    assert {name: set(made) for name, made in figures.items()} == {name: set(each.ways) for name, each in CALLS.items()}
    unet = figures["U-Net"]
    assert unet["none"]["card"] == 1
    assert unet["none"]["held_bytes"] == 0
    assert unet["one unit, 16 tokens"]["held_bytes"] == 4 * unet["one unit, 4 tokens"]["held_bytes"] > 0
    said = capsys.readouterr().out
    assert all(way in said for each in CALLS.values() for way in each.ways)


WAYS = [(kind, way) for kind, calls in CALLS.items() for way, what in calls.ways.items() if what.tokens]


@pytest.mark.parametrize(("kind", "way"), WAYS)
def test_a_way_changes_what_the_network_computes_and_leaves_nothing(kind: str, way: str) -> None:
    calls = CALLS[kind]
    torch.manual_seed(3)
    network, inputs = card.made_on(CPU, torch.float32, calls), calls.inputs(torch.randn)
    plain = network(*inputs)
    with card.Run(network, inputs, calls.ways[way]) as run:
        assert not torch.equal(run(), plain)
        assert run.held_bytes > 0
    assert torch.equal(network(*inputs), plain)

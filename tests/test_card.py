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

NARROW = replace(ldm_unet.SD15, channels=32, context_dim=64)


def test_the_benchmarks_unet_computes_what_ldms_does() -> None:
    pytest.importorskip("ldm", reason="ldm's U-Net, an oracle, is not installed at this end of the versions")
    from unets import ldm_unet as real_unet

    theirs = real_unet(context_dim=64, channels=32)
    ours = ldm_unet.random_unet(NARROW, torch.device("cpu"), torch.float32)
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
    monkeypatch.setattr(card, "NETWORKS", {"narrow": card.Network(NARROW, 8, 2)})
    monkeypatch.setattr(card, "RANK", 4)
    monkeypatch.setattr(sys, "argv", ["card.py", "--device", "cpu", "--json", str(tmp_path / "made.json")])
    card.main()
    made = json.loads((tmp_path / "made.json").read_text())["figures"]["narrow"]
    assert set(made) == set(card.WAYS)
    assert made["none"]["card"] == 1
    assert made["none"]["held_bytes"] == 0
    assert made["one unit, 16 tokens"]["held_bytes"] == 4 * made["one unit, 4 tokens"]["held_bytes"] > 0
    assert all(way in capsys.readouterr().out for way in ("PuLID, fidelity",))


@pytest.mark.parametrize("name", [name for name, way in card.WAYS.items() if way.tokens])
def test_a_way_changes_what_the_unet_computes_and_leaves_nothing(name: str) -> None:
    unet = ldm_unet.random_unet(NARROW, torch.device("cpu"), torch.float32)
    torch.manual_seed(3)
    inputs = (torch.randn(2, 4, 8, 8), torch.tensor([500, 500]), torch.randn(2, 7, 64))
    plain = unet(*inputs)
    with card.Run(unet, inputs, card.WAYS[name]) as run:
        assert not torch.equal(run(), plain)
        assert run.held_bytes > 0
    assert torch.equal(unet(*inputs), plain)

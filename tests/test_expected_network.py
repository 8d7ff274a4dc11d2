"""The network of the next generation: from the checkpoint that will be loaded, or the loaded one."""

from pathlib import Path

import pytest
import torch
from makers import save
from small_host import CONTEXT, SmallHost, ask, save_files, unit
from unets import ldm_unet

from lib_ipadapter.engine.compatibility import loaded_network
from lib_ipadapter.engine.expected_network import PREFIX, expected_network, network_in_file
from lib_ipadapter.engine.session import Session
from lib_ipadapter.networks.unet_sites import SDXL, sites
from lib_ipadapter.weights.bases import NETWORK_PARTS


@pytest.mark.parametrize("prefix", [PREFIX, ""])
def test_a_file_shows_the_same_as_the_loaded_unet(tmp_path: Path, prefix: str) -> None:
    unet = ldm_unet(context_dim=CONTEXT)
    path = save({prefix + key: tensor for key, tensor in unet.state_dict().items()}, tmp_path / "a.safetensors")
    assert network_in_file(path) == loaded_network(unet)


@pytest.mark.parametrize("part", NETWORK_PARTS)
def test_a_file_without_such_a_unet_shows_its_base(tmp_path: Path, part: str) -> None:
    path = save({f"{PREFIX}{part}.0.weight": torch.zeros(2)}, tmp_path / "a.safetensors")
    found = network_in_file(path)
    assert found
    assert (found.base, found.widths) == (NETWORK_PARTS[part], {})


def test_other_files_show_nothing(tmp_path: Path) -> None:
    (damaged := tmp_path / "damaged.safetensors").write_bytes(b"no header")
    other = save({"something": torch.zeros(2)}, tmp_path / "other.safetensors")
    for path in (damaged, other, tmp_path / "missing.safetensors", tmp_path / "quantised.gguf"):
        assert network_in_file(path) is None


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    path = save({f"{PREFIX}double_blocks.0.weight": torch.zeros(2)}, tmp_path / "a.safetensors")
    assert network_in_file(path)
    save({"something": torch.zeros(30)}, path)
    assert network_in_file(path) is None


def test_the_chosen_checkpoint_counts_before_it_is_loaded(tmp_path: Path) -> None:
    """So adapters fit what the next generation uses, and not what an earlier one has left loaded."""
    save_files(tmp_path)
    keys = [f"{PREFIX}{site.path}.to_k.weight" for site in sites(SDXL)]
    widths = [64 if site.level == 1 else 128 for site in sites(SDXL)]
    tensors = {key: torch.zeros(width, 32) for key, width in zip(keys, widths, strict=True)}
    path = save(tensors, tmp_path / "checkpoints" / "xl.safetensors")
    host = SmallHost(tmp_path, ldm_unet(context_dim=CONTEXT))
    session = Session(host)

    def fitting() -> list[str]:
        return [each["name"] for each in ask(session, "list")["models"] if not each["reason"]]

    assert fitting() == ["base.safetensors", "plus.bin"]
    host.to_load = path
    assert fitting() == ["sdxl.safetensors"]
    (entry,) = ask(session, "ready", units=[unit(model="base")])["units"]
    assert entry["state"] == "stops"
    host.unet, host.to_load = None, None
    assert expected_network(host) is None

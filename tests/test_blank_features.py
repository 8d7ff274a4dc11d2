"""The unconditional picture is encoded once, also over restarts, and no damaged file is used."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load, save
from small_host import CONTEXT, SmallHost, photo, save_files
from unets import ldm_unet

from lib_ipadapter.engine.prepare import Preparation, PreparedUnit
from lib_ipadapter.port import Folders
from lib_ipadapter.unit.read_args import read_unit

UNET = ldm_unet(context_dim=CONTEXT)


class Host(SmallHost):
    """A host with a folder for what encoders make of the unconditional picture."""

    def folders(self) -> Folders:
        return replace(super().folders(), features=self.folder / "cache")


@pytest.fixture
def host(tmp_path: Path) -> Host:
    save_files(tmp_path)
    return Host(tmp_path, UNET)


def prepared_after_a_start(host: Host, digest_known: bool = True) -> tuple[PreparedUnit, int]:
    """Return a unit prepared by a new process, and how many pictures were encoded for it."""
    preparation, host.progress = Preparation(host), []
    unit = read_unit({"model": "plus", "images": [photo()]})
    encoder = preparation.files.encoder_for(preparation.adapter(unit), "auto")
    if digest_known:
        assert encoder
        preparation.files.digests.of(encoder.path)
    prepared = preparation.prepare(unit, UNET)
    return prepared, host.progress[-1][-1]


def stored(host: Host) -> list[Path]:
    folder = host.folders().features
    assert folder
    return sorted(folder.iterdir()) if folder.is_dir() else []


def test_only_the_reference_is_encoded_after_another_start(host: Host) -> None:
    (first, encoded), (second, again) = prepared_after_a_start(host), prepared_after_a_start(host)
    assert (encoded, again, len(stored(host))) == (2, 1, 1)
    assert torch.equal(first.keys_values.image_tokens, second.keys_values.image_tokens)


def test_each_convention_has_features_of_its_own(host: Host) -> None:
    mean, _ = prepared_after_a_start(host)
    host.convention = "black"
    black, encoded = prepared_after_a_start(host)
    assert encoded == 2
    assert not torch.equal(mean.keys_values.image_tokens[0], black.keys_values.image_tokens[0])
    assert len(stored(host)) == 2


@pytest.mark.parametrize("damage", [b"", b"<html>", None])
def test_a_damaged_or_missing_file_is_computed_again(host: Host, damage: bytes | None) -> None:
    first, _ = prepared_after_a_start(host)
    (path,) = stored(host)
    whole = path.read_bytes()
    path.unlink()
    if damage is not None:
        path.write_bytes(damage)
    again, encoded = prepared_after_a_start(host)
    assert encoded == 2
    assert torch.equal(first.keys_values.image_tokens, again.keys_values.image_tokens)
    assert path.read_bytes() == whole


def test_a_file_with_other_numbers_than_finite_ones_is_computed_again(host: Host) -> None:
    prepared_after_a_start(host)
    (path,) = stored(host)
    whole = path.read_bytes()
    path.write_bytes(whole[:-4] + b"\xff\xff\xff\xff")  # NaN
    assert prepared_after_a_start(host)[1] == 2
    assert path.read_bytes() == whole


def test_nothing_is_stored_for_a_file_whose_hash_is_not_known(host: Host) -> None:
    assert prepared_after_a_start(host, digest_known=False)[1] == 2
    assert stored(host) == []


def test_another_encoder_is_encoded_with(host: Host) -> None:
    prepared_after_a_start(host)
    path = host.folder / "tower.safetensors"
    tensors = load(path.read_bytes())
    path.write_bytes(save({**tensors, "visual.class_embedding": tensors["visual.class_embedding"] + 1}))
    assert prepared_after_a_start(host)[1] == 2

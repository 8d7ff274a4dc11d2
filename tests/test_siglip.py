"""SigLIP's vision tower, compared with transformers' own."""

import math
from pathlib import Path

import pytest
import torch
from makers import save
from siglip_model import WIDTH, tower, write_siglip
from small_host import save_tower

from lib_ipadapter.base.errors import UnrecognisedError
from lib_ipadapter.files.model_files import _open_encoder
from lib_ipadapter.pictures.preprocess import normalise
from lib_ipadapter.weights.bases import SIGLIP
from lib_ipadapter.weights.clip_vision import EncoderFile
from lib_ipadapter.weights.family import EMBED, HIDDEN
from lib_ipadapter.weights.siglip import SiglipFile, open_siglip

CPU = torch.device("cpu")


@pytest.mark.parametrize("size", [56, 62, 384])
def test_the_features_are_transformers_own(tmp_path: Path, size: int) -> None:
    levels = torch.rand(3, size, size, generator=torch.Generator().manual_seed(1))
    made = open_siglip(write_siglip(tmp_path / "a.safetensors", size)).encode([normalise(levels)], CPU, torch.float32)
    expected = tower(size)(((levels - 0.5) / 0.5)[None])
    ((pooled,), (patches,)) = (made[0].taken(takes) for takes in (EMBED, HIDDEN))
    assert torch.allclose(pooled, expected.pooler_output, atol=1e-5)
    assert torch.allclose(patches, expected.last_hidden_state, atol=1e-4)


@pytest.mark.parametrize("whole", [False, True])
def test_a_file_is_recognised_from_its_tensors(tmp_path: Path, whole: bool) -> None:
    found = _open_encoder(write_siglip(tmp_path / "a.safetensors", 384, whole))
    assert isinstance(found, SiglipFile)
    assert (found.image_size, found.patch, found.states, found.width_of(EMBED)) == (384, 14, 729, WIDTH)
    assert found.parameters == sum(each.numel() for each in tower(384).parameters())
    assert found.name == "SigLIP of width 144, 384 pixels"


def test_the_full_width_has_its_usual_name(tmp_path: Path) -> None:
    found = SiglipFile(tmp_path / "a", 1152, 14, 729, 1152, 0, ())
    assert found.name == SIGLIP
    assert math.isqrt(found.states) == 27


def test_other_files_are_no_siglip(tmp_path: Path) -> None:
    assert isinstance(_open_encoder(save_tower(tmp_path / "tower.safetensors")), EncoderFile)
    other = save({"vision_model.embeddings.position_embedding.weight": torch.zeros(4, 8)}, tmp_path / "b.safetensors")
    with pytest.raises(UnrecognisedError, match="is not a SigLIP vision encoder"):
        open_siglip(other)

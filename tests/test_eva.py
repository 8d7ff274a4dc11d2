"""EVA02-CLIP's vision tower against timm's own, in every layout that users have files in."""

import gc
import weakref
from pathlib import Path

import pytest
import torch
from eva_model import LAYOUTS, authors_tensors, tapped, tower, write_eva
from safetensors.torch import save_file

from lib_ipadapter.base.errors import IPAdapterError, UnrecognisedError
from lib_ipadapter.weights.eva import EvaTower, open_eva, rotary_angles
from lib_ipadapter.weights.shapes import Shapes

CPU = torch.device("cpu")


def pixels(seed: int = 0) -> torch.Tensor:
    return torch.randn(3, 56, 56, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("extension", ["safetensors", "pt"])
def test_embedding_and_hidden_states_are_timms(layout: str, extension: str, tmp_path: Path) -> None:
    path = tmp_path / f"eva.{extension}"
    tensors = {name: tensor.clone().contiguous() for name, tensor in LAYOUTS[layout]().items()}
    save_file(tensors, str(path)) if extension == "safetensors" else torch.save(tensors, path)
    embed, hidden = tapped(tower(), pixels()[None])
    (made,) = open_eva(path).encode([pixels()], CPU, torch.float32)
    assert torch.allclose(made.embed, embed / embed.norm(2, 1, True), atol=1e-5)
    assert len(made.hidden) == 5
    for ours, theirs in zip(made.hidden, hidden, strict=True):
        assert ours.shape == theirs.shape == (1, 17, 128)
        assert (ours - theirs).abs().max() <= 1e-5 * max(1.0, float(theirs.abs().max()))
    assert made.taken("") == (made.embed, *made.hidden)


def test_full_size_tower_has_the_shapes_of_the_published_one() -> None:
    from timm.models.eva import eva02_large_patch14_clip_336

    with torch.device("meta"):
        ours = EvaTower(1024, 24, 2730, 14, 577, 768)
        theirs = eva02_large_patch14_clip_336(pretrained=False, num_classes=768)
    count = sum(parameter.numel() for parameter in ours.parameters())
    assert count == sum(parameter.numel() for parameter in theirs.parameters()) == 304_432_832


def test_rotary_angles_are_the_authors() -> None:
    """Restates the numbers: 24 patches along a side count as 16, and a head's halves turn with row and column."""
    angles = rotary_angles(24)
    assert angles.shape == (576, 32)
    row, column, pair = 5, 17, 3
    frequency = 10000 ** (-2 * pair / 32)
    assert angles[row * 24 + column, pair].item() == pytest.approx(row / 24 * 16 * frequency, rel=1e-5)
    assert angles[row * 24 + column, 16 + pair].item() == pytest.approx(column / 24 * 16 * frequency, rel=1e-5)


def test_half_precision_stays_close(tmp_path: Path) -> None:
    path = write_eva(tmp_path / "eva.pt", dtype=torch.float16)
    (whole,), (half,) = (open_eva(path).encode([pixels()], CPU, dtype) for dtype in (torch.float32, torch.bfloat16))
    assert half.embed.dtype == torch.float32
    for ours, theirs in zip(half.taken(""), whole.taken(""), strict=True):
        assert (ours - theirs).norm() <= 0.05 * theirs.norm()


def test_file_says_what_it_is(tmp_path: Path) -> None:
    found = open_eva(write_eva(tmp_path / "eva.pt"))
    assert (found.width, found.patch, found.states, found.projection, found.image_size) == (128, 14, 17, 768, 56)
    assert found.name == "EVA02-CLIP of width 128, 56 pixels"
    assert found.width_of("hidden") == 128
    assert found.parameters == sum(parameter.numel() for parameter in tower().parameters())


def test_the_tower_is_freed_after_encoding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    towers, build = [], EvaTower.of_shapes

    def remember(shapes: Shapes) -> EvaTower:
        made = build(shapes)
        towers.append(weakref.ref(made))
        return made

    monkeypatch.setattr(EvaTower, "of_shapes", remember)
    open_eva(write_eva(tmp_path / "eva.pt")).encode([pixels(), pixels(1)], CPU, torch.float32)
    gc.collect()
    assert [tower() for tower in towers] == [None]


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.pt"
    torch.save({"visual.conv1.weight": torch.ones(4, 3, 2, 2)}, path)
    with pytest.raises(UnrecognisedError, match="is not an EVA02-CLIP encoder"):
        open_eva(path)


@pytest.mark.parametrize("change", ["missing", "misshapen", "not finite"])
def test_damaged_towers_are_refused_by_tensor(change: str, tmp_path: Path) -> None:
    tensors, name = authors_tensors(), "visual.blocks.3.attn.q_bias"
    if change == "missing":
        del tensors[name]
    else:
        tensors[name] = torch.ones(5) if change == "misshapen" else torch.full((128,), torch.nan)
    torch.save(tensors, tmp_path / "eva.pt")
    with pytest.raises(IPAdapterError, match=r"blocks\.3\.attn\.q_bias"):
        open_eva(tmp_path / "eva.pt").encode([pixels()], CPU, torch.float32)


def test_too_few_blocks_are_refused(tmp_path: Path) -> None:
    tensors = {name: t for name, t in authors_tensors().items() if ".blocks.20." not in name}
    torch.save(tensors, tmp_path / "eva.pt")
    with pytest.raises(UnrecognisedError, match="unknown EVA02-CLIP"):
        open_eva(tmp_path / "eva.pt")

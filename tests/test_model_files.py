"""Files are found below folders, opened once, and chosen by any common spelling of their name."""

import os
from pathlib import Path
from typing import Any

import pytest
import torch
from published import PUBLISHED, SD_WIDTHS, Shapes, layers, resampler, sparse, under

from lib_ipadapter.base.errors import IPAdapterError, UnitError
from lib_ipadapter.files.model_files import FileIndex, ModelFiles
from lib_ipadapter.port import Folders

BASE = PUBLISHED["ip-adapter_sd15"].shapes
VIT_G = PUBLISHED["ip-adapter_sd15_vit-G"].shapes
PLUS = PUBLISHED["ip-adapter-plus_sd15"].shapes
CONTROLNET: Shapes = {"control_model.input_hint_block.0.weight": (16, 3, 3, 3)}


def tower(width: int, projection: int, side: int = 16) -> Shapes:
    """Return a vision tower in the Hugging Face layout, with two layers and `side` patches per side."""
    made: Shapes = {
        "vision_model.embeddings.class_embedding": (width,),
        "vision_model.embeddings.patch_embedding.weight": (width, 3, 14, 14),
        "vision_model.embeddings.position_embedding.weight": (side * side + 1, width),
        "visual_projection.weight": (projection, width),
    }
    for i in range(2):
        made[f"vision_model.encoder.layers.{i}.layer_norm1.weight"] = (width,)
        made[f"vision_model.encoder.layers.{i}.mlp.fc1.weight"] = (4 * width, width)
    return made


H, BIG_G, L, L336 = tower(1280, 1024), tower(1664, 1280), tower(1024, 768), tower(1024, 768, side=24)
G = tower(1408, 1024)
"""ViT-g/14, which no adapter uses, though its image embedding is as wide as ViT-H's."""


def put(path: Path, shapes: Shapes = BASE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return sparse(path, shapes)


@pytest.fixture
def models(tmp_path: Path) -> Path:
    made = tmp_path / "models"
    made.mkdir()
    return made


@pytest.fixture
def library(models: Path) -> ModelFiles:
    return ModelFiles(lambda: Folders((models, models.parent / "second"), (models.parent / "encoders",)))


def chosen(library: ModelFiles, name: str) -> Path:
    return library.adapter(name).path


def refusal(library: ModelFiles, name: str) -> str:
    with pytest.raises(UnitError) as caught:
        library.adapter(name)
    assert caught.value.field == "model"
    return caught.value.sentence


@pytest.mark.parametrize(
    "name",
    [
        "sd/ip-adapter_sd15.v1.safetensors",
        "sd/ip-adapter_sd15.v1",
        "ip-adapter_sd15.v1.safetensors",
        "ip-adapter_sd15.v1",
        "ip-adapter_sd15.v1 [6a3f6166]",
        "sd/ip-adapter_sd15.v1.safetensors [6A3F6166]",
        "sd\\ip-adapter_sd15.v1.safetensors",
        "SD\\IP-Adapter_SD15.v1 [6a3f6166]",
        "  ip-adapter_sd15.v1  ",
    ],
)
def test_a_file_is_found_by_every_spelling_of_its_name(name: str, models: Path, library: ModelFiles) -> None:
    wanted = put(models / "sd" / "ip-adapter_sd15.v1.safetensors")
    put(models / "sd" / "ip-adapter_sd15.safetensors")
    assert chosen(library, name) == wanted


@pytest.mark.parametrize("name", ["ip-adapter", "sd15", "ip-adapter_sd15.safe", "x/ip-adapter_sd15", "", "..", "[ab]"])
def test_a_part_of_a_name_is_not_the_name(name: str, models: Path, library: ModelFiles) -> None:
    put(models / "sd" / "ip-adapter_sd15.safetensors")
    assert "was not found" in refusal(library, name)


def test_several_matching_files_are_all_named(models: Path, library: ModelFiles) -> None:
    for name in ("one/plus.bin", "two/plus.bin", "two/plus.safetensors"):
        put(models / name)
    sentence = refusal(library, "plus")
    assert '"plus" matches several files: one/plus.bin, two/plus.bin, two/plus.safetensors.' in sentence
    assert "Give the folder and the extension" in sentence


def test_a_whole_name_wins_over_the_same_name_in_a_folder(models: Path, library: ModelFiles) -> None:
    whole, below, longer = put(models / "a.bin"), put(models / "sub" / "a.bin"), put(models / "a.bin.safetensors")
    assert chosen(library, "a.bin") == whole
    assert chosen(library, "sub/a.bin") == below
    assert chosen(library, "a.bin.safetensors") == longer


def test_names_that_differ_only_in_case_are_distinguished(models: Path, library: ModelFiles) -> None:
    upper, lower = put(models / "Plus.bin"), put(models / "plus.bin")
    if upper.samefile(lower):
        pytest.skip("this disk does not tell case apart")
    assert chosen(library, "Plus.bin") == upper
    assert chosen(library, "plus.bin") == lower
    assert "matches several files: Plus.bin, plus.bin" in refusal(library, "PLUS.BIN")


def test_of_equal_names_the_one_in_the_first_folder_is_used(models: Path, library: ModelFiles) -> None:
    first = put(models / "a.bin", PLUS)
    put(models.parent / "second" / "a.bin")
    other = put(models.parent / "second" / "b.bin")
    assert chosen(library, "a.bin") == first
    assert chosen(library, "b") == other
    assert list(library.adapters.paths().values()) == ["a.bin", "b.bin"]


@pytest.mark.parametrize(
    "wanted", ["ip-adapter-plus_sd15", "IP_ADAPTER_PLUS_SD15.bin", "sd\\ip-adapter-plus_sd15 [ab]"]
)
def test_close_names_are_suggested(wanted: str, models: Path, library: ModelFiles) -> None:
    put(models / "IP-Adapter-Plus_sd15_v2.safetensors")
    assert "Did you mean IP-Adapter-Plus_sd15_v2.safetensors?" in refusal(library, wanted)


def test_without_a_close_name_the_folder_is_named(models: Path, library: ModelFiles) -> None:
    put(models / "ip-adapter_sd15.safetensors")
    assert f"Put it into {models} and press refresh." in refusal(library, "qqq")


def test_only_model_files_are_listed(models: Path, library: ModelFiles) -> None:
    for name in ("a.safetensors", "b.BIN", "c.pt", "d.pth", "e.ckpt", "f.txt", "g.json", "h", "i.png", "j.bin.part"):
        put(models / name)
    assert list(library.adapters.paths().values()) == ["a.safetensors", "b.BIN", "c.pt", "d.pth", "e.ckpt"]


def test_folders_that_do_not_exist_are_ignored(tmp_path: Path) -> None:
    library = ModelFiles(lambda: Folders((tmp_path / "x",), (tmp_path / "y",)))
    assert library.adapters.all() == ({}, {})


@pytest.mark.usefixtures("links")
def test_files_below_links_are_found_and_those_linked_twice_are_listed_once(models: Path, library: ModelFiles) -> None:
    elsewhere = models.parent / "disk"
    put(elsewhere / "deep" / "far.bin")
    (models / "linked").symlink_to(elsewhere)
    (models / "linked-again").symlink_to(elsewhere)
    (models / "shortcut.bin").symlink_to(elsewhere / "deep" / "far.bin")
    (models / "shortcut2.bin").symlink_to(elsewhere / "deep" / "far.bin")
    put(models / "own.bin")
    assert list(library.adapters.paths().values()) == ["own.bin", "shortcut.bin"]
    (models / "shortcut.bin").unlink()
    (models / "shortcut2.bin").unlink()
    library.rescan()
    assert list(library.adapters.paths().values()) == ["own.bin", "linked/deep/far.bin"]
    assert chosen(library, "far") == models / "linked" / "deep" / "far.bin"


def test_a_folder_below_another_one_of_the_list_is_listed_once(models: Path) -> None:
    put(models / "sub" / "a.bin")
    library = ModelFiles(lambda: Folders((models, models / "sub", models), ()))
    assert list(library.adapters.paths().values()) == ["sub/a.bin"]


@pytest.mark.usefixtures("links")
def test_circular_links_do_not_loop(models: Path, library: ModelFiles) -> None:
    put(models / "sub" / "a.bin")
    (models / "sub" / "up").symlink_to(models)
    (models / "sub" / "here").symlink_to(models / "sub")
    (models / "self.bin").symlink_to(models / "self.bin")
    (models / "ping.bin").symlink_to(models / "pong.bin")
    (models / "pong.bin").symlink_to(models / "ping.bin")
    opened, damaged = library.adapters.all()
    assert list(opened) == ["sub/a.bin"]
    assert all("cannot be read" in fault for fault in damaged.values())


@pytest.mark.usefixtures("links")
def test_damaged_files_are_reported_and_other_models_are_left_out(models: Path, library: ModelFiles) -> None:
    put(models / "good.bin")
    put(models / "control_v11p_sd15_openpose.pth", CONTROLNET)
    torch.save([1, 2], models / "list.pth")
    (models / "cut.safetensors").write_bytes((models / "good.bin").read_bytes()[:500])
    (models / "empty.bin").touch()
    (models / "gone.bin").symlink_to(models / "nowhere")
    opened, damaged = library.adapters.all()
    assert list(opened) == ["good.bin"]
    assert sorted(damaged) == ["cut.safetensors", "empty.bin", "gone.bin"]
    assert "incomplete" in damaged["cut.safetensors"]
    assert "0 bytes" in damaged["empty.bin"]
    assert damaged["gone.bin"] == "gone.bin cannot be read: No such file or directory."


def test_a_file_is_opened_once_until_it_changes(models: Path, library: ModelFiles) -> None:
    path = put(models / "a.bin")
    first = library.adapter("a")
    assert library.adapter("a.bin") is first
    library.rescan()
    assert library.adapter("a") is first
    put(path, PLUS)
    assert library.adapter("a").recognised.family.name == "plus"
    assert library.adapter("a").identity != first.identity


def test_a_damaged_file_is_opened_again_after_it_is_replaced(models: Path, library: ModelFiles) -> None:
    (models / "a.bin").write_bytes(b"<html>")
    with pytest.raises(IPAdapterError, match="web page"):
        library.adapter("a")
    put(models / "a.bin")
    assert library.adapter("a").recognised.family.name == "base"


def test_a_cached_error_is_raised_as_a_new_one_each_time(models: Path, library: ModelFiles) -> None:
    """An error that is raised again grows with each raise, and would keep the first unit's number."""
    (models / "a.bin").write_bytes(b"<html>")
    caught: list[IPAdapterError] = []
    for unit in (3, None):
        with pytest.raises(IPAdapterError) as one:
            library.adapter("a")
        assert one.value.unit is None
        one.value.unit = unit
        caught.append(one.value)
    assert caught[0] is not caught[1]
    assert caught[0].sentence == caught[1].sentence


def test_a_removed_file_is_reported_as_missing(models: Path, library: ModelFiles) -> None:
    put(models / "a.bin")
    library.adapter("a")
    (models / "a.bin").unlink()
    with pytest.raises(IPAdapterError, match=r"a\.bin cannot be read: No such file"):
        library.adapter("a")


def test_a_rescan_notices_added_and_removed_files(models: Path, library: ModelFiles) -> None:
    put(models / "old.bin")
    assert list(library.adapters.all()[0]) == ["old.bin"]
    put(models / "new.bin")
    (models / "old.bin").unlink()
    assert list(library.adapters.paths().values()) == ["old.bin"]
    library.rescan()
    assert list(library.adapters.all()[0]) == ["new.bin"]
    assert "was not found" in refusal(library, "old")


def test_an_unknown_name_is_looked_up_again_after_a_rescan(models: Path, library: ModelFiles) -> None:
    put(models / "old.bin")
    assert list(library.adapters.all()[0]) == ["old.bin"]
    added = put(models / "new.bin")
    assert chosen(library, "new") == added


def test_a_rescan_follows_a_change_of_the_folders(tmp_path: Path) -> None:
    put(tmp_path / "two" / "b.bin")
    folders = [tmp_path / "one"]
    library = ModelFiles(lambda: Folders(tuple(folders), ()))
    assert library.adapters.all()[0] == {}
    folders[:] = [tmp_path / "two"]
    library.rescan()
    assert list(library.adapters.all()[0]) == ["b.bin"]


@pytest.fixture
def encoders(models: Path) -> Path:
    folder = models.parent / "encoders"
    for name, shapes in {
        "big.safetensors": BIG_G,
        "g.safetensors": G,
        "h.safetensors": H,
        "l.bin": L336,
        "m.bin": L,
    }.items():
        put(folder / name, shapes)
    put(folder / "controlnet.pth", CONTROLNET)
    put(folder / "adapter.safetensors", BASE)
    return folder


@pytest.mark.parametrize(
    ("shapes", "encoder"),
    [
        (BASE, "h.safetensors"),
        (PLUS, "h.safetensors"),
        (VIT_G, "big.safetensors"),
        (under("image_proj.", resampler(768, 1664, 768, 12)) | layers(SD_WIDTHS, 768), "big.safetensors"),
        (under("image_proj.", resampler(768, 1024, 768, 12)) | layers(SD_WIDTHS, 768), "m.bin"),  # smaller input
    ],
)
def test_auto_finds_the_encoder_that_fits(
    shapes: Shapes, encoder: str, models: Path, library: ModelFiles, encoders: Path
) -> None:
    put(models / "a.bin", shapes)
    assert library.encoder_for(library.adapter("a"), "auto").path == encoders / encoder


def test_an_encoder_is_chosen_by_name(models: Path, library: ModelFiles, encoders: Path) -> None:
    put(models / "a.bin")
    adapter = library.adapter("a")
    assert library.encoder_for(adapter, "H [0123abcd]").path == encoders / "h.safetensors"
    with pytest.raises(UnitError, match="was not found"):
        library.encoder_for(adapter, "k")


@pytest.mark.parametrize(
    ("shapes", "encoder", "is_named", "needs_named"),
    [
        (BASE, "big", "ViT-bigG/14, whose features are 1280 wide", "ViT-H/14 with features 1024 wide"),
        (PLUS, "big", "ViT-bigG/14, whose features are 1664 wide", "ViT-H/14 with features 1280 wide"),
        (PLUS, "l", "ViT-L/14-336, whose features are 1024 wide", "ViT-H/14 with features 1280 wide"),
        (BASE, "g", "width 1408, whose features are 1024 wide", "ViT-H/14 with features 1024 wide"),
        (VIT_G, "h", "ViT-H/14, whose features are 1024 wide", "ViT-bigG/14 with features 1280 wide"),
    ],
)
def test_a_wrong_encoder_is_refused_with_both_names(
    shapes: Shapes, encoder: str, is_named: str, needs_named: str, models: Path, library: ModelFiles, encoders: Path
) -> None:
    assert encoders.is_dir()
    put(models / "a.bin", shapes)
    with pytest.raises(UnitError) as caught:
        library.encoder_for(library.adapter("a"), encoder)
    assert caught.value.field == "encoder"
    assert is_named in caught.value.sentence
    assert f"a.bin needs {needs_named}" in caught.value.sentence


def test_an_encoder_sees_pictures_of_the_size_that_is_asked_for(
    models: Path, library: ModelFiles, encoders: Path
) -> None:
    put(models / "a.bin")
    adapter = library.adapter("a")
    for name in ("auto", "h"):
        assert library.encoder_for(adapter, name).image_size == 224
        assert library.encoder_for(adapter, name, 448).image_size == 448
    with pytest.raises(UnitError, match="Set a multiple of 14, such as 448, or 0") as caught:
        library.encoder_for(adapter, "auto", 450)
    assert caught.value.field == "encoder_size"


def test_a_file_that_is_no_encoder_is_named_in_the_refusal(models: Path, library: ModelFiles, encoders: Path) -> None:
    assert encoders.is_dir()
    put(models / "a.bin")
    with pytest.raises(IPAdapterError, match=r"controlnet\.pth is not a CLIP vision encoder"):
        library.encoder_for(library.adapter("a"), "controlnet")


def test_without_a_fitting_encoder_the_needed_one_and_the_folder_are_named(models: Path, library: ModelFiles) -> None:
    put(models / "a.bin", VIT_G)
    put(models.parent / "encoders" / "h.safetensors", H)
    with pytest.raises(
        IPAdapterError, match=r"a\.bin needs the image encoder ViT-bigG/14, .*encoders and press refresh"
    ):
        library.encoder_for(library.adapter("a"), "auto")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_reported(models: Path, library: ModelFiles) -> None:
    put(models / "a.bin").chmod(0)
    assert "ermission" in library.adapters.all()[1]["a.bin"]


class Meddled(FileIndex[Path]):
    """Forgets the paths after each access, as another thread's rescan may."""

    def __getattribute__(self, name: str) -> Any:
        value = super().__getattribute__(name)
        if name == "_paths":
            self._paths = None
        return value


def test_paths_are_available_while_another_thread_rescans(tmp_path: Path) -> None:
    (tmp_path / "a.safetensors").write_bytes(b"")
    index = Meddled(lambda: [tmp_path], lambda path: path)
    index._paths = {tmp_path / "a.safetensors": "a.safetensors"}
    for _ in range(2):
        assert list(index.paths().values()) == ["a.safetensors"]

"""Published files are recognised by content under any name, and other content under a published name is reported."""

import hashlib
import itertools
import os
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from published import PUBLISHED, sparse
from small_catalogue import entry, small, write

from lib_ipadapter.files import digests as digests_module
from lib_ipadapter.files.catalogue import Catalogue, read_catalogue
from lib_ipadapter.files.digests import Digests
from lib_ipadapter.files.known_files import FileCheck, KnownFiles
from lib_ipadapter.files.model_files import ModelFiles
from lib_ipadapter.files.verify import Installed, installed, verify
from lib_ipadapter.port import Folders

ADAPTER, ENCODER, DETECTOR, RECOGNISER, OTHER = (
    b"adapter",
    b"the encoder",
    b"detector",
    b"a recogniser",
    b"AuraFace model",
)


SECONDS = itertools.count(1_700_000_000)


def put(path: Path, content: bytes) -> Path:
    """Write a file with a time of its own, because a file system may give two quick writes the same time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    seconds = next(SECONDS)
    os.utime(path, (seconds, seconds))
    return path


@dataclass
class Place:
    """A folder of each kind, and a small catalogue."""

    root: Path
    catalogue: Catalogue

    @property
    def files(self) -> ModelFiles:
        """As after the web UI has started."""
        kinds = ("adapters", "encoders", "loras", "faces", "controlnets")
        folders = Folders(**{kind: (self.root / kind,) for kind in kinds}, digests=self.root / "hashes.json")
        return ModelFiles(lambda: folders, lambda: self.catalogue)

    def check(self, name: str, content: bytes, hashed: bool = True) -> FileCheck:
        files, path = self.files, put(self.root / "adapters" / name, content)
        if hashed:
            files.digests.of(path)
        return files.known.check(path)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    made = tmp_path / "made"
    members = [
        {"path": f"pack/{name}", "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        for name, content in (("scrfd_10g_bnkps.onnx", DETECTOR), ("glintr100.onnx", RECOGNISER))
    ]
    entries = [
        entry(put(made / "adapter.bin", ADAPTER), needs=["encoder.safetensors"]),
        entry(put(made / "encoder.safetensors", ENCODER), folder="encoders", encoder="ViT-H/14"),
        entry(put(made / "rounded.bin", b"r" * 1000), exact=False, bytes=1001),
        entry(put(made / "antelopev2.zip", b"zip"), folder="faces", subfolder="antelopev2", extract=members),
    ]
    other = {"name": "glintr100.onnx", "bytes": len(OTHER), "sha256": hashlib.sha256(OTHER).hexdigest()}
    lookalikes: list[dict[str, Any]] = [{**other, "what": "another model"}]
    return Place(tmp_path, write(small(entries, lookalikes=lookalikes), tmp_path / "catalogue.json"))


@pytest.mark.parametrize("name", ["adapter.bin", "renamed.safetensors"])
def test_a_published_file_is_known_by_its_content(name: str, place: Place) -> None:
    assert place.check(name, ADAPTER, hashed=False) == FileCheck("unchecked")
    found = place.check(name, ADAPTER)
    assert (found.state, found.published, found.sentence) == ("published", place.catalogue.by_name["adapter.bin"], "")
    assert found.sha256 == hashlib.sha256(ADAPTER).hexdigest()


@pytest.mark.parametrize("name", ["adapter.bin", "Adapter.BIN"])
@pytest.mark.parametrize("content", [b"another", b"of another size"])
def test_a_published_name_with_other_content_is_reported(name: str, content: bytes, place: Place) -> None:
    found = place.check(name, content)
    assert (found.state, found.published) == ("different", None)
    assert found.sentence == f"{name} is not the published file of this name: its content is different."


def test_a_different_size_is_enough_without_a_hash(place: Place) -> None:
    assert place.check("adapter.bin", b"of another size", hashed=False).state == "different"
    assert place.check("own.bin", b"of another size", hashed=False) == FileCheck("unknown")
    assert place.check("own.bin", b"another", hashed=False) == FileCheck("unchecked"), (
        "it has the size of a published file"
    )


def test_a_file_that_has_the_size_of_a_published_one_may_be_unknown(place: Place) -> None:
    assert place.check("own.bin", b"another").state == "unknown"


def test_a_rounded_size_need_not_match_exactly(place: Place) -> None:
    assert place.check("own.bin", b"r" * 1000, hashed=False).state == "unchecked"
    assert place.check("own.bin", b"r" * 1000).published is place.catalogue.by_name["rounded.bin"]
    assert place.check("own.bin", b"r" * 990, hashed=False).state == "unknown"


def test_another_model_under_a_published_name_is_reported(place: Place) -> None:
    found = place.check("glintr100.onnx", OTHER)
    assert (found.state, found.lookalike) == ("different", place.catalogue.lookalikes[0])
    assert found.sentence == "glintr100.onnx is not the file that is needed here, but another model."


def test_a_file_that_is_gone_is_unknown(place: Place) -> None:
    assert place.files.known.check(place.root / "gone.bin") == FileCheck("unknown")


def test_only_files_that_may_be_published_are_hashed(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    files = place.files
    wanted: list[Path] = []
    monkeypatch.setattr(files.digests, "want", wanted.extend)
    paths = [put(place.root / name, content) for name, content in (("a", ADAPTER), ("b", b"unlike all of them"))]
    files.known.want(paths)
    assert wanted == [place.root / "a"]
    assert files.known.checked(paths[1]).sha256 == ""
    assert files.known.checked(paths[0]).state == "published"


VARIANTS = [file for file in read_catalogue().files if file.variant]


@pytest.mark.parametrize("file", VARIANTS, ids=lambda file: file.name)
@pytest.mark.parametrize("name", ["mystery.safetensors", "ip-adapter-faceid-plusv2_unnorm.safetensors"])
def test_a_hash_shows_the_variant_whatever_the_file_is_called(file: Any, name: str, tmp_path: Path) -> None:
    """A sparse file with the published shapes stands in for the published one, with its hash."""
    alike = "ip-adapter-faceid-plusv2" if file.family == "faceid-plus" else "ip-adapter-faceid-portrait"
    shapes = PUBLISHED[
        next(each for each in PUBLISHED if each.startswith(alike) and file.family == PUBLISHED[each].family)
    ]
    path = sparse(tmp_path / name, {key: shape for key, shape in shapes.shapes.items() if "_lora" not in key})
    files = ModelFiles(lambda: Folders((tmp_path,), ()))
    files.digests.record(path, file.sha256)
    found = files.adapter(name).recognised
    assert (found.variant and found.variant.name, found.variant_by) == (file.variant, "hash")
    assert files.all_adapters()[0][name].recognised == found
    assert files.adapter_as_known(name).identity != files.adapters.open(path).identity
    assert files.adapter(name).as_variant("auto").recognised == found


def test_only_callers_that_need_the_variant_wait_for_the_hash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The size of InstantID's file fits, so its hash must be known before a generation, but not for a list."""
    shapes = PUBLISHED["ip-adapter-faceid-portrait_sdxl_unnorm"].shapes
    path = sparse(tmp_path / "ip-adapter.safetensors", shapes)
    unnorm = next(file for file in VARIANTS if file.variant == "unnorm")
    hashed: list[Path] = []
    monkeypatch.setattr(digests_module, "sha256", lambda path: hashed.append(path) or unnorm.sha256)
    files = ModelFiles(lambda: Folders((tmp_path,), ()))
    assert files.adapter("ip-adapter").recognised.variant_by == "default", "no published file has this size"
    with path.open("r+b") as opened:
        opened.truncate(unnorm.bytes)
    monkeypatch.setattr("lib_ipadapter.weights.tensor_file.read_shapes", lambda _: shapes)
    monkeypatch.setattr("lib_ipadapter.weights.adapter_file.read_shapes", lambda _: shapes)
    assert files.all_adapters()[0]["ip-adapter.safetensors"].recognised.variant_by == "default"
    assert files.adapter_as_known("ip-adapter").recognised.variant_by == "default"
    assert not hashed
    found = files.adapter("ip-adapter").recognised
    assert (found.variant and found.variant.name, found.variant_by) == ("unnorm", "hash")
    assert files.all_adapters()[0]["ip-adapter.safetensors"].recognised == found
    assert hashed == [path]


def test_the_digest_of_an_adapter_is_kept(place: Place) -> None:
    from makers import adapter_tensors, save

    path = place.root / "adapters" / "own.safetensors"
    path.parent.mkdir()
    save(adapter_tensors(widths=(2, 3, 4), context_dim=768, width=1024), path)
    digest = place.files.adapter("own").digest
    assert digest == hashlib.sha256(path.read_bytes()).hexdigest()
    assert place.files.digests.known(path) == digest


# What is installed


def states(place: Place) -> dict[str, str]:
    return {name: found.state for name, found in installed(place.files).items()}


def test_nothing_is_installed_at_first(place: Place) -> None:
    assert set(states(place).values()) == {"missing"}


def test_a_file_is_installed_under_any_name_once_it_is_hashed(place: Place) -> None:
    path = put(place.root / "adapters" / "sub" / "other name.bin", ADAPTER)
    assert installed(place.files)["adapter.bin"] == Installed("unchecked", path)
    place.files.digests.of(path)
    assert installed(place.files)["adapter.bin"] == Installed("there", path)


def test_a_different_file_with_the_name_is_reported(place: Place) -> None:
    path = put(place.root / "adapters" / "adapter.bin", b"something else")
    found = installed(place.files)["adapter.bin"]
    assert (found.state, found.path) == ("different", path)
    assert "its content is different" in found.sentence


def test_the_right_file_counts_even_if_another_has_its_name(place: Place) -> None:
    put(place.root / "adapters" / "adapter.bin", b"something else")
    right = put(place.root / "adapters" / "right.bin", ADAPTER)
    place.files.digests.of(right)
    assert installed(place.files)["adapter.bin"] == Installed("there", right)


def test_a_file_in_a_folder_of_another_kind_is_not_installed(place: Place) -> None:
    put(place.root / "loras" / "adapter.bin", ADAPTER)
    assert states(place)["adapter.bin"] == "missing"


@pytest.fixture
def by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is hashed in the background, so that a test sees the state before."""
    monkeypatch.setattr(Digests, "want", lambda digests, paths: None)


@pytest.mark.parametrize("nested", [False, True])
def test_an_archive_is_installed_once_its_members_are(nested: bool, place: Place, by_hand: None) -> None:
    folder = place.root / "faces" / "antelopev2"
    folder = folder / "antelopev2" if nested else folder
    put(folder / "scrfd_10g_bnkps.onnx", DETECTOR)
    assert states(place)["antelopev2.zip"] == "missing"
    recogniser = put(folder / "glintr100.onnx", RECOGNISER)
    assert installed(place.files)["antelopev2.zip"] == Installed("unchecked", folder)
    for path in folder.iterdir():
        place.files.digests.of(path)
    assert installed(place.files)["antelopev2.zip"] == Installed("there", folder)
    put(recogniser, OTHER)
    assert states(place)["antelopev2.zip"] == "different"
    place.files.digests.of(recogniser)
    assert "but another model" in installed(place.files)["antelopev2.zip"].sentence


def test_an_equivalent_unpublished_encoder_counts(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """For example one with its text encoder, in another layout or precision."""
    from small_host import save_tower

    (place.root / "encoders").mkdir()
    path = save_tower(place.root / "encoders" / "tower.safetensors")
    assert states(place)["encoder.safetensors"] == "missing"
    monkeypatch.setattr("lib_ipadapter.weights.clip_vision.EncoderFile.name", "ViT-H/14")
    assert installed(place.files)["encoder.safetensors"] == Installed("there", path)


def test_verifying_hashes_again_what_may_be_one_of_the_files(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    adapter = put(place.root / "adapters" / "a.bin", ADAPTER)
    put(place.root / "adapters" / "b.bin", b"unlike all of them")
    detector = put(place.root / "faces" / "antelopev2" / "scrfd_10g_bnkps.onnx", DETECTOR)
    wanted: list[Path] = []
    monkeypatch.setattr(Digests, "want", lambda _, paths: wanted.extend(paths))
    files = place.files
    for path in (adapter, detector):
        files.digests.of(path)
    verify(files, ["adapter.bin"])
    assert wanted == [adapter]
    assert [bool(files.digests.known(path)) for path in (adapter, detector)] == [False, True]
    verify(files)
    assert wanted == [adapter, adapter, detector]
    assert not files.digests.known(detector)


def test_a_file_with_the_size_of_a_published_one_is_unchecked_until_it_is_hashed(place: Place) -> None:
    put(place.root / "adapters" / "own.bin", b"another")
    files = place.files
    assert installed(files)["adapter.bin"].state == "unchecked"
    for thread in threading.enumerate():
        if thread.name == "IP-Adapter digests":
            thread.join(20)
    assert installed(files)["adapter.bin"].state == "missing"


def test_the_catalogue_is_read_when_first_needed() -> None:
    read: list[str] = []

    def catalogue() -> Catalogue:
        read.append("now")
        return read_catalogue()

    known = KnownFiles(catalogue, Digests(lambda: None))
    assert not read
    known.check(Path("gone"))
    known.check(Path("gone"))
    assert read == ["now"]

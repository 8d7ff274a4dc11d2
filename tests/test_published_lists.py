"""The lists say which published file each file is, without waiting for a hash."""

from pathlib import Path
from typing import Any

import pytest
from makers import adapter_tensors, save
from small_catalogue import entry, small, write
from small_host import CONTEXT, WIDTHS, ask, unit

from lib_ipadapter.faces import insightface_models
from lib_ipadapter.files import digests as digests_module
from lib_ipadapter.files.digests import Digests
from lib_ipadapter.networks.unet_sites import SD
from lib_ipadapter.review import readiness
from lib_ipadapter.web.file_lists import list_adapters, list_encoders

AURAFACE = b"the model of AuraFace"


@pytest.fixture
def wanted(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that would be hashed in the background; here they are not."""
    asked: list[Path] = []
    monkeypatch.setattr(Digests, "want", lambda _, paths: asked.extend(paths))
    return asked


@pytest.fixture(autouse=True)
def catalogue(session: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The host's own files are the published ones, except `plus.bin`, which is a different file with that name."""
    made = tmp_path.with_name(f"{tmp_path.name} published")
    made.mkdir()
    (made / "plus.bin").write_bytes((tmp_path / "base.safetensors").read_bytes())
    (made / "glintr100.onnx").write_bytes(AURAFACE)
    entries = [
        entry(tmp_path / "base.safetensors", family="base", use="composition"),
        entry(made / "plus.bin", name="plus.bin", sha256="0" * 64, family="plus", use="general"),
        entry(tmp_path / "tower.safetensors", folder="encoders", encoder="ViT-H/14"),
    ]
    like = entry(made / "glintr100.onnx")
    other = {name: like[name] for name in ("name", "bytes", "sha256")} | {"what": "another model"}
    whole = write(small(entries, lookalikes=[other]), made / "catalogue.json")
    monkeypatch.setattr(session.preparation.files.known, "catalogue", whole)


def listed(session: Any) -> dict[str, dict[str, Any]]:
    return {each["name"]: each for each in [*list_adapters(session), *list_encoders(session)]}


def test_files_not_hashed_yet_are_unknown_and_will_be_hashed(
    session: Any, tmp_path: Path, wanted: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(digests_module, "sha256", lambda path: pytest.fail(f"{path} is hashed"))
    found = listed(session)
    assert {name: each["published"] for name, each in found.items()} == dict.fromkeys(found)
    assert {each["sha256"] for each in found.values()} == {None}
    assert wanted == [tmp_path / "base.safetensors", tmp_path / "tower.safetensors"], "the others have other sizes"


@pytest.mark.usefixtures("wanted")
def test_hashed_files_are_known_and_their_use_comes_from_the_catalogue(session: Any, tmp_path: Path) -> None:
    files = session.preparation.files
    (tmp_path / "base.safetensors").rename(tmp_path / "a style, or a face.safetensors")
    digests = {
        name: files.digests.of(tmp_path / name) for name in ("a style, or a face.safetensors", "tower.safetensors")
    }
    found = listed(session)
    for name, published in zip(digests, ("base.safetensors", "tower.safetensors"), strict=True):
        assert (found[name]["published"], found[name]["sha256"]) == (published, digests[name])
    assert found["a style, or a face.safetensors"]["uses"] == ["composition"]
    suited = ask(session, "list")["suited"]
    assert suited["Composition"][0] == "a style, or a face.safetensors"


@pytest.mark.usefixtures("wanted")
def test_a_different_file_with_a_published_name_runs_with_a_note(session: Any) -> None:
    found = listed(session)["plus.bin"]
    assert (found["missing"], found["reason"], found["published"]) == (False, "", None)
    assert found["note"].endswith("plus.bin is not the published file of this name: its content is different.")
    assert "different" not in listed(session)["base.safetensors"]["note"]


@pytest.mark.usefixtures("wanted")
def test_wrong_face_models_are_reported_by_readiness(
    session: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readiness, "CHECKS", (readiness._face_models,))
    save(adapter_tensors("face-resampler", SD, WIDTHS, CONTEXT, 0, 4), tmp_path / "instantid.bin")
    folder = tmp_path / "faces" / "antelopev2"
    folder.mkdir(parents=True)
    pack = insightface_models.PACKS["antelopev2"]
    for name in (pack.detector, pack.recogniser):
        (folder / name).write_bytes(AURAFACE)
    (entry_of,) = ask(session, "ready", units=[unit(model="instantid")])["units"]
    assert entry_of["state"] == "ready", "not known yet"
    session.preparation.files.digests.of(folder / pack.recogniser)
    (entry_of,) = ask(session, "ready", units=[unit(model="instantid")])["units"]
    assert entry_of["state"] == "poor"
    assert entry_of["findings"] == [
        {
            "sentence": "glintr100.onnx is not the file that is needed here, but another model. "
            "The likeness will be wrong.",
            "stops": False,
            "field": "",
            "repair": {"do": "get", "pack": "antelopev2"},
        }
    ]

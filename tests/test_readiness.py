"""Readiness: each state of a unit, the sentence of the refusal, and the repair."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from makers import adapter_tensors, save
from small_host import CONTEXT, WIDTHS, Processing, ask, unit

from lib_ipadapter.faces import insightface_models
from lib_ipadapter.networks.unet_sites import SD
from lib_ipadapter.review import readiness
from lib_ipadapter.review.readiness import CHOOSE_ADAPTER, CHOOSE_ENCODER


def readiness_of(session: Any, **more: Any) -> dict[str, Any]:
    """Return the readiness of one unit."""
    (entry,) = ask(session, "ready", units=[unit(**more)])["units"]
    return entry


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of the host, with FaceID adapters that have no LoRA."""
    for name in ("faceid", "other-faceid"):
        save(adapter_tensors("faceid", SD, WIDTHS, CONTEXT, 0, 4), tmp_path / f"{name}.bin")
    return tmp_path


STOPPED: dict[str, tuple[dict[str, Any], str, dict[str, Any] | None]] = {
    "an unknown adapter": ({"model": "nothing"}, "model", dict(CHOOSE_ADAPTER)),
    "an adapter for another base": ({"model": "sdxl"}, "model", dict(CHOOSE_ADAPTER)),
    "a field without a meaning": ({"face": 1}, "face", {"do": "set", "field": "face", "value": "largest"}),
    "a composition that no layer sees": ({"composition_images": ["x"], "weight_type": "style transfer"}, "", None),
    "an unknown encoder": ({"encoder": "nothing"}, "encoder", dict(CHOOSE_ENCODER)),
    "an unknown saved reference": ({"embeds": "nothing", "images": []}, "embeds", None),
    "an unknown subject": ({"subject": "nobody"}, "subject", None),
    "a number out of range": ({"weight": 7}, "weight", None),
    "no reference": ({"images": []}, "images", None),
    "settings that contradict each other": ({"tiles": True, "unfold": True}, "tiles", None),
}


@pytest.mark.parametrize("case", STOPPED)
def test_a_unit_that_will_stop_says_what_the_generation_would_say(session, host, folder, case: str) -> None:
    change, field, repair = STOPPED[case]
    entry = readiness_of(session, **change)
    assert entry["state"] == "stops"
    (finding,) = entry["findings"]
    assert finding["stops"]
    if field:
        assert finding["field"] == field
    assert finding.get("repair") == repair
    session.before_generation(Processing(), [unit(**change)])
    assert host.refused == [f"IP-Adapter unit 1: {finding['sentence']}"]


def test_a_unit_that_runs_is_ready_and_nothing_was_encoded(session, host, folder) -> None:
    entry = readiness_of(session, images=["any text", "another"], negative_images=["x"])
    assert entry == {"unit": 1, "state": "ready", "findings": [], "pictures": 3}
    assert host.progress == []


def test_a_unit_that_is_off_is_off_whatever_is_wrong_with_it(session) -> None:
    assert readiness_of(session, enabled=False, model="nothing")["state"] == "off"
    assert readiness_of(session, enabled=False, weight=7)["state"] == "off"


def test_units_are_answered_by_number_and_do_not_hide_each_other(session) -> None:
    answered = ask(session, "ready", units=[unit(model="nothing"), None, unit()])["units"]
    assert [(each["unit"], each["state"]) for each in answered] == [(1, "stops"), (3, "ready")]


def test_everything_that_is_wrong_is_found_at_once(session, folder, tmp_path) -> None:
    (tmp_path / "tower.safetensors").unlink()
    fields = [each["field"] for each in readiness_of(session, face=1, subject="nobody")["findings"]]
    assert fields == ["face", "", "subject"]


def test_a_missing_encoder_can_be_got(session, tmp_path) -> None:
    (tmp_path / "tower.safetensors").unlink()
    (finding,) = readiness_of(session)["findings"]
    assert finding["repair"]["do"] == "get"
    assert finding["repair"]["encoder"] in finding["sentence"]


def test_missing_face_models_can_be_got(session, folder, monkeypatch) -> None:
    monkeypatch.setattr(insightface_models, "find_spec", lambda name: True)
    models, lora = readiness_of(session, model="faceid")["findings"]
    assert models["repair"] == {
        "do": "get",
        "pack": "buffalo_l",
        "files": ["buffalo_l.zip"],
        "title": "Face models buffalo_l",
        "bytes": 288621354,
    }
    assert "buffalo_l" in models["sentence"]
    assert lora["repair"] == {"do": "get", "lora": "faceid_lora.safetensors"}


def test_missing_packages_for_faces_can_be_installed(session, folder, monkeypatch) -> None:
    monkeypatch.setattr(insightface_models, "find_spec", lambda name: None if name == "onnx" else True)
    packages = readiness_of(session, model="faceid")["findings"][0]
    assert packages["repair"] == {"do": "install faces"}
    assert "onnx cannot be found" in packages["sentence"]


def test_a_missing_lora_is_poor_unless_a_strength_of_it_is_asked_for(session, folder, monkeypatch) -> None:
    monkeypatch.setattr(readiness, "CHECKS", (readiness._lora,))
    assert readiness_of(session, model="faceid")["state"] == "poor"
    assert readiness_of(session, model="faceid", lora_weight=0.5)["state"] == "stops"
    assert readiness_of(session, model="faceid", lora_weight=0)["state"] == "ready"
    shutil.copy(folder / "base.safetensors", folder / "faceid_lora.safetensors")
    assert readiness_of(session, model="faceid")["state"] == "ready"


def test_without_a_loaded_checkpoint_only_the_files_are_looked_at(session, host, monkeypatch) -> None:
    monkeypatch.setattr(host, "loaded_unet", lambda: None)
    assert readiness_of(session, model="sdxl")["state"] == "ready"


def test_what_is_no_list_of_units_is_refused_with_a_sentence(session) -> None:
    assert "must hold unit objects" in ask(session, "ready", units=7)["message"]
    assert "is an unknown field" in ask(session, "ready", unit=unit())["message"]

"""Readiness: each state of a unit, the sentence of the refusal, and the repair."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from makers import adapter_tensors, save, text_of
from PIL import Image, ImageDraw
from small_host import CONTEXT, FEATURES, STATES, WIDTHS, Processing, SmallHost, ask, photo, save_files, unit

from lib_ipadapter.base.files import sha256
from lib_ipadapter.engine.session import Session
from lib_ipadapter.faces import insightface_models
from lib_ipadapter.files.catalogue import Catalogue
from lib_ipadapter.networks.unet_sites import SD, SDXL
from lib_ipadapter.pictures.image_cache import stand_in
from lib_ipadapter.review import readiness
from lib_ipadapter.review.checkpoint_kinds import Checkpoint
from lib_ipadapter.review.findings import CHOOSE_ADAPTER
from lib_ipadapter.review.poor_results import Generation
from lib_ipadapter.unit.read_args import read_unit


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
    "an unknown encoder": (
        {"encoder": "nothing"},
        "encoder",
        {"do": "set", "field": "encoder", "value": "auto"},
    ),
    "an impossible size for the encoder": (
        {"encoder_size": 30},
        "encoder_size",
        {"do": "set", "field": "encoder_size", "value": 0},
    ),
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
    assert {"unit": 1, "state": "ready", "findings": [], "pictures": 3}.items() <= entry.items()
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


def weak(session: Any, **more: Any) -> list[dict[str, Any]]:
    """Return the findings of a unit that runs."""
    entry = readiness_of(session, **more)
    assert entry["state"] == ("poor" if entry["findings"] else "ready")
    return entry["findings"]


@pytest.fixture
def sdxl(tmp_path: Path) -> Any:
    """A session with an SDXL checkpoint, whose U-Net is not loaded yet."""
    save_files(tmp_path)
    host = SmallHost(tmp_path, None)
    return Session(host)


@pytest.mark.parametrize(
    ("checkpoint", "kind"),
    [
        ("ponyDiffusionV6XL.safetensors [67ab2fd8ec]", "Pony"),
        ("anime/NoobAI-XL-v1.1.safetensors", "NoobAI"),
        (r"anime\hassakuXLIllustrious_v2.safetensors", "Illustrious"),
        ("sd_xl_base_1.0.safetensors [31e35c80fc]", ""),
        ("pony/sd_xl_base_1.0.safetensors", ""),
        ("", ""),
    ],
)
def test_an_sdxl_adapter_is_weak_on_models_trained_far_from_sdxl(sdxl, checkpoint: str, kind: str) -> None:
    sdxl.host.checkpoint = checkpoint
    found = weak(sdxl, model="sdxl")
    assert [f"seems to be based on {kind}." in each["sentence"] for each in found] == ([True] if kind else [])


@pytest.mark.parametrize(
    ("metadata", "kind"),
    [
        ({"modelspec.title": "PonyDiffusionV6XL"}, "Pony"),
        ({"sd_merge_models": {"67ab": {"name": "illustriousXL_v01.safetensors"}}}, "Illustrious"),
        ({"modelspec.description": "works with LoRAs for Pony"}, ""),
    ],
)
def test_metadata_shows_what_a_checkpoint_was_made_from(sdxl, metadata: dict[str, Any], kind: str) -> None:
    sdxl.host.checkpoint, sdxl.host.metadata = "mine.safetensors", metadata
    found = weak(sdxl, model="sdxl")
    assert [each["sentence"].startswith(f"mine.safetensors seems to be based on {kind}.") for each in found] == (
        [True] if kind else []
    )


DISTILLED = {
    "sdxl_lightning_4step.safetensors [1234567890]": "Lightning",
    "DreamShaperXL_Turbo-Lightning.safetensors": "Lightning",
    "dreamshaperXL_v21TurboDPMSDE.safetensors": "Turbo",
    "sd_xl_turbo_1.0_fp16.safetensors": "Turbo",
    "LCM_Dreamshaper_v7.safetensors": "LCM",
    "realisticVisionV60B1_v51HyperVAE.safetensors": "Hyper",
    "Hyper-SDXL-1step-Unet.safetensors": "Hyper",
    "dmd2_sdxl_4step_unet_fp16.bin": "DMD2",
    "hyperrealism_v3.safetensors": "",
    "falcmoon.safetensors": "",
    "sd_xl_base_1.0.safetensors": "",
}


@pytest.mark.parametrize("checkpoint", DISTILLED)
def test_a_cfg_scale_too_large_for_a_distilled_checkpoint_is_named(session, host, checkpoint: str) -> None:
    host.checkpoint, kind = checkpoint, DISTILLED[checkpoint]

    def found(cfg_scale: float | None) -> list[str]:
        (entry,) = ask(session, "ready", units=[unit()], cfg_scale=cfg_scale)["units"]
        return [each["sentence"] for each in entry["findings"]]

    assert found(None) == found(1.5) == []
    assert [f"seems to be a {kind} model" in each for each in found(7)] == ([True] if kind else [])


def test_the_advice_on_distilled_checkpoints_names_the_range_of_each(session, host) -> None:
    for checkpoint, words in (("lightning.safetensors", "1 to 2. At 7,"), ("dmd2.safetensors", "1. At 7,")):
        host.checkpoint = checkpoint
        (entry,) = ask(session, "ready", units=[unit()], cfg_scale=7)["units"]
        assert f"made for a CFG scale of {words}" in entry["findings"][0]["sentence"]


@pytest.mark.parametrize(
    ("family", "checkpoint", "steps", "is_weak"),
    [
        ("pulid-v1.1", "sdxl_lightning_4step.safetensors", [4], True),
        ("pulid-v1.1", "sdxl_lightning_4step.safetensors", [5], False),
        ("pulid-v1.1", "sdxl_lightning_4step.safetensors", [], False),
        ("pulid-v1.1", "sd_xl_base_1.0.safetensors", [4], False),
        ("pulid", "sdxl_lightning_4step.safetensors", [4], False),
    ],
)
def test_pulids_authors_recommend_v1_for_four_steps_of_lightning(
    session, host, monkeypatch, family: str, checkpoint: str, steps: list[int], is_weak: bool
) -> None:
    monkeypatch.setattr(readiness, "CHECKS", ())  # its files are not here
    save(adapter_tensors(family, SD, WIDTHS, CONTEXT, 64, 8), host.folder / "pulid.safetensors")
    generation = Generation(Checkpoint(checkpoint), steps=tuple(steps))
    found = list(readiness.findings_of(session, read_unit(unit(model="pulid")), generation))
    assert ["PuLID v1.1 is less alike than v1" in each.sentence for each in found] == [True] * is_weak


@pytest.mark.parametrize(
    ("steps", "more", "is_weak"),
    [
        ([4], {"start": 0.3, "end": 0.4}, True),
        ([4], {"start": 0.25, "end": 0.4}, False),
        ([4], {"start": 0.8}, True),
        ([4], {"end": 0.1}, False),
        ([20], {"start": 0.3, "end": 0.4}, False),
        ([4, 10], {"start": 0.3, "end": 0.4}, False),
        ([4, 10], {"start": 0.3, "end": 0.4, "pass": "base"}, True),
        ([20, 4], {"start": 0.3, "end": 0.4, "pass": "hires"}, True),
        ([None], {"start": 0.3, "end": 0.4}, False),
        (None, {"start": 0.3, "end": 0.4}, False),
        ([4], {"curve": "0:0, 1:0"}, False),
    ],
)
def test_a_start_and_an_end_between_two_steps_are_named(session, steps: Any, more: dict[str, Any], is_weak) -> None:
    (entry,) = ask(session, "ready", units=[unit(**more)], steps=steps)["units"]
    assert [each["field"] for each in entry["findings"]] == ["start"] * is_weak
    assert all(f"Of the {steps[0]}" in each["sentence"] or "hires" in str(more) for each in entry["findings"])


def test_steps_that_are_no_list_of_whole_numbers_are_refused_with_a_sentence(session) -> None:
    assert "must be a list" in ask(session, "ready", units=[unit()], steps=4)["message"]
    assert "steps[0]" in ask(session, "ready", units=[unit()], steps=["4"])["message"]


def test_a_noobai_model_is_offered_its_own_adapter(sdxl) -> None:
    name = "noobIPAMARK1_mark1.safetensors"
    sdxl.host.checkpoint = "noob.safetensors"
    (finding,) = weak(sdxl, model="sdxl")
    assert finding["repair"]["do"] == "get"
    assert finding["repair"]["files"] == [name]
    files = sdxl.preparation.files
    path = save(adapter_tensors("base", SDXL, (64, 128), 32, FEATURES, seed=1), sdxl.host.folder / "mine.safetensors")
    files.known.catalogue = with_hash(files.known.catalogue, name, sha256(path), path.stat().st_size)
    files.digests.record(path, sha256(path))
    files.rescan()
    (finding,) = weak(sdxl, model="sdxl")
    assert finding["repair"] == {"do": "choose adapter", "name": "mine.safetensors"}
    assert weak(sdxl, model="mine") == []


def with_hash(catalogue: Catalogue, name: str, digest: str, size: int) -> Catalogue:
    """Return a catalogue in which a file has another hash and size."""
    changed = replace(catalogue.by_name[name], sha256=digest, bytes=size)
    return replace(catalogue, files=tuple(changed if file.name == name else file for file in catalogue.files))


def test_what_acts_through_the_unconditional_pass_is_weak_at_cfg_1(session) -> None:
    def found(cfg_scale: float | None, **more: Any) -> list[str]:
        (entry,) = ask(session, "ready", units=[unit(**more)], cfg_scale=cfg_scale)["units"]
        return [each["field"] for each in entry["findings"]]

    for changes, field in (
        ({"weight_type": "style transfer precise"}, "weight_type"),
        ({"weight_type": "composition precise"}, "weight_type"),
        ({"negative_images": ["x"]}, "negative_images"),
    ):
        assert found(1, **changes) == [field]
        assert found(1.5, **changes) == found(None, **changes) == []
    assert found(1, weight_type="style transfer") == []


def cost(session: Any, **more: Any) -> tuple[int, list[int]]:
    """Return how many pictures of a unit are encoded before it runs, and which would have to be sent for a look."""
    entry = readiness_of(session, **more)
    assert entry["state"] in ("ready", "poor"), entry["findings"]
    return entry["encodes"], entry["unseen"]


def known(**more: Any) -> dict[str, Any]:
    """Return a unit's fields with stand-ins for its pictures, as the panel sends them."""
    return {
        name: [stand_in(each) for each in value] if name.endswith("images") else value for name, value in more.items()
    }


def test_what_is_encoded_is_counted_until_it_is_cached(session) -> None:
    pictures: dict[str, Any] = {"images": [photo(1), photo(2)], "negative_images": [photo(3)]}
    assert cost(session, **known(**pictures)) == cost(session, **pictures) == (3, [])
    session.before_generation(Processing(), [unit(**pictures)])
    assert cost(session, **known(**pictures)) == cost(session, **pictures) == (0, [])
    assert cost(session, **known(images=[photo(4), photo(1)])) == (1, [])
    noise = {"noise": 0.5, "noise_type": "gaussian"}
    for change, again in (({"crop": "pad"}, 3), ({"tiles": True}, 2), ({"enhance": 2}, 2), (noise, 1)):
        encodes, _ = cost(session, model="plus", **change, **known(**pictures))
        assert encodes == again, change
    assert cost(session, model="plus", **known(**pictures)) == (0, []), "it uses the same encoder"


def test_a_unit_that_stops_costs_nothing(session) -> None:
    entry = readiness_of(session, model="nothing")
    assert (entry["encodes"], entry["slow"], entry["unseen"]) == (0, "", [])


def test_pictures_of_a_subject_are_encoded_too(session) -> None:
    ask(session, "save subject", name="Anna", pictures=[{"image": photo(5)}, {"image": photo(6)}], overwrite=False)
    assert cost(session, images=[], subject="Anna") == (2, [])


def test_an_encoder_that_was_too_large_for_the_device_is_named_before(session, host, monkeypatch) -> None:
    assert readiness_of(session)["slow"] == "tower.safetensors runs on the CPU."
    monkeypatch.setattr(host, "compute_device", lambda: torch.device("cuda"))
    assert readiness_of(session)["slow"] == ""
    monkeypatch.setattr(session.preparation, "ran_on_cpu", lambda encoder: True)
    assert "the device had too little memory" in readiness_of(session)["slow"]


@pytest.fixture
def without_faces(session: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A session in which FaceID runs, but has not looked for any face."""
    monkeypatch.setattr(readiness, "CHECKS", ())
    (folder / "faces" / "buffalo_l").mkdir(parents=True)
    for name in ("det_10g.onnx", "w600k_r50.onnx"):
        (folder / "faces" / "buffalo_l" / name).write_bytes(b"onnx")
    return session


def drawn() -> str:
    """Return a face of flat colours."""
    picture = Image.new("RGB", (200, 200), "skyblue")
    pen = ImageDraw.Draw(picture)
    pen.ellipse((50, 30, 150, 170), "bisque", "black", 4)
    for x in (85, 115):
        pen.ellipse((x - 6, 80, x + 6, 92), "black")
    return text_of(picture)


def test_a_drawing_is_weak_with_an_adapter_for_faces_once_it_was_seen(without_faces) -> None:
    tensors = adapter_tensors("full-face", SD, WIDTHS, CONTEXT, STATES, 257)
    save(tensors, without_faces.host.folder / "full-face.safetensors")
    shaded = text_of(Image.radial_gradient("L").convert("RGB"))
    session, pictures = without_faces, {"images": [shaded, drawn()]}
    assert cost(session, model="faceid", **known(**pictures)) == (2, [0, 1])
    for image in pictures["images"]:
        assert ask(session, "see", image=image) == {}
    (finding,) = weak(session, model="faceid", **known(**pictures))
    assert finding["sentence"].startswith("Reference 2 looks like a drawing")
    assert cost(session, model="faceid", **known(**pictures)) == (2, [])
    for model in ("base", "full-face"):
        assert weak(session, model=model, **known(**pictures)) == [], "it follows drawings too"
    assert weak(session, model="faceid", images=pictures["images"][:1]) == []


def test_a_picture_that_cannot_be_read_is_refused_when_it_is_seen(session) -> None:
    assert "must be a picture" in ask(session, "see", image="?")["message"]
    assert "is required" in ask(session, "see")["message"]
    assert "unknown field" in ask(session, "see", picture="x")["message"]


def test_a_face_that_no_picture_has_stops_once_its_faces_are_known(without_faces, monkeypatch) -> None:
    monkeypatch.setattr(readiness, "CHECKS", (readiness._chosen_faces,))
    monkeypatch.setattr(insightface_models, "find_spec", lambda name: True)
    session, picture = without_faces, drawn()
    ask(session, "see", image=picture)
    assert readiness_of(session, model="faceid", images=[picture])["state"] == "poor"
    monkeypatch.setattr(session.preparation.faces, "known_faces_of", lambda file, pack: ())
    monkeypatch.setattr(session.preparation.faces, "faces_of", lambda field, file, pack: ())
    (finding,) = readiness_of(session, model="faceid", images=[stand_in(picture)])["findings"][:1]
    assert finding["stops"]
    assert "has no detectable face" in finding["sentence"]


def test_a_damaged_picture_of_a_face_stops(without_faces) -> None:
    damaged = text_of(Image.new("RGB", (8, 8)))[:-40]
    ask(without_faces, "see", image=damaged)
    entry = readiness_of(without_faces, model="faceid", images=[damaged])
    assert entry["state"] == "stops"
    assert entry["findings"][0]["field"] == "images[0]"


@pytest.mark.parametrize(
    ("name", "used", "title"), [("plusv2", "v1", "FaceID Plus v2"), ("plus", "v2", "FaceID Plus v1")]
)
def test_a_file_used_as_another_variant_is_weak(session, folder, monkeypatch, name, used, title) -> None:
    monkeypatch.setattr(readiness, "CHECKS", ())
    tensors = adapter_tensors("faceid-plus", SD, WIDTHS, CONTEXT, STATES, 4)
    save(tensors, folder / f"ip-adapter-faceid-{name}_sd15.bin")
    session.preparation.files.rescan()
    model = f"ip-adapter-faceid-{name}_sd15"
    (finding,) = weak(session, model=model, variant=used)
    assert f"is {title}, as its name shows, but the unit uses it as {used}." in finding["sentence"]
    right = title[-2:]
    assert finding["repair"] == {"do": "set", "field": "variant", "value": right, "title": title}
    assert weak(session, model=model, variant=right) == weak(session, model=model) == []
    (folder / f"{model}.bin").rename(folder / "mine.bin")
    session.preparation.files.rescan()
    assert weak(session, model="mine", variant=used) == [], "nothing shows what it is"


def test_adetailer_without_this_extension_is_named_while_it_is_on(session, host) -> None:
    def state(inner: bool, which: str) -> str:
        (entry,) = ask(session, "ready", units=[unit(inner=which)], inner=inner)["units"]
        assert all(each.get("repair") == {"do": "join inner"} for each in entry["findings"]), entry
        return entry["state"]

    assert state(True, "all") == "ready", "there is no ADetailer"
    host.leaves_out = True
    assert [state(True, which) for which in ("all", "picture only", "inner only")] == ["poor", "ready", "stops"]
    assert state(False, "all") == "ready"
    assert ask(session, "join inner") == {"settings": {"ad_script_names": "dynamic_thresholding,ip_adapter"}}
    assert state(True, "all") == "ready"

"""Saved references: the same picture as with the original images, and untrusted files."""

import json
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from makers import picture, save, text_of
from PIL import Image
from safetensors.torch import load_file, save_file
from small_host import FEATURES, STATES, Processing, SmallHost, ask, call, photo, unit
from torch import Tensor, nn

from lib_ipadapter.base.errors import IPAdapterError, UnitError, UnrecognisedError
from lib_ipadapter.engine.session import Session
from lib_ipadapter.files import saved_embeds as saved
from lib_ipadapter.unit.restore import restored
from lib_ipadapter.web.file_lists import list_saved, save_reference
from lib_ipadapter.web.pasted import difference
from lib_ipadapter.weights.clip_vision import fingerprint, open_encoder, zero_pixels


def keep(session: Session, name: str = "anna", overwrite: bool = False, **more: Any) -> dict[str, Any]:
    return save_reference(session, {"name": name, "unit": unit(**more), "overwrite": overwrite})


def using(name: str = "anna", **more: Any) -> dict[str, Any]:
    """Return a unit with a saved reference."""
    return {"model": "base", "embeds": name, **more}


def refusal(host: SmallHost, session: Session, given: dict[str, Any]) -> str:
    """Return why a unit cannot run."""
    host.refused.clear()
    session.before_sampling(Processing(), [given])
    (sentence,) = host.refused
    host.refused.clear()
    return sentence


# The same picture


SEVERAL = [photo(1), {"image": photo(2), "weight": 0.5}, photo(3)]
LIKE_PICTURES = [
    {},
    {"model": "plus"},
    {"model": "plus", "crop": "pad"},
    {"model": "plus", "images": SEVERAL},
    {"model": "plus", "images": [*SEVERAL, {"image": photo(4), "weight": 0}]},
    *({"images": SEVERAL, "combine": combine} for combine in ("average", "add", "subtract", "norm average", "max")),
    {"model": "plus", "images": SEVERAL, "combine": "average tokens"},
    {"images": SEVERAL, "unfold": True},
    {"model": "plus", "images": [photo(1, 90, 30), photo(2, 30, 30)], "tiles": True},
    {"model": "plus", "images": SEVERAL, "enhance": 2},
    {"model": "plus", "negative_images": [photo(5)], "noise": 0.3, "noise_type": "fade"},
    {"model": "plus", "composition_images": [photo(6), photo(7)], "weight": 0.7},
    {"mask": text_of(Image.new("L", (8, 8), 90))},
]


@pytest.mark.parametrize("more", LIKE_PICTURES, ids=lambda more: " ".join(more) or "plain")
def test_a_saved_reference_gives_the_same_result_as_its_images_bit_for_bit(host, session, more: dict[str, Any]) -> None:
    expected = call(host, session, [unit(**more)])
    keep(session, **more)
    alone = {name: value for name, value in more.items() if name != "images"}
    for one in (session, Session(host)):
        assert torch.equal(call(host, one, [using(**alone)]), expected)
    assert not torch.equal(expected, call(host, session, []))


def test_it_works_with_every_adapter_for_its_encoder(host, session) -> None:
    keep(session, model="base")
    for model in ("base", "plus"):
        assert torch.equal(call(host, session, [using(model=model)]), call(host, session, [unit(model=model)]))


def test_a_saved_reference_is_not_confused_with_a_picture_of_the_same_hash(host, session) -> None:
    """Cached features of pictures are never used for saved references, nor the other way round."""
    plain = call(host, session, [unit()])
    keep(session)
    path = host.folder / "saved" / "anna.safetensors"
    tensors = {name: 2 * tensor for name, tensor in load_file(path).items()}
    save_file(tensors, path, saved.read_metadata(path))
    assert not torch.allclose(call(host, session, [using()]), plain, atol=1e-4)
    assert torch.equal(call(host, session, [unit()]), plain)


def test_a_file_that_was_saved_again_is_read_again(host, session) -> None:
    keep(session)
    first = call(host, session, [using()])
    keep(session, overwrite=True, images=[photo(2)])
    assert torch.equal(call(host, session, [using()]), call(host, session, [unit(images=[photo(2)])]))
    assert not torch.equal(call(host, session, [using()]), first)


# What goes with what


def test_the_encoder_is_recognised_by_its_weights_and_not_by_its_file(host, session, tmp_path) -> None:
    keep(session)
    tower = open_encoder(host.folder / "tower.safetensors")
    tensors = load_file(tower.path)
    half = open_encoder(save(tensors, tmp_path / "half" / "other.bin", torch.float16))
    assert fingerprint(half) == fingerprint(tower)
    changed = {**tensors, "visual.ln_post.bias": tensors["visual.ln_post.bias"] + 0.01}
    assert fingerprint(open_encoder(save(changed, tmp_path / "changed.safetensors"))) != fingerprint(tower)


def test_another_encoders_features_are_refused(host, session) -> None:
    keep(session)
    tower = host.folder / "tower.safetensors"
    changed = {name: tensor + 0.01 for name, tensor in load_file(tower).items()}
    save(changed, host.folder / "alike.safetensors")
    sentence = refusal(host, session, using(encoder="alike"))
    assert "embeds" in sentence
    assert '"anna" was made by tower.safetensors, but the unit uses alike.safetensors' in sentence
    assert sentence.endswith("Choose that encoder or an adapter for it, or save the pictures again.")
    assert call(host, session, [using(encoder="tower")]).isfinite().all()


def test_features_of_another_width_are_refused(host, session) -> None:
    (host.folder / "saved").mkdir()
    torch.save(torch.randn(1, FEATURES + 1), host.folder / "saved" / "wide.ipadpt")
    sentence = refusal(host, session, using("wide"))
    assert f"an image encoder with an image embedding ({FEATURES + 1},)" in sentence
    assert f"with an image embedding ({FEATURES},)" in sentence


def test_tiles_are_used_as_they_were_saved(host, session) -> None:
    keep(session, "plain")
    keep(session, "tiled", tiles=True)
    assert 'tiles does not match "plain", which was saved without tiles' in refusal(
        host, session, using("plain", tiles=True)
    )
    assert 'tiles does not match "tiled", which was saved in tiles; switch tiles on' in refusal(
        host, session, using("tiled")
    )
    keep(session, "two", tiles=True, images=[photo(1), photo(2)])
    assert "set combine to concat" in refusal(host, session, using("two", tiles=True, combine="average"))


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"images": [photo()]}, "embeds replaces images"),
        ({"noise": 0.5, "noise_type": "fade"}, "noise is made from pictures, which a saved reference does not have"),
        ({"embeds": "anne"}, 'embeds "anne" was not found. Did you mean anna.safetensors?'),
        ({"embeds": "../tower"}, "was not found"),
        ({"embeds": "tower"}, "was not found"),
    ],
)
def test_contradicting_fields_are_refused(host, session, more: dict[str, Any], words: str) -> None:
    keep(session)
    assert words in refusal(host, session, using() | more)


def test_parameters_name_it_with_its_hash_and_a_pasted_unit_has_that_one_or_none(host, session) -> None:
    digest = keep(session)["sha256"]
    p = Processing()
    session.before_generation(p, [using()])
    pasted = restored(p.extra_generation_params["IP-Adapter 1"], lambda _digits: None)
    assert pasted["embeds"] == f"anna [{digest[:12]}]"
    assert torch.equal(call(host, session, [pasted]), call(host, session, [unit()]))
    keep(session, overwrite=True, images=[photo(9)])
    sentence = refusal(host, session, pasted)
    pasted = restored(p.extra_generation_params["IP-Adapter 1"], lambda _: None, partial(difference, session))
    assert pasted["note"] in sentence
    assert "has changed since this was written" in sentence
    assert "Give the name without the hash" in sentence


# Names and files


@pytest.mark.parametrize("name", ["anna", "Änna 猫", "a.b", "anna-2_(x)", "console", "x" * 60])
def test_every_valid_file_name_is_accepted(session, host, name: str) -> None:
    assert keep(session, name)["name"] == f"{name}.safetensors"
    assert [path.name for path in (host.folder / "saved").iterdir()] == [f"{name}.safetensors"]
    assert call(host, session, [using(name)]).isfinite().all()


BAD_NAMES = ["", " ", ".", "..", "a/b", "a\\b", "../a", "/a", "C:a", "a.", " a", "a ", "a\n", "a\0", "a[1]", "a?", '"']
BAD_NAMES += ["con", "CON", "nul.txt", "COM1", "lpt¹", "aux.", "x" * 61]


@pytest.mark.parametrize("name", BAD_NAMES, ids=ascii)
def test_any_other_name_is_refused_and_nothing_is_written(session, host, tmp_path, name: str) -> None:
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UnitError, match="must be 1 to 60 characters") as refused:
        keep(session, name, overwrite=True)
    assert refused.value.field == "name"
    assert sorted(tmp_path.rglob("*")) == before


def test_nothing_is_overwritten_unless_requested(session, host) -> None:
    first = keep(session)
    with pytest.raises(UnitError, match=r'"anna" is taken\. Choose another one, or set overwrite to true'):
        keep(session, images=[photo(2)])
    assert list_saved(session)[0]["sha256"] == first["sha256"]
    assert keep(session, overwrite=True, images=[photo(2)])["sha256"] != first["sha256"]


def test_a_file_of_that_name_that_is_no_saved_reference_is_kept(session, host) -> None:
    path = save({"weight": torch.ones(2)}, host.folder / "saved" / "anna.safetensors")
    before = path.read_bytes()
    with pytest.raises(UnitError, match="is not a saved reference and is not replaced"):
        keep(session, overwrite=True)
    assert path.read_bytes() == before


@pytest.mark.parametrize("other", ["ANNA.safetensors", "anna.ipadpt", "sub/anna.safetensors"])
def test_a_name_that_could_be_confused_with_another_is_refused(session, host, other: str) -> None:
    path = host.folder / "saved" / other
    path.parent.mkdir(parents=True)
    path.write_bytes(b"x")
    with pytest.raises(UnitError, match="is too similar to"):
        keep(session, overwrite=True)
    assert path.read_bytes() == b"x"


def test_a_file_is_written_completely_or_not_at_all(session, host, monkeypatch) -> None:
    first = keep(session)

    def half(_tensors: Any, path: Path, _metadata: Any) -> None:
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(saved, "save_file", half)
    with pytest.raises(IPAdapterError, match=r"anna\.safetensors cannot be written .*No space left"):
        keep(session, overwrite=True, images=[photo(2)])
    assert [path.name for path in (host.folder / "saved").iterdir()] == ["anna.safetensors"]
    assert list_saved(session)[0]["sha256"] == first["sha256"]


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"unit": unit()}, "name"),
        ({"name": 3, "unit": unit()}, "name"),
        ({"name": "a"}, "unit"),
        ({"name": "a", "unit": [unit()]}, "unit"),
        ({"name": "a", "unit": unit(weight=9)}, "weight"),
        ({"name": "a", "unit": using()}, "images"),
        ({"name": "a", "unit": unit(), "overwrite": 1}, "overwrite"),
        ({"name": "a", "unit": unit(), "path": "/tmp"}, "path"),
        ({"name": "a", "unit": unit(images=[{"image": photo(), "mask": photo()}])}, "images[0].mask"),
        ({"name": "a", "unit": unit(model="nothing")}, "model"),
    ],
)
def test_what_cannot_be_saved_is_refused_by_field(session, host, asked: dict[str, Any], field: str) -> None:
    with pytest.raises(UnitError) as refused:
        save_reference(session, asked)
    assert refused.value.field == field
    assert not (host.folder / "saved").exists()


def test_the_list_and_the_panel_show_the_saved_files(session, host) -> None:
    keep(session, "two", images=[photo(1), photo(2)])
    (host.folder / "saved" / "damaged.safetensors").write_bytes(b"<html>")
    save({"something": torch.ones(1)}, host.folder / "saved" / "else.safetensors")
    two, damaged = ask(session, "rescan")["saved"]
    assert {key: two[key] for key in ("name", "references", "tiles", "holds", "encoder", "reason")} == {
        "name": "two.safetensors",
        "references": 2,
        "tiles": False,
        "holds": ["embed", "hidden"],
        "encoder": "tower.safetensors",
        "reason": "",
    }
    assert (damaged["name"], "web page" in damaged["reason"]) == ("damaged.safetensors", True)
    said = ask(session, "save", name="one", unit=unit())
    assert said["message"].format(**said["values"]) == "Saved as one.safetensors."
    assert [entry["name"] for entry in said["saved"]] == ["one.safetensors", "two.safetensors", "damaged.safetensors"]
    assert "is taken" in ask(session, "save", name="one", unit=unit())["message"]


# Files of other programs


def features(host: SmallHost, *seeds: int) -> tuple[Tensor, Tensor]:
    """Return the embeddings and hidden states of some pictures, as the unit's encoder makes them."""
    from lib_ipadapter.pictures.crops import resize_for
    from lib_ipadapter.pictures.preprocess import to_pixels

    tower = open_encoder(host.folder / "tower.safetensors")
    pixels = [to_pixels(resize_for(picture(50, 40, seed), tower.image_size, "center")) for seed in seeds]
    made = tower.encode([*pixels, zero_pixels(tower)], torch.device("cpu"), torch.float32)[:-1]
    return torch.cat([each.embed for each in made]), torch.cat([each.hidden for each in made])


@pytest.mark.parametrize("model", ["base", "plus"])
@pytest.mark.parametrize("combine", ["concat", "average"])
@pytest.mark.parametrize("form", ["ComfyUI", "diffusers", "diffusers without guidance"])
def test_files_of_comfyui_and_diffusers_are_read(host, session, model: str, combine: str, form: str) -> None:
    own = features(host, 1, 2)[model == "plus"]
    content: Any = {
        "ComfyUI": own,
        "diffusers": [torch.stack([torch.zeros_like(own), own])],
        "diffusers without guidance": [own[None]],
    }[form]
    (host.folder / "saved").mkdir()
    torch.save(content, host.folder / "saved" / "theirs.ipadpt")
    made = call(host, session, [using("theirs", model=model, combine=combine)])
    expected = call(host, session, [unit(model=model, images=[photo(1), photo(2)], combine=combine)])
    assert torch.equal(made, expected)


def test_a_file_with_the_wrong_kind_of_features_is_refused(host, session) -> None:
    (host.folder / "saved").mkdir()
    torch.save(features(host, 1)[0], host.folder / "saved" / "theirs.ipadpt")
    sentence = refusal(host, session, using("theirs", model="plus"))
    assert f'"theirs" holds only an image embedding ({FEATURES},), but plus.bin takes hidden states' in sentence


@pytest.mark.parametrize("kind", ["embed", "hidden"])
def test_files_saved_by_diffusers_are_read(host, session, tmp_path, kind: str) -> None:
    """The layout comes from diffusers' function with a transformers tower; the pictures need no resizing."""
    diffusers = pytest.importorskip("diffusers")
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    config = transformers.CLIPVisionConfig(
        hidden_size=STATES,
        intermediate_size=2 * STATES,
        projection_dim=FEATURES,
        num_hidden_layers=2,
        num_attention_heads=1,
        image_size=28,
        patch_size=14,
        hidden_act="gelu",
    )
    tower = transformers.CLIPVisionModelWithProjection(config).eval()
    save({key: tensor for key, tensor in tower.state_dict().items() if "position_ids" not in key}, tmp_path / "hf.bin")
    (host.folder / "tower.safetensors").unlink()
    pipeline_class = diffusers.StableDiffusionPipeline
    layer = diffusers.models.embeddings.ImageProjection() if kind == "embed" else nn.Identity()
    pipeline = SimpleNamespace(
        image_encoder=tower,
        feature_extractor=transformers.CLIPImageProcessor(size={"shortest_edge": 28}, crop_size=28),
        unet=SimpleNamespace(encoder_hid_proj=SimpleNamespace(image_projection_layers=[layer])),
    )
    pipeline.encode_image = lambda *args: pipeline_class.encode_image(pipeline, *args)
    with torch.no_grad():
        content = pipeline_class.prepare_ip_adapter_image_embeds(
            pipeline, [[picture(28, 28, 1), picture(28, 28, 2)]], None, torch.device("cpu"), 1, True
        )
    (host.folder / "saved").mkdir()
    torch.save(content, host.folder / "saved" / "theirs.ipadpt")
    model = {"embed": "base", "hidden": "plus"}[kind]
    made = call(host, session, [using("theirs", model=model, encoder="hf")])
    expected = call(host, session, [unit(model=model, encoder="hf", images=[photo(1, 28, 28), photo(2, 28, 28)])])
    assert torch.allclose(made, expected, atol=1e-4)
    assert not torch.allclose(made, call(host, session, []), atol=1e-2)


class Code:
    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str, ...]]:
        return os.mkdir, ("harmed",)


FORGED: dict[str, Any] = {
    "code": Code(),
    "code beside a tensor": [torch.ones(1, 4), Code()],
    "a dictionary": {"embeds": torch.ones(1, 4)},
    "a number": 3,
    "one axis": torch.ones(4),
    "nothing in it": torch.ones(0, 4),
    "several adapters": [torch.ones(2, 1, 4), torch.ones(2, 1, 4)],
    "an empty list": [],
    "no halves": [torch.ones(3, 1, 4)],
    "a list of numbers": [1.0],
    "too few numbers": torch.ones(1).expand(10**6, 10**6),
    "a sparse tensor": torch.ones(2, 4).to_sparse(),
}


@pytest.mark.parametrize("kind", FORGED)
def test_any_other_torch_file_is_refused_and_no_code_is_run(kind: str, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save(FORGED[kind], tmp_path / "a.ipadpt")
    with pytest.raises(IPAdapterError) as refused:
        saved.open_saved(tmp_path / "a.ipadpt").features("embed")
    assert refused.value.sentence.startswith("a.ipadpt ")
    assert not (tmp_path / "harmed").exists()


PICTURE = {"weight": 1.0, "places": []}
METADATA = {"ip_adapter_reference": "1", "encoder": "e", "fingerprint": "f", "pictures": json.dumps([PICTURE])}
TENSORS = {"embed": torch.ones(1, 4), "hidden": torch.ones(1, 3, 5)}
FAULTS: dict[str, tuple[dict[str, str], dict[str, Tensor]]] = {
    "no such version": ({"ip_adapter_reference": "9"}, TENSORS),
    "no JSON": ({"pictures": "["}, TENSORS),
    "deep JSON": ({"pictures": "[" * 100_000}, TENSORS),
    "no list": ({"pictures": "3"}, TENSORS),
    "no weight": ({"pictures": "[{}]"}, TENSORS),
    "NaN": ({"pictures": json.dumps([PICTURE | {"weight": float("nan")}])}, TENSORS),
    "three edges": ({"pictures": json.dumps([PICTURE | {"places": [[0, 0, 1]]}])}, TENSORS),
    "a tile outside": ({"pictures": json.dumps([PICTURE | {"places": [[0, 0, 1, 7]]}])}, TENSORS),
    "too few features": ({"pictures": json.dumps([PICTURE] * 2)}, TENSORS),
    "too many features": ({"pictures": "[]"}, TENSORS),
    "another tensor": ({}, TENSORS | {"tokens": torch.ones(1, 4)}),
    "another axis": ({}, {"embed": torch.ones(1, 2, 4)}),
}


def write(path: Path, metadata: dict[str, str], tensors: dict[str, Tensor]) -> Path:
    save_file(tensors, path, METADATA | metadata)
    return path


@pytest.mark.parametrize("fault", FAULTS)
def test_a_forged_header_is_refused_with_a_reason(fault: str, tmp_path) -> None:
    assert saved.open_saved(write(tmp_path / "good.safetensors", {}, TENSORS)).features("hidden").shape == (1, 3, 5)
    with pytest.raises(IPAdapterError) as refused:
        saved.open_saved(write(tmp_path / "a.safetensors", *FAULTS[fault]))
    assert refused.value.sentence.startswith("a.safetensors ")


def test_nan_is_refused_when_it_is_used(tmp_path) -> None:
    path = write(tmp_path / "a.safetensors", {}, {"embed": torch.tensor([[1.0, float("nan")]])})
    with pytest.raises(IPAdapterError, match="embed \\(NaN or infinity\\)"):
        saved.open_saved(path).features("embed")


def test_an_adapter_or_an_encoder_is_not_a_saved_reference(host) -> None:
    with pytest.raises(UnrecognisedError):
        saved.open_saved(host.folder / "base.safetensors")
    with pytest.raises(UnrecognisedError):
        saved.open_saved(host.folder / "tower.safetensors")

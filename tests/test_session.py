"""A session on a small host with ldm's real U-Net: what is computed when, and what a pass does."""

import base64
import contextlib
import re
from typing import Any

import pytest
import torch
from makers import adapter_tensors, save, text_of
from safetensors.torch import load_file
from small_host import CONTEXT, FEATURES, ROWS, Processing, SmallHost, ask, call, photo, unit
from torch import nn
from unets import ldm_unet

from lib_ipadapter.base.errors import IPAdapterError
from lib_ipadapter.base.version import VERSION
from lib_ipadapter.engine import prepare as preparation
from lib_ipadapter.engine import tokens
from lib_ipadapter.engine.compatibility import loaded_network, mismatch
from lib_ipadapter.engine.generation_units import units_of
from lib_ipadapter.engine.sampling_run import SamplingRun
from lib_ipadapter.engine.session import Session
from lib_ipadapter.networks.unet_modules import find_attentions
from lib_ipadapter.networks.unet_sites import SDXL, sites
from lib_ipadapter.pictures.image_file import decode
from lib_ipadapter.port import CacheLimits, PassInfo
from lib_ipadapter.unit.read_args import read_unit
from lib_ipadapter.web.file_lists import list_adapters, list_encoders
from lib_ipadapter.weights.clip_vision import EncoderFile

ENCODE = EncoderFile.encode


@pytest.fixture
def encoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of pictures in each call of an encoder."""
    counts: list[int] = []

    def counting(encoder: Any, pictures: Any, *more: Any) -> Any:
        pictures = list(pictures)
        counts.append(len(pictures))
        return ENCODE(encoder, pictures, *more)

    monkeypatch.setattr(EncoderFile, "encode", counting)
    return counts


def sample(host: SmallHost, session: Session, args: list[Any], progress: float = 0.0) -> torch.Tensor:
    return call(host, session, args, progress=progress)


def test_a_picture_is_encoded_once_and_cached_between_generations(session, host, encoded) -> None:
    first = sample(host, session, [unit()])
    again = sample(host, session, [unit()])
    assert encoded == [2], "the reference and the unconditional picture"
    assert torch.equal(first, again)
    sample(host, session, [unit(images=[photo(), photo(2)])])
    sample(host, session, [unit(model="plus")])
    assert encoded == [2, 1], "only what is new"
    sample(host, session, [unit(crop="pad")])
    assert encoded == [2, 1, 1]


@pytest.mark.parametrize("limits", [CacheLimits(), CacheLimits(features=0)])
def test_cached_features_stay_within_the_hosts_limit(host, encoded, limits: CacheLimits) -> None:
    host.limits = limits
    session = Session(host)
    for seed in (1, 2):
        sample(host, session, [unit(images=[photo(seed)])])
    encoded.clear()
    sample(host, session, [unit(images=[photo(1)], model="plus")])  # other keys and values from the same features
    assert bool(encoded) == (limits.features == 0)


@pytest.mark.parametrize("limits", [CacheLimits(), CacheLimits(keys_values=0)])
def test_cached_keys_and_values_stay_within_the_hosts_limit(host, monkeypatch, limits: CacheLimits) -> None:
    made: list[int] = []
    monkeypatch.setattr(preparation, "project", lambda *args, **more: made.append(1) or tokens.project(*args, **more))
    host.limits = limits
    session = Session(host)
    for seed in (1, 2, 1):
        sample(host, session, [unit(images=[photo(seed)])])
    assert (len(made) == 4) == (limits.keys_values > 0), "two sets a unit, the unconditional one and the picture's"


def test_encoding_reports_its_progress_and_can_be_interrupted(session, host) -> None:
    several = unit(images=[photo(1), photo(2), photo(3)])
    host.interrupted_at = 3
    session.before_sampling(Processing(), [several])
    assert host.refused == ["IP-Adapter unit 1: Interrupted."]
    assert host.progress == [("encoding", done, 4) for done in range(3)], "three references and the empty picture"
    host.progress.clear()
    host.refused.clear()
    host.interrupted_at = 0
    call(host, session, [several])
    assert host.progress == [("encoding", done, 4) for done in range(5)], "nothing was kept of the first time"
    call(host, session, [several])
    assert len(host.progress) == 5


def test_a_cache_key_has_every_input_of_the_value(session, host) -> None:
    made = {
        name: sample(host, session, [unit(**more)])
        for name, more in {
            "plain": {},
            "other picture": {"images": [photo(2)]},
            "two pictures": {"images": [photo(), photo(2)]},
            "other order is the same attention": {"images": [photo(2), photo()]},
            "other crop": {"crop": "squash"},
            "other box": {"images": [{"image": photo(), "box": [0.25, 0, 1, 0.75]}]},
            "other adapter": {"model": "plus"},
            "other weight": {"weight": 0.5},
        }.items()
    }
    assert torch.allclose(made["two pictures"], made.pop("other order is the same attention"), atol=1e-4)
    names = list(made)
    for i, one in enumerate(names):
        for other in names[i + 1 :]:
            assert not torch.allclose(made[one], made[other], atol=1e-4), (one, other)


@pytest.mark.parametrize("settings", [{}, {"tiles": True}, {"enhance": 2}, {"crop": "pad"}, {"noise_type": "shuffle"}])
def test_a_box_gives_what_the_cut_picture_gives(session, host, settings: dict) -> None:
    whole = decode("", base64.b64decode(photo()))
    width, height = whole.size
    edges = (round(0.2 * width), 0, width, round(0.7 * height))
    box = [edges[0] / width, 0, 1, edges[3] / height]
    settings |= {"noise": 0.5} if "noise_type" in settings else {}
    cut = sample(host, session, [unit(images=[text_of(whole.crop(edges))], **settings)])
    boxed = sample(host, session, [unit(images=[{"image": photo(), "box": box}], **settings)])
    if "noise" in settings:  # noise is seeded by the file
        assert not torch.equal(boxed, sample(host, session, [unit(images=[photo()], **settings)]))
    else:
        assert torch.equal(boxed, cut)


def test_a_reference_that_is_off_changes_nothing(session, host) -> None:
    off = {"image": photo(2), "enabled": False, "mask": photo(3)}
    alone = sample(host, session, [unit()])
    assert torch.equal(sample(host, session, [unit(images=[off, photo()], combine="average")]), alone)
    every = {"images": [photo(), off], "negative_images": [off], "composition_images": [off]}
    assert torch.equal(sample(host, session, [unit(**every)]), alone)


def test_a_changed_adapter_file_is_read_again(session, host, tmp_path) -> None:
    before = sample(host, session, [unit()])
    size = {"widths": (32, 64, 128), "context_dim": CONTEXT, "seed": 9}
    save(adapter_tensors("base", width=FEATURES, **size), tmp_path / "base.safetensors", torch.float16)
    assert not torch.allclose(sample(host, session, [unit()]), before, atol=1e-3)


def test_units_apply_only_between_start_and_end(session, host) -> None:
    plain = sample(host, session, [])
    late = unit(start=0.5, end=0.8)
    for progress, applies in ((0.0, False), (0.49, False), (0.5, True), (0.79, True), (0.8, False), (1.0, False)):
        assert torch.equal(sample(host, session, [late], progress), plain) != applies
    assert not torch.equal(sample(host, session, [unit(start=0.5)], 1.0), plain), "end = 1 keeps the last call on"


def test_without_units_there_is_no_run(session, host) -> None:
    for args in ([], [None], [""], [[]], [{"enabled": False}]):
        host.run = None
        session.before_sampling(Processing(), args)
        assert host.run is None


def test_what_cannot_run_is_refused_with_the_units_number(session, host) -> None:
    p = Processing()
    session.before_generation(p, [unit(), unit(model="sdxl"), unit(images=["!"]), unit(model="none")])
    assert [refusal[:18] for refusal in host.refused] == [
        "IP-Adapter unit 2:",
        "IP-Adapter unit 3:",
        "IP-Adapter unit 4:",
    ]
    assert "is for SDXL" in host.refused[0] or "70 layers" in host.refused[0]
    assert list(p.extra_generation_params) == ["IP-Adapter 1"]


def test_the_parameters_name_the_adapter_changed_fields_and_references(session, host) -> None:
    import hashlib

    p = Processing()
    session.before_generation(p, [{"enabled": False}, unit(weight=0.8, start=0.25, crop="pad")])
    digest = hashlib.sha256(base64.b64decode(photo())).hexdigest()[:12]
    adapter = hashlib.sha256((host.folder / "base.safetensors").read_bytes()).hexdigest()[:10]
    assert p.extra_generation_params == {
        "IP-Adapter 2": f"Adapter: base.safetensors [{adapter}], Weight: 0.8, Start: 0.25, Crop: pad, "
        f"References: {digest}, Encoder used: tower.safetensors, Version: {VERSION}"
    }


@pytest.mark.parametrize(
    ("model", "more", "written"), [("plus", {}, True), ("base", {}, False), ("plus", "negative", False)]
)
def test_the_parameters_name_a_non_default_unconditional_picture_if_it_is_used(
    session, host, model, more, written
) -> None:
    host.convention, p = "black", Processing()
    given = {"negative_images": [photo(3)]} if more else {}
    session.before_generation(p, [unit(model=model, **given)])
    assert ("Unconditional: black" in p.extra_generation_params["IP-Adapter 1"]) == written


def test_terms_of_several_units_are_summed_at_the_first_site(session, host, unet) -> None:
    """Later sites depend on the terms of earlier ones, so the sum can be checked only at the first."""
    seen: list[torch.Tensor] = []
    to_out = unet.get_submodule("input_blocks.1.1.transformer_blocks.0.attn2.to_out.0")
    one, other = unit(weight=0.5), unit(model="plus", weight=-1.5)
    for args in ([], [one], [other], [one, other]):
        host.run = None
        session.before_sampling(Processing(), args)
        if host.run:
            host.run.inject(unet)
            host.run.begin_call(ROWS, 0.0, (8, 8))
        handle = to_out.register_forward_pre_hook(lambda _m, args: seen.append(args[0].clone()))
        torch.manual_seed(5)
        unet(torch.randn(2, 4, 8, 8), torch.tensor([9, 9]), torch.randn(2, 7, CONTEXT))
        handle.remove()
        if host.run:
            host.run.eject()
    nothing, first, second, both = seen
    assert torch.allclose(both - nothing, (first - nothing) + (second - nothing), atol=1e-5)


def test_a_checkpoint_that_fits_no_unit_leaves_them_inactive(session, host, unet, caplog) -> None:
    prepared = session.preparation.prepare(read_unit(unit()), unet)
    run = SamplingRun([prepared], PassInfo())
    other = ldm_unet(context_dim=CONTEXT, channels=64)
    run.inject(other)
    run.begin_call(ROWS, 0.0, (8, 8))
    given = torch.randn(2, 4, 8, 8), torch.tensor([9, 9]), torch.randn(2, 7, CONTEXT)
    inactive = other(*given)
    run.eject()
    assert torch.equal(inactive, other(*given))
    assert "is off while this checkpoint is sampling" in caplog.text


def test_a_unet_whose_cross_attentions_are_not_called_is_noticed(session, host, unet) -> None:
    """This happens if a compiled U-Net runs instead of the injected one."""
    prepared = session.preparation.prepare(read_unit(unit(start=0.5)), unet)
    run = SamplingRun([prepared], PassInfo())
    run.inject(unet)
    given = torch.randn(2, 4, 8, 8), torch.tensor([9, 9]), torch.randn(2, 7, CONTEXT)
    run.begin_call(ROWS, 0.0, (8, 8))
    assert not run.bypassed, "no unit was to act"
    run.begin_call(ROWS, 0.5, (8, 8))
    assert run.bypassed
    unet(*given)
    assert not run.bypassed
    run.eject()


def test_a_single_cross_attention_without_its_term_is_noticed(session, host, unet) -> None:
    """This happens if another extension changes the rows inside one attn2, and the units apply at all others."""
    run = SamplingRun([session.preparation.prepare(read_unit(unit()), unet)], PassInfo())
    run.inject(unet)
    attention = unet.get_submodule("middle_block.1.transformer_blocks.0.attn2")
    handles = [
        attention.register_forward_pre_hook(
            lambda _m, args, more: (
                (torch.cat([args[0]] * 2),),
                {name: None if each is None else torch.cat([each] * 2) for name, each in more.items()},
            ),
            with_kwargs=True,
        ),
        attention.register_forward_hook(lambda _m, _args, output: output[: len(output) // 2]),
    ]
    given = torch.randn(2, 4, 8, 8), torch.tensor([9, 9]), torch.randn(2, 7, CONTEXT)
    run.begin_call(ROWS, 0.5, (8, 8))
    unet(*given)
    assert run.bypassed
    for handle in handles:
        handle.remove()
    run.eject()


def test_cached_tensors_are_not_inference_tensors(session, unet) -> None:
    """Forge prepares only some passes in inference mode, and inference tensors cannot be changed outside of it."""
    with torch.inference_mode():
        prepared = session.preparation.prepare(read_unit(unit()), unet)
    kept = [tensor for pair in prepared.keys_values.of_site.values() for tensor in pair]
    assert kept
    assert not any(tensor.is_inference() for tensor in kept)


def test_the_host_is_asked_to_free_the_memory_that_an_encoder_needs(session, host, tmp_path, monkeypatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(host, "free_memory", asked.append)
    sample(host, session, [unit()])
    sample(host, session, [unit(weight=0.5)])
    assert asked == [sum(tensor.numel() * 4 for tensor in load_file(tmp_path / "tower.safetensors").values())]


def pruned_sdxl(widths: dict[str, int]) -> nn.Module:
    """Return the cross-attentions of an SDXL without its middle block and with fewer layers, as SSD-1B is."""
    root = nn.Module()
    for site in sites(SDXL):
        if site.block == "middle" or site.depth > 3:
            continue
        parent = root
        for name in site.path.split("."):
            if name not in parent._modules:
                parent.add_module(name, nn.Module())
            parent = parent._modules[name]
        outer = site.number > 2 if site.block == "output" else site.number < 7
        width = widths["outer" if outer else "inner"]
        parent.to_q, parent.to_k = nn.Linear(width, width), nn.Linear(32, width)
    return root


def test_a_unit_applies_to_the_sites_of_a_pruned_sdxl(session) -> None:
    adapter = session.preparation.files.adapter("sdxl")
    fitting, other = (pruned_sdxl({"outer": outer, "inner": 128}) for outer in (64, 96))
    assert len(find_attentions(fitting)) == 2 * 2 + 2 * 4 + 3 * 4 + 3 * 2
    assert mismatch(adapter, loaded_network(fitting)) == ""
    assert "the loaded checkpoint is context width 32, 30 layers" in mismatch(adapter, loaded_network(other))


WITHOUT_UNET = {
    "double_blocks": "is FLUX, which has no U-Net. Load a checkpoint made from",
    "joint_blocks": "is SD3.5, which has no U-Net, and an InstantX IP-Adapter for Stable Diffusion 3.5 is not",
    "txt_norm": "is Qwen-Image, which has no U-Net, and an adapter for Qwen-Image is not supported yet. Load",
    "blocks_of_something_new": "has a different network, which is not supported yet.",
}


@pytest.mark.parametrize("part", WITHOUT_UNET)
def test_a_checkpoint_without_a_unet_is_refused_with_what_to_load_instead(
    session, host, monkeypatch, part: str
) -> None:
    network = nn.ModuleDict({part: nn.ModuleList([nn.Linear(4, 4)]), "head": nn.Linear(4, 4)})
    monkeypatch.setattr(host, "unet", network)
    session.before_generation(Processing(), [unit()])
    assert f"the loaded checkpoint {WITHOUT_UNET[part]}" in host.refused[0]


def test_only_keys_and_values_are_in_memory_while_sampling(session, host, unet) -> None:
    prepared = session.preparation.prepare(read_unit(unit(model="plus")), unet)
    before = {name for name, _ in unet.named_modules()} | set(unet.state_dict())
    run = SamplingRun([prepared], PassInfo())
    run.inject(unet)
    run.begin_call(ROWS, 0.0, (8, 8))
    unet(torch.randn(2, 4, 8, 8), torch.tensor([9, 9]), torch.randn(2, 7, CONTEXT))
    widths = [32] * 5 + [64] * 5 + [128] * 6
    assert run.bytes == sum(2 * 2 * 8 * width * 4 for width in widths)
    assert {name for name, _ in unet.named_modules()} | set(unet.state_dict()) == before
    run.eject()
    assert run.bytes == 0


def test_the_cpu_encodes_if_the_device_is_out_of_memory(session, host, monkeypatch, caplog) -> None:
    expected = sample(host, session, [unit()])
    devices: list[Any] = []

    def full(encoder: Any, pictures: Any, device: Any, dtype: Any) -> Any:
        devices.append((device, dtype))
        if len(devices) == 1:
            raise torch.cuda.OutOfMemoryError
        return ENCODE(encoder, pictures, device, dtype)

    monkeypatch.setattr(EncoderFile, "encode", full)
    made = sample(host, Session(host), [unit()])
    assert torch.equal(made, expected)
    assert devices[1] == (torch.device("cpu"), torch.float32)
    assert "encoding on the CPU" in caplog.text


def test_a_damaged_adapter_is_refused_with_the_names_of_its_tensors(session, host, tmp_path) -> None:
    tensors = adapter_tensors("base", width=FEATURES, widths=(32, 64, 128), context_dim=CONTEXT)
    tensors["ip_adapter.7.to_v_ip.weight"][3, 3] = float("nan")
    save(tensors, tmp_path / "broken.safetensors")
    session.before_generation(Processing(), [unit(model="broken")])
    assert "ip_adapter.7.to_v_ip.weight (NaN or infinity)" in host.refused[0]


def names(answer: dict[str, Any]) -> list[str]:
    return [entry["name"] for entry in answer["models"]]


def test_the_lists_show_what_fits_and_what_does_not(session, host, tmp_path) -> None:
    (tmp_path / "damaged.safetensors").write_bytes(b"<html>")
    listed = {entry["name"]: entry for entry in list_adapters(session)}
    assert list(listed)[:2] == ["base.safetensors", "plus.bin"]
    assert listed["base.safetensors"]["reason"] == ""
    assert listed["base.safetensors"]["note"] == "base adapter, image encoder tower.safetensors"
    assert "70 layers" in listed["sdxl.safetensors"]["reason"]
    assert "web page" in listed["damaged.safetensors"]["reason"]
    assert [entry["name"] for entry in list_encoders(session) if not entry["reason"]] == ["tower.safetensors"]
    (tmp_path / "base.safetensors").rename(tmp_path / "renamed.safetensors")
    assert "base.safetensors" in names(ask(session, "list"))
    assert "renamed.safetensors" in names(ask(session, "rescan"))


def test_each_generation_has_its_own_parameters(host, session) -> None:
    """A plot's cells are shallow copies of one record, and a record can be used for several generations."""
    import copy

    p = Processing()
    p.extra_generation_params = {"Schedule": "karras"}
    for args, keys in (([unit(), unit()], [1, 2]), ([unit()], [1]), ([unit(enabled=False)], [])):
        cell = copy.copy(p)
        session.before_generation(cell, args)
        assert list(cell.extra_generation_params) == ["Schedule", *(f"IP-Adapter {number}" for number in keys)]
        session.before_generation(cell, [unit()])
        assert list(cell.extra_generation_params) == ["Schedule", "IP-Adapter 1"]
    assert p.extra_generation_params == {"Schedule": "karras"}


def test_every_picture_of_a_unit_is_restored_from_the_parameters(host, session, tmp_path) -> None:
    from lib_ipadapter.port import ReferenceStoreConfig
    from lib_ipadapter.unit.restore import restored_units

    host.kept = ReferenceStoreConfig(tmp_path / "kept", 1 << 20)
    images = [photo(1), {"image": photo(2), "weight": 0.5, "mask": photo(3)}]
    given = unit(images=images, negative_images=[photo(4)], mask=photo(5), weight=0.7)
    first = Processing()
    session.before_generation(first, [given])
    (restored,) = restored_units(first.extra_generation_params, session.references.find).values()
    assert "note" not in restored
    second = Processing()
    session.before_generation(second, [restored])
    assert not host.refused
    assert second.extra_generation_params == first.extra_generation_params
    assert len(list((tmp_path / "kept").iterdir())) == 5


def test_a_generation_logs_one_line_with_its_units_cost(host, session, caplog) -> None:
    caplog.set_level("INFO")
    session.before_generation(Processing(), [unit(images=[photo(1), photo(2)]), "", unit(model="plus")])
    (line,) = [record.getMessage() for record in caplog.records if record.levelname == "INFO"]
    number = r"\d+"
    expected = rf"IP-Adapter: 2 units, 16 image tokens, encoded in {number} ms, keys and values in {number} ms, 0.\d MB"
    assert re.fullmatch(expected, line), line
    assert session.preparation.encoding_seconds > 0
    caplog.clear()
    spent = session.preparation.encoding_seconds
    session.before_generation(Processing(), [unit(images=[photo(1)])])
    assert session.preparation.encoding_seconds == spent, "nothing new was encoded"
    assert "1 unit, 4 image tokens, encoded in 0 ms" in caplog.text


@pytest.mark.parametrize("unfold", [False, True])
def test_rows_known_by_their_text_suffice_without_a_reference_for_each_picture(host, session, unfold) -> None:
    """AnimateDiff passes some of the frames to the U-Net without saying which."""
    session.before_sampling(Processing(), [unit(images=[photo(1), photo(2)], unfold=unfold)])
    host.run.inject(host.unet)
    host.run.begin_call(ROWS * 2, 0.0, (8, 8), lambda text: (ROWS * 2)[: len(text)])
    given = torch.randn(3, 4, 8, 8), torch.full((3,), 9), torch.randn(3, 7, CONTEXT)
    refused = pytest.raises(IPAdapterError, match="rows, or whole copies") if unfold else contextlib.nullcontext()
    try:
        with refused:
            host.unet(*given)
    finally:
        host.run.eject()


def test_a_setting_that_changes_during_a_preparation_is_read_once(session, host, monkeypatch) -> None:
    """The web UI's settings are read by another thread than the one that changes them."""
    plus = unit(model="plus")  # uses the hidden states of the unconditional picture
    read = iter(["mean"])
    with monkeypatch.context() as patched:
        patched.setattr(host, "unconditional", lambda: next(read, "black"))
        sample(host, session, [plus])
    mean = sample(host, session, [plus])
    assert torch.equal(mean, sample(host, Session(host), [plus])), "what was kept is what it is kept for"
    host.convention = "black"
    black = sample(host, session, [plus])
    assert torch.equal(black, sample(host, Session(host), [plus]))
    assert not torch.allclose(mean, black, atol=1e-3)


def test_features_that_the_cpu_encoded_for_a_full_device_are_cached_as_the_cpus(session, host, monkeypatch) -> None:
    """The next generation, for which the device has memory again, must use the device's own features."""
    used: list[torch.dtype] = []

    def encode(encoder: Any, pictures: Any, device: Any, dtype: Any) -> Any:
        used.append(dtype)
        if len(used) == 1:
            raise torch.cuda.OutOfMemoryError
        return ENCODE(encoder, pictures, device, dtype)

    monkeypatch.setattr(EncoderFile, "encode", encode)
    monkeypatch.setattr(host, "compute_dtype", lambda: torch.bfloat16)
    for _ in range(3):
        sample(host, session, [unit()])
    assert used == [torch.bfloat16, torch.float32, torch.bfloat16], "the third finds what the second kept"


def test_warnings_that_affect_the_result_are_shown_with_the_picture(session, host, monkeypatch) -> None:
    def full(encoder: Any, pictures: Any, device: Any, dtype: Any) -> Any:
        if dtype == torch.bfloat16:
            raise torch.cuda.OutOfMemoryError
        return ENCODE(encoder, pictures, device, dtype)

    monkeypatch.setattr(EncoderFile, "encode", full)
    monkeypatch.setattr(host, "compute_dtype", lambda: torch.bfloat16)
    session.before_generation(Processing(), [None, unit()])
    assert host.comments == ["IP-Adapter 2: Not enough device memory for tower.safetensors; it ran on the CPU."]


def test_units_are_read_once_per_generation(session, host, monkeypatch) -> None:
    """Their pictures are megabytes of text, and the web UI calls the script before each pass and for each picture."""
    import json

    reads: list[int] = []
    loads = json.loads
    monkeypatch.setattr(json, "loads", lambda text, **more: (reads.append(len(text)), loads(text, **more))[1])
    p, args = Processing(), [json.dumps(unit()), ""]
    session.before_generation(p, args)
    for _ in range(3):
        session.before_sampling(p, args)
        assert list(units_of(p, args)) == [1]
    assert len(reads) == 1
    session.before_sampling(p, [json.dumps(unit(weight=0.5)), ""])
    assert len(reads) == 2, "other args are other units"
    session.before_sampling(Processing(), args)
    assert len(reads) == 3, "and another generation reads its own"

"""PuLID from photos to the U-Net, with made features, compared with a plain implementation of its attention."""

from pathlib import Path
from typing import Any

import pytest
import torch
from makers import adapter_tensors, picture, save, text_of
from pulid_features import STATES, WIDTH, MadeEncoder, MadeFaces, MadeFeatures, seed_of
from small_host import Processing, SmallHost, save_tower
from torch import Tensor, nn

from lib_ipadapter.base.errors import IPAdapterError
from lib_ipadapter.engine.session import Session
from lib_ipadapter.networks.unet_modules import find_attentions
from lib_ipadapter.networks.unet_sites import SD, SDXL
from lib_ipadapter.port import COND, UNCOND, Row
from lib_ipadapter.weights.adapter_file import open_adapter

pytest.importorskip("diffusers", reason="diffusers, an oracle, is not installed at this end of the versions")

from pulid_oracle import with_pulid
from unets import AsLdm, as_diffusers, diffusers_sdxl, ldm_unet

LATENTS = 12
ROWS = (Row(COND, 0), Row(COND, 1), Row(UNCOND, 0), Row(UNCOND, 1))
FAMILIES = {"v1": "pulid", "v1.1": "pulid-v1.1"}


def close(made: Tensor, expected: Tensor, relative: float = 1e-5) -> bool:
    return (made - expected).abs().max().item() <= relative * expected.abs().max().item()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pulid")
    save_tower(folder / "tower.safetensors")
    size = {"width": WIDTH, "tokens": LATENTS}
    for name, family in FAMILIES.items():
        save(adapter_tensors(family, SDXL, (64, 128), 64, **size), folder / f"{name}.safetensors")
        save(adapter_tensors(family, SD, (32, 64, 128), 768, **size), folder / f"{name}_sd.safetensors")
    save(adapter_tensors("base", SDXL, (64, 128), 64, width=40), folder / "base.safetensors")
    for family in ("faceid", "face-resampler"):
        save(adapter_tensors(family, SDXL, (64, 128), 64), folder / f"{family}.bin")
    return folder


@pytest.fixture(scope="module")
def sdxl() -> nn.Module:
    return diffusers_sdxl()


@pytest.fixture
def host(folder: Path, sdxl: nn.Module) -> SmallHost:
    return SmallHost(folder, AsLdm(sdxl, SDXL))


def photo(seed: int) -> str:
    return text_of(picture(40, 40, seed))


PHOTOS = [photo(1), photo(2), photo(3)]


def latents_and_text(context: int) -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(3)
    return torch.randn(4, 4, 8, 16), torch.tensor([500] * 4), torch.randn(4, 77, context)


@pytest.fixture(scope="module")
def given() -> tuple[Tensor, Tensor, Tensor]:
    return latents_and_text(64)


def session_of(host: SmallHost) -> Session:
    session: Any = Session(host)
    session.preparation.faces, session.made = MadeFaces(), MadeEncoder()
    encoder_for = session.preparation.files.encoder_for
    session.preparation.files.encoder_for = lambda adapter, *how: (
        session.made if adapter.recognised.family.portrait else encoder_for(adapter, *how)
    )
    return session


def running(host: SmallHost, *units: dict[str, Any]) -> Any:
    session, host.run = session_of(host), None
    session.before_sampling(Processing(), [{"images": PHOTOS[:1], **each} for each in units])
    assert not host.refused, host.refused
    return host.run


def sample(
    host: SmallHost, given: Any, *units: dict[str, Any], rows=ROWS, progress: float = 0.0, size=(8, 16)
) -> Tensor:
    run = running(host, *units)
    if run is None:
        return host.unet(*given)
    run.inject(host.unet)
    try:
        run.begin_call(rows, progress, size)
        return host.unet(*given)
    finally:
        run.eject()


def features_of(texts: list[str]) -> list[tuple[Tensor, ...]]:
    """Return the face embedding, image embedding and hidden states of photos."""
    from lib_ipadapter.pictures.image_cache import ImageCache
    from lib_ipadapter.pictures.preprocess import normalise

    faces, made = MadeFaces(), list[tuple[Tensor, ...]]()
    for text in texts:
        (face,) = faces.faces_or_portrait("", ImageCache().reference("images[0]", text), None)
        seen = normalise(faces.portrait("", None, face, 28))
        made.append((torch.tensor([face.embedding]), *MadeFeatures(seed_of(seen)).parts))
    return made


def nothing() -> tuple[Tensor, ...]:
    return (torch.zeros(1, 512), torch.zeros(1, 768), *(torch.zeros(1, STATES, WIDTH) for _ in range(5)))


def loaded(folder: Path, name: str) -> tuple[nn.Module, dict[str, Tensor]]:
    adapter = open_adapter(folder / f"{name}.safetensors")
    tensors, projector = adapter.tensors(), adapter.projector()
    own = {key.removeprefix("image_proj."): each for key, each in tensors.items() if key.startswith("image_proj.")}
    projector.load_state_dict(own, assign=True)
    return projector, tensors


def identity_of(projector: nn.Module, texts: list[str], name: str, mix: bool = False) -> Tensor:
    """Return the image tokens of four rows as the authors make them: two conditional, two unconditional."""
    each = features_of(texts)
    with torch.no_grad():
        if name.startswith("v1.1"):
            faces, embeds, *states = zip(*each, strict=True)
            together = [torch.stack(part, dim=1) for part in (faces, embeds)] + [
                torch.cat(part, dim=1) for part in states
            ]
            cond, uncond = projector(*together), projector(*nothing())
        else:
            kept = [slice(None), *([slice(None) if mix else slice(0, 5)] * (len(texts) - 1))]
            cond = torch.cat([projector(*one)[:, part] for one, part in zip(each, kept, strict=True)], dim=1)
            uncond = torch.cat([projector(*nothing())[:, part] for part in kept], dim=1)
    return torch.cat([cond, cond, uncond, uncond])


def by_oracle(unet: nn.Module, tensors: Any, identity: Tensor, weight: float, method: str, given: Any) -> Tensor:
    before = dict(unet.attn_processors)
    try:
        with_pulid(unet, tensors, identity, weight, method)
        with torch.no_grad():
            return unet(*given).sample
    finally:
        unet.set_attn_processor(before)


@pytest.mark.parametrize("method", ["fidelity", "style", "neutral"])
@pytest.mark.parametrize(("name", "weight"), [("v1", 0.8), ("v1.1", 1.0), ("v1.1", -0.6)])
def test_a_whole_sdxl_equals_the_plain_implementation(host, folder, sdxl, given, name, weight, method) -> None:
    made = sample(host, given, {"model": name, "weight": weight, "method": method})
    projector, tensors = loaded(folder, name)
    expected = by_oracle(sdxl, tensors, identity_of(projector, PHOTOS[:1], name), weight, method, given)
    assert close(made, expected)
    assert not close(made, host.unet(*given), 1e-2)


@pytest.mark.parametrize("method", ["fidelity", "style"])
def test_ldms_own_unet_equals_the_plain_implementation(folder, method) -> None:
    unet, given = ldm_unet(), latents_and_text(768)
    made = sample(SmallHost(folder, unet), given, {"model": "v1_sd", "method": method, "weight": 0.8})
    projector, tensors = loaded(folder, "v1_sd")
    identity = identity_of(projector, PHOTOS[:1], "v1_sd")
    expected = by_oracle(as_diffusers(unet), tensors, identity, 0.8, method, given)
    assert close(made, expected)


@pytest.mark.parametrize(
    ("name", "more", "count"), [("v1", {}, 20), ("v1", {"id_mix": True}, 30), ("v1.1", {}, LATENTS)]
)
def test_several_photos_are_read_as_the_authors_do(host, folder, sdxl, given, name, more, count) -> None:
    """v1 adds five tokens for each further photo, or all of them; v1.1 reads all photos in one call."""
    made = sample(host, given, {"model": name, "images": PHOTOS, "weight": 0.8, **more})
    projector, tensors = loaded(folder, name)
    identity = identity_of(projector, PHOTOS, name, mix=bool(more))
    assert identity.shape[1] == count
    assert close(made, by_oracle(sdxl, tensors, identity, 0.8, "fidelity", given))


def test_the_unconditional_photo_is_not_encoded_and_is_one_photo_of_zeros(host) -> None:
    session = session_of(host)
    session.before_sampling(Processing(), [{"model": "v1.1", "images": PHOTOS}])
    assert session.made.encoded == 3
    (prepared,) = [unit.prepared for unit in host.run._units]
    assert prepared.unconditional == ""
    nobody, somebody = prepared.keys_values.image_tokens
    projector, _ = loaded(host.folder, "v1.1")
    with torch.no_grad():
        assert close(nobody[None], projector(*nothing()))
    assert not close(somebody, nobody, 1e-2)


def test_photos_of_v1_have_weights_of_their_own(host, given) -> None:
    weighted = [{"image": PHOTOS[0]}, {"image": PHOTOS[1], "weight": 0.5}]
    made = sample(host, given, {"model": "v1", "images": weighted})
    assert not close(made, sample(host, given, {"model": "v1", "images": PHOTOS[:2]}), 1e-3)


def test_photos_that_one_call_reads_must_have_one_weight(host, given) -> None:
    weighted = [{"image": PHOTOS[0]}, {"image": PHOTOS[1], "weight": 0.5}]
    host.refused.clear()
    session_of(host).before_sampling(Processing(), [{"model": "v1.1", "images": weighted}])
    assert "must have the same weight" in host.refused[0]
    host.refused.clear()
    sample(host, given, {"model": "v1.1", "images": weighted, "combine": "average"})
    both = [{**each, "weight": 0.5} for each in weighted]
    half = sample(host, given, {"model": "v1.1", "images": both})
    assert close(half, sample(host, given, {"model": "v1.1", "images": PHOTOS[:2], "weight": 0.5}))


def test_persons_have_regions_of_their_own(host, given) -> None:
    """Each person keeps all tokens, and sets of different numbers of photos are projected in calls of their own."""
    left, right = (
        {"model": "v1", "images": [one], "region": place}
        for one, place in zip(PHOTOS, ("left half", "right half"), strict=False)
    )
    both = {"model": "v1", "images": PHOTOS[:2], "region": "left to right"}
    assert close(sample(host, given, both), sample(host, given, left, right))
    mask = text_of(picture(8, 8, 5))
    mixed = [{"image": PHOTOS[0], "mask": mask}, PHOTOS[1], PHOTOS[2]]
    alone = sample(host, given, {"model": "v1.1", "images": mixed[:1]}, {"model": "v1.1", "images": mixed[1:]})
    assert close(sample(host, given, {"model": "v1.1", "images": mixed}), alone)


def test_pulid_faceid_instantid_and_a_base_adapter_act_in_one_generation(host, given) -> None:
    """At the first site, whose query no unit has changed, together they add the sum of what each adds alone."""
    first = min(found := find_attentions(host.unet), key=lambda site: (site.layer, site.depth))
    units = [{"model": name, "images": PHOTOS[:1]} for name in ("v1", "faceid", "face-resampler", "base")]

    def entering(*chosen: dict[str, Any]) -> Tensor:
        seen: list[Tensor] = []
        output = found[first].to_out[0]
        handle = output.register_forward_hook(lambda _module, args, _output: seen.append(args[0].double()))
        try:
            sample(host, given, *chosen)
        finally:
            handle.remove()
        return seen[0]

    plain = entering()
    each = [entering(unit) - plain for unit in units]
    assert all(added.abs().max() > 1e-3 for added in each)
    assert close(entering(*units) - plain, sum(each[1:], each[0]))


@pytest.mark.parametrize("method", ["fidelity", "style"])
def test_every_split_of_the_batch_gives_the_same_picture(host, given, method) -> None:
    units = ({"model": "v1", "method": method}, {"model": "v1.1", "images": PHOTOS[1:], "weight": 0.4})
    run = running(host, *units)
    run.inject(host.unet)
    made: list[Tensor] = []
    try:
        for split in ([0, 1, 2, 3],), ([0], [1], [2], [3]), ([0, 1], [2, 3]), ([2, 0], [3, 1]):
            parts: dict[int, Tensor] = {}
            for rows in split:
                run.begin_call([ROWS[row] for row in rows], 0.0, (8, 16))
                parts |= dict(zip(rows, host.unet(*(each[rows] for each in given)), strict=True))
            made.append(torch.stack([parts[row] for row in range(4)]))
    finally:
        run.eject()
    assert all(torch.allclose(made[0], other, rtol=1e-4, atol=1e-5) for other in made[1:])


def test_nothing_is_left_afterwards(host, given) -> None:
    plain = host.unet(*given)
    sample(host, given, {"model": "v1"})
    assert torch.equal(host.unet(*given), plain)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in host.unet.modules())
    for idle in ({"weight": 0.0}, {"start": 0.5}, {"end": 0.0}):
        assert torch.equal(sample(host, given, {"model": "v1", **idle}, progress=0.2), plain)


def test_a_curve_multiplies_what_is_added(host, given) -> None:
    curve = sample(host, given, {"model": "v1", "curve": "0:1, 1:0"}, progress=0.5)
    assert close(curve, sample(host, given, {"model": "v1", "weight": 0.5}))


def test_negative_photos_replace_the_unconditional_identity(host, folder, sdxl, given) -> None:
    made = sample(host, given, {"model": "v1", "negative_images": PHOTOS[2:]})
    projector, tensors = loaded(folder, "v1")
    cond, negative = (identity_of(projector, texts, "v1")[:2] for texts in (PHOTOS[:1], PHOTOS[2:]))
    expected = by_oracle(sdxl, tensors, torch.cat([cond, negative]), 1.0, "fidelity", given)
    assert close(made, expected)


def test_a_part_of_the_picture_is_refused_unless_the_method_is_neutral(host, given) -> None:
    with pytest.raises(IPAdapterError, match=r"PuLID's method fidelity or style.*whole latent image, 16 x 16"):
        sample(host, given, {"model": "v1"}, size=(16, 16))
    sample(host, given, {"model": "v1", "method": "neutral"}, size=(16, 16))


def merge_tokens(attention: nn.Module) -> list[Any]:
    """Drop half of the queries of a cross-attention, and give them back afterwards, as token merging does."""
    enter = attention.register_forward_pre_hook(lambda _m, args: (args[0][:, ::2], *args[1:]))
    leave = attention.register_forward_hook(lambda _m, _a, out: out.repeat_interleave(2, dim=1))
    return [enter, leave]


def test_dropped_queries_are_refused_unless_the_method_is_neutral(folder) -> None:
    unet, given = ldm_unet(), latents_and_text(768)
    host = SmallHost(folder, unet)
    (attention, *_) = find_attentions(unet).values()
    for method, refused in (("style", True), ("neutral", False)):
        run = running(host, {"model": "v1_sd", "method": method})
        handles = merge_tokens(attention)
        run.inject(unet)
        try:
            run.begin_call(ROWS, 0.0, (8, 16))
            if refused:
                with pytest.raises(
                    IPAdapterError, match=r"all positions of the picture, but input_blocks\.1.* got 64 of"
                ):
                    unet(*given)
            else:
                unet(*given)
        finally:
            run.eject()
            for handle in handles:
                handle.remove()


def test_a_replaced_cross_attention_is_refused_unless_the_method_is_neutral(folder) -> None:
    """Regional prompts mix the text attentions of several prompts, each of a part of the picture."""
    unet, given = ldm_unet(), latents_and_text(768)
    host = SmallHost(folder, unet)
    (attention, *_) = find_attentions(unet).values()
    forward = attention.forward
    attention.forward = lambda x, *args, **more: 0.5 * (forward(x, *args, **more) + forward(x, *args, **more))
    try:
        with pytest.raises(IPAdapterError, match=r"text attention of the whole picture.*method neutral"):
            sample(host, given, {"model": "v1_sd"})
        sample(host, given, {"model": "v1_sd", "method": "neutral"})
    finally:
        del attention.forward


@pytest.mark.parametrize(
    ("unit", "field"),
    [
        ({"model": "base", "method": "style"}, "method"),
        ({"model": "base", "id_mix": True}, "id_mix"),
        ({"model": "v1.1", "id_mix": True}, "id_mix"),
        ({"model": "v1", "structure_weight": 0.5}, "structure_weight"),
        ({"model": "v1", "tiles": True}, "tiles"),
    ],
)
def test_a_field_without_effect_is_refused(host, unit, field) -> None:
    host.refused.clear()
    session_of(host).before_sampling(Processing(), [{"images": PHOTOS[:1], **unit}])
    assert f"{field} " in host.refused[0]
    assert "has no effect" in host.refused[0]


def test_while_sampling_only_keys_and_values_are_held(host, given) -> None:
    """Of 70 sites: those of both kinds of rows, with fidelity's tokens of zeros."""
    run = running(host, {"model": "v1.1"})
    run.inject(host.unet)
    try:
        run.begin_call(ROWS, 0.0, (8, 16))
        host.unet(*given)
        attentions = find_attentions(host.unet)
        width = sum(attention.to_q.weight.shape[0] for attention in attentions.values())
        assert len(attentions) == 70
        assert run.bytes == 2 * 2 * (LATENTS + 8) * width * 4
    finally:
        run.eject()
    assert run.bytes == 0

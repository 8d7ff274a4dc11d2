"""Files are recognised by keys and shapes; every published file is tested with its real keys and shapes."""

import itertools
import math
import random
from contextlib import suppress
from pathlib import Path

import pytest
from published import (
    PUBLISHED,
    SD_ATTENTIONS,
    SD_WIDTHS,
    SDXL_ATTENTIONS,
    SDXL_WIDTHS,
    Published,
    Shapes,
    affine,
    face_plus,
    full_face,
    id_encoder,
    id_former,
    layers,
    linear,
    mlp,
    resampler,
    separate_lora,
    size,
    sparse,
    under,
)

from lib_ipadapter.base.errors import IPAdapterError, UnitError, UnrecognisedError
from lib_ipadapter.unit.unit import VARIANTS
from lib_ipadapter.weights.adapter_file import AdapterFile, canonical, checked_adapter, open_adapter
from lib_ipadapter.weights.families import FAMILIES
from lib_ipadapter.weights.family import FACE, Family
from lib_ipadapter.weights.projectors import FacePlusV2Projector
from lib_ipadapter.weights.recognition import recognise

RUNS = (
    "base",
    "plus",
    "full-face",
    "faceid",
    "faceid-plus",
    "portrait",
    "face-resampler",
    "pulid",
    "pulid-v1.1",
    "pulid-flux",
    "xlabs-flux",
    "instantx-flux",
)
RUNNABLE = [name for name, file in PUBLISHED.items() if file.family in RUNS]
REFUSED = [name for name in PUBLISHED if name not in RUNNABLE]
SMALL = {
    "base": PUBLISHED["ip-adapter_sd15"],
    "plus": PUBLISHED["ip-adapter-plus_sd15"],
    "full-face": PUBLISHED["ip-adapter-full-face_sd15"],
    "faceid-plus": PUBLISHED["ip-adapter-faceid-plusv2_sd15"],
}


def expected(file: Published) -> dict[str, object]:
    return {name: value for name, value in vars(file).items() if name != "shapes"}


def published(shapes: Shapes) -> Shapes:
    return {canonical(key): shape for key, shape in shapes.items()}


def adapter(shapes: Shapes) -> AdapterFile:
    return checked_adapter(Path("a.bin"), recognise(shapes), shapes, ())


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_file_is_recognised_whatever_it_is_called(name: str, tmp_path: Path) -> None:
    lying = sparse(tmp_path / "ip-adapter-faceid-plusv2_sdxl_lora", PUBLISHED[name].shapes)
    assert open_adapter(lying).recognised.facts == expected(PUBLISHED[name])


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_order_of_keys_does_not_matter(name: str) -> None:
    shapes = list(published(PUBLISHED[name].shapes).items())
    random.Random(7).shuffle(shapes)
    assert recognise(dict(shapes)).facts == expected(PUBLISHED[name])


@pytest.mark.parametrize(
    ("name", "width"),
    [
        ("ip-adapter_sd15", 1024),
        ("ip-adapter_sdxl", 1280),
        ("ip-adapter-plus_sdxl_vit-h", 1280),
        ("ip-adapter-full-face_sd15", 1280),
        ("NOOB-IPA-MARK1", 1664),
        ("ip_adapter_plus_general", 1024),
        ("xlabs-flux", 768),
        ("ip-adapter-faceid_sd15", 0),
    ],
)
def test_the_projectors_input_width_is_found(name: str, width: int) -> None:
    assert recognise(published(PUBLISHED[name].shapes)).width == width


@pytest.mark.parametrize(
    ("name", "size_of_file"),
    [
        ("ip-adapter_sd15", 44_642_768),
        ("ip-adapter-plus_sd15", 98_183_288),
        ("ip-adapter-full-face_sd15", 43_592_352),
        ("ip-adapter_sdxl", 702_585_376),
        ("ip-adapter_sdxl_vit-h", 698_391_064),
        ("ip-adapter-plus_sdxl_vit-h", 847_517_512),
        ("ip-adapter_pulid_sdxl_fp16", 791_372_856),
    ],
)
def test_the_tests_tables_give_the_published_size_to_the_byte(name: str, size_of_file: int) -> None:
    assert size(PUBLISHED[name].shapes) == size_of_file


@pytest.mark.parametrize(
    ("name", "size_of_file", "projector_bytes"),
    [
        ("ip-adapter-faceid-plusv2_sd15", 156_558_509, 2),
        ("ip-adapter-faceid-plusv2_sdxl", 1_487_555_181, 2),
        ("ip-adapter-plus_sdxl_vit-h", 1_013_454_427, 4),
    ],
)
def test_the_tests_tables_leave_a_plausible_rest_for_a_bins_zip(
    name: str, size_of_file: int, projector_bytes: int
) -> None:
    shapes = PUBLISHED[name].shapes
    numbers = sum(
        math.prod(shape) * (projector_bytes if key.startswith("image_proj.") else 2) for key, shape in shapes.items()
    )
    assert 64 < (size_of_file - numbers) / len(shapes) < 256


def test_the_tests_tables_give_the_published_totals() -> None:
    totals = {name: sum(map(math.prod, file.shapes.values())) for name, file in PUBLISHED.items()}
    assert totals == {name: file.parameters for name, file in PUBLISHED.items()}
    assert sum(map(math.prod, layers(SD_WIDTHS, 768).values())) == 19_169_280
    assert sum(map(math.prod, layers(SDXL_WIDTHS, 2048).values())) == 340_787_200


@pytest.mark.parametrize(
    ("shapes", "alphas", "parameters", "size_of_file"),
    [
        (separate_lora(SD_ATTENTIONS, 768, alpha=False), 0, 25_509_888, 51_059_544),
        (separate_lora(SDXL_ATTENTIONS, 2048, alpha=True), 560, 185_794_560, 371_842_896),
    ],
)
def test_the_separate_lora_of_a_faceid_adapter_is_recognised_as_a_lora(
    shapes: Shapes, alphas: int, parameters: int, size_of_file: int, tmp_path: Path
) -> None:
    own = {key: "F64" for key in shapes if key.endswith(".alpha")}
    assert sum(map(math.prod, shapes.values())) == parameters + alphas
    assert size(shapes, own=own) == size_of_file
    with pytest.raises(UnrecognisedError, match="looks like a LoRA"):
        open_adapter(sparse(tmp_path / "ip-adapter-faceid_sd15.safetensors", shapes))


@pytest.mark.parametrize(
    ("key", "kind"),
    [
        ("redux_up.weight", "FLUX.1 Redux, which is not supported yet"),
        ("control_model.input_hint_block.0.weight", "a ControlNet"),
        ("input_hint_block.0.weight", "a ControlNet"),
        ("lora_unet_mid_block.lora_up.weight", "a LoRA"),
        ("model.diffusion_model.out.0.weight", "a checkpoint"),
        ("vision_model.embeddings.class_embedding", "a CLIP vision encoder"),
        ("visual.conv1.weight", "a CLIP model"),
        ("ip_adapter.1.to_k_ip.weight", "image projector is missing"),
        ("conditioner", "its first tensor is conditioner"),
    ],
)
def test_a_file_of_another_kind_is_named(key: str, kind: str) -> None:
    with pytest.raises(UnrecognisedError, match=kind):
        recognise({key: (3, 5)})


def test_an_empty_file_is_not_an_adapter() -> None:
    with pytest.raises(UnrecognisedError, match="has no tensors"):
        recognise({})


def test_a_forged_name_cannot_fill_a_message() -> None:
    for name in ("x" * 100_000, "\ud800", "line\nline", "\x1b[31m"):
        with pytest.raises(UnrecognisedError) as caught:
            recognise({name: (3,)})
        assert len(caught.value.sentence) < 250
        assert caught.value.sentence.isprintable()


@pytest.mark.parametrize("name", RUNNABLE)
def test_a_published_file_that_can_run_is_accepted(name: str) -> None:
    opened = adapter(published(PUBLISHED[name].shapes))
    assert opened.reason == ""
    assert len(opened.layout.sites) == PUBLISHED[name].layers


@pytest.mark.parametrize("name", REFUSED)
def test_a_family_that_cannot_run_yet_is_named(name: str, tmp_path: Path) -> None:
    found = open_adapter(sparse(tmp_path / "mystery.pt", PUBLISHED[name].shapes))
    with pytest.raises(IPAdapterError, match="is not supported yet") as caught:
        assert found.layout
    base, title = found.recognised.base, found.recognised.title
    assert caught.value.sentence.startswith(f"mystery.pt is {title} ({base}),")


LOOK_ALIKES = [
    ("ip-adapter-faceid-plusv2_sd15", "ip-adapter-faceid-plusv2_sd15.bin", "v2", "name"),
    ("ip-adapter-faceid-plusv2_sd15", "FaceID_Plus-V2 SD15.bin", "v2", "name"),
    ("ip-adapter-faceid-plusv2_sd15", "ip-adapter-faceid-plus_sd15.bin", "v1", "name"),
    ("ip-adapter-faceid-plusv2_sd15", "my_v2_face.bin", "v2", "default"),
    ("ip-adapter-faceid-plusv2_sd15", "my v1 face.bin", "v2", "default"),
    ("ip-adapter-faceid-portrait_sdxl_unnorm", "ip-adapter-faceid-portrait_sdxl_unnorm.bin", "unnorm", "name"),
    ("ip-adapter-faceid-portrait_sdxl_unnorm", "ip-adapter_instant_id_sdxl.bin", "InstantID", "name"),
    ("ip-adapter-faceid-portrait_sdxl_unnorm", "ip-adapter.bin", "InstantID", "default"),
]


@pytest.mark.parametrize(("published", "name", "variant", "by"), LOOK_ALIKES)
def test_files_with_identical_tensors_are_distinguished_by_name(
    published: str, name: str, variant: str, by: str, tmp_path: Path
) -> None:
    shapes = {key: shape for key, shape in PUBLISHED[published].shapes.items() if "_lora" not in key}
    found = open_adapter(sparse(tmp_path / name, shapes, "F16")).recognised
    assert (found.variant.name, found.variant_by) == (variant, by)


def test_the_users_choice_of_variant_has_priority(tmp_path: Path) -> None:
    path = sparse(tmp_path / "ip-adapter-faceid-plusv2_sd15.bin", PUBLISHED["ip-adapter-faceid-plusv2_sd15"].shapes)
    found = open_adapter(path)
    assert found.as_variant("auto") is found
    changed = found.as_variant("v1")
    assert (changed.recognised.variant.name, changed.recognised.variant_by) == ("v1", "unit")
    assert isinstance(found.projector(), FacePlusV2Projector)
    assert not isinstance(changed.projector(), FacePlusV2Projector)
    assert changed.identity != found.identity
    with pytest.raises(UnitError, match=r"does not fit: ip-adapter-faceid-plusv2_sd15.bin is a FaceID Plus") as caught:
        found.as_variant("unnorm")
    assert caught.value.field == "variant"


def test_the_variants_of_the_field_table_are_those_of_the_families() -> None:
    assert set(VARIANTS) == {"auto"} | {variant.name for family in FAMILIES for variant in family.variants}


def test_the_variants_of_a_family_have_the_same_tensors() -> None:
    """Therefore a file's check is valid for each variant that a user can choose."""
    for name, file in PUBLISHED.items():
        opened = adapter(published(file.shapes))
        for variant in opened.recognised.family.variants if file.family in RUNS else ():
            other = opened.as_variant(variant.name).projector().state_dict()
            assert {key: tensor.shape for key, tensor in other.items()} == {
                key: tensor.shape for key, tensor in opened.projector().state_dict().items()
            }, name


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_a_row_reads_only_the_tensors_that_it_names(family: Family) -> None:
    sizes = {name: (2,) * axes for name, axes in family.tensors.items()}
    family.fits(sizes)
    assert family.tokens(sizes) > 0
    assert family.width(sizes) > 0 or family.takes == FACE
    assert set(family.output.split()) <= set(family.tensors)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_tensors_that_distinguish_families_are_marks_of_a_row(family: Family) -> None:
    """They are read before it is known whether the other tensors are present."""
    marks = [mark.removeprefix("image_proj.") for mark in family.marks]
    family.fits({name: (2,) * axes for name, axes in family.tensors.items() if name in marks})


TITLES = {
    "kolors-plus": "Plus adapter for Kolors",
    "kolors-faceid-plus": "FaceID Plus adapter for Kolors",
    "instantx-sd35": "InstantX IP-Adapter for Stable Diffusion 3.5",
}


def test_a_family_that_cannot_run_yet_has_its_title() -> None:
    found = {PUBLISHED[name].family: recognise(published(PUBLISHED[name].shapes)).title for name in REFUSED}
    assert set(found) == set(TITLES)
    assert all(TITLES[family] in title for family, title in found.items())


SDXL_LAYERS = layers(SDXL_WIDTHS, 2048)
ATTENTIONS = (f"down_blocks.{i}.attentions.0.transformer_blocks.0.attn2.processor" for i in range(70))
PLUS_SDXL = under("image_proj.", resampler(1280, 1280, 2048, 20))
NOT_YET: dict[str, tuple[Shapes, str]] = {
    "IP-Adapter-Art": (
        affine("encoder_hid_proj.image_projection_layers.0.image_embeds", 4 * 2048, 768)
        | {f"{name}.to_{part}_ip.0.weight": (640, 2048) for name in ATTENTIONS for part in "kv"},
        "a.bin is an IP-Adapter-Art adapter (SDXL), which is not supported yet.",
    ),
    "CSGO": (
        under("content_image_proj.", resampler(1280, 1280, 2048, 20))
        | under("style_image_proj.", resampler(1280, 1280, 2048, 20))
        | SDXL_LAYERS
        | layers(SDXL_WIDTHS, 2048, names=("to_k_ip_content", "to_v_ip_content")),
        "a.bin is a CSGO adapter (SDXL), which is not supported yet.",
    ),
    "IP-Adapter-Instruct": (
        PLUS_SDXL
        | under("image_proj.", affine("proj_new_input", 1280, 1280) | affine("proj_prompt_input", 1280, 1280))
        | SDXL_LAYERS,
        "a.bin is an IP-Adapter-Instruct adapter (SDXL), which is not supported yet.",
    ),
    "Style Components": (
        under("image_proj.", linear(768, 4, 2048)) | SDXL_LAYERS,
        "a.bin is a Style Components adapter (SDXL), which is not supported yet.",
    ),
    "InfiniteYou": (
        under("image_proj.", resampler(1280, 512, 4096, 20)),
        "is the image projector of InfiniteYou, a ControlNet for FLUX, which is not supported yet.",
    ),
}
"""Adapters that cannot run, with made shapes in their layout, and what is said of them."""


@pytest.mark.parametrize("name", NOT_YET)
def test_an_adapter_that_cannot_run_is_named_for_what_it_is(name: str) -> None:
    shapes, sentence = NOT_YET[name]
    assert refusal(shapes) == sentence


def test_an_adapter_for_sd15_with_an_embedding_768_wide_is_a_base_adapter() -> None:
    assert recognise(under("image_proj.", linear(768, 4, 768)) | layers(SD_WIDTHS, 768)).family.name == "base"


def refusal(shapes: Shapes) -> str:
    """Return why a file cannot run: the error of recognition, or the recorded reason."""
    try:
        opened = adapter(shapes)
    except IPAdapterError as error:
        return error.sentence
    assert opened.layout_or_none is None
    return opened.reason


REQUIRED = {
    "base": ("proj.weight", "norm.weight"),
    "plus": ("latents",),
    "full-face": ("proj.3.weight",),
    "faceid-plus": ("perceiver_resampler.proj_in.weight",),
}
"""Without these tensors a file is no adapter, or one of another family."""

FREE = ("image_proj.proj.weight", "image_proj.proj_in.weight", "image_proj.perceiver_resampler.proj_in.weight")
"""Their number of columns is the image encoder's width, which can be any."""


@pytest.mark.parametrize("family", SMALL)
def test_every_missing_tensor_is_named(family: str) -> None:
    shapes = SMALL[family].shapes
    named = [key for key in shapes if key.removeprefix("image_proj.") not in REQUIRED[family]]
    for key in named:
        sentence = refusal({name: shape for name, shape in shapes.items() if name != key})
        if key.endswith("layers.3.0.to_q.weight"):  # layers are counted by it
            assert f"{key.replace('to_q', 'to_kv')} is not expected" in sentence
        elif key.endswith("to_k_ip.weight"):
            assert "15 layers" in sentence
        else:
            assert key in sentence


@pytest.mark.parametrize("family", SMALL)
def test_every_misshapen_tensor_is_refused_by_its_name_or_a_related_one(family: str) -> None:
    shapes = SMALL[family].shapes
    for key, shape in shapes.items():
        for wrong in ((), (*shape, 1), shape[:-1], (*shape[:-1], shape[-1] + 64), (*shape[:-1], 0)):
            if len(wrong) != len(shape) or wrong[-1] == 0 or key not in FREE:
                sentence = refusal(shapes | {key: wrong})
                assert any(
                    part in sentence for part in ("image_proj.", "_ip.weight", "_lora.", "two different adapters")
                )


@pytest.mark.parametrize(
    "key", ["image_proj.proj.bias", "ip_adapter.17.to_v_ip.weight", "ip_adapter.17.to_k_ip.weight"]
)
def test_a_misshapen_tensor_is_named_with_both_shapes(key: str) -> None:
    wrong = (7,) if key.endswith("bias") else (1280, 769)
    sentence = refusal(SMALL["base"].shapes | {key: wrong})
    assert key in sentence
    assert str(wrong) in sentence
    assert str(SMALL["base"].shapes[key]) in sentence


@pytest.mark.parametrize("family", SMALL)
def test_an_extra_tensor_is_named(family: str) -> None:
    lora = "ip_adapter.32.to_q_lora.down.weight" if SMALL[family].lora else "ip_adapter.2.to_q_lora.down.weight"
    for extra in ("image_proj.extra.weight", "ip_adapter.1.to_k_ip.bias", lora):
        assert f"{extra} is not expected" in refusal(SMALL[family].shapes | {extra: (3,)})


def test_a_gap_in_the_layer_numbers_is_named() -> None:
    shapes = SMALL["base"].shapes
    moved = {key.replace("ip_adapter.31.", "ip_adapter.33."): shape for key, shape in shapes.items()}
    sentence = refusal(moved)
    assert "ip_adapter.31.to_k_ip.weight is missing" in sentence
    assert "ip_adapter.33.to_k_ip.weight is not expected" in sentence


@pytest.mark.parametrize("count", [1, 15, 17, 69, 71])
def test_a_number_of_layers_that_no_unet_has_is_refused(count: int) -> None:
    shapes = under("image_proj.", linear(1024, 4, 768)) | layers([320] * count, 768)
    assert f"{count} layers" in refusal(shapes)


def test_a_projector_without_layers_is_refused() -> None:
    with pytest.raises(IPAdapterError, match="no layer with image keys"):
        recognise(under("image_proj.", linear(1024, 4, 768)))


@pytest.mark.parametrize("net", [linear(1024, 4, 768), full_face(768), resampler(768, 1280, 768, 12)])
def test_the_projector_of_one_base_with_the_layers_of_another_is_refused(net: Shapes) -> None:
    with pytest.raises(IPAdapterError, match=r"width 768.*width 2048"):
        recognise(under("image_proj.", net) | layers(SDXL_WIDTHS, 2048))


@pytest.mark.parametrize("net", [id_encoder(), id_former()])
def test_pulid_with_the_layers_of_another_base_is_refused(net: Shapes) -> None:
    with pytest.raises(IPAdapterError, match=r"width 2048.*width 768"):
        recognise(under("image_proj.", net) | layers(SD_WIDTHS, 768))


@pytest.mark.parametrize("name", ["pulid_v1", "pulid_v1.1"])
def test_a_tensor_of_pulid_that_is_missing_misshapen_or_extra_is_named(name: str) -> None:
    shapes = published(PUBLISHED[name].shapes)
    others = (
        "mapping_3.4.bias",
        "mapping_0.0.weight",
        "layers.7.1.3.weight",
        "proj_out",
        "body.6.weight",
        "body.3.bias",
    )
    for key in [f"image_proj.{other}" for other in others if f"image_proj.{other}" in shapes]:
        assert key in refusal({own: shape for own, shape in shapes.items() if own != key})
        wrong = refusal(shapes | {key: (*shapes[key][:-1], shapes[key][-1] + 3)})
        assert "image_proj." in wrong or "two different adapters" in wrong
    assert "image_proj.mapping_5.0.weight is not expected" in refusal(
        shapes | {"image_proj.mapping_5.0.weight": (3, 3)}
    )
    assert "ip_adapter.139.to_v_ip.weight is missing" in refusal(
        {own: shape for own, shape in shapes.items() if own != "ip_adapter.139.to_v_ip.weight"}
    )


def test_families_that_share_keys_are_distinguished() -> None:
    kinds = {
        "faceid": mlp(4, 768),
        "portrait": mlp(16, 768),
        "faceid-plus": face_plus(4, 768),
        "plus": resampler(1280, 1024, 2048, 20),
        "kolors-plus": resampler(2048, 1024, 2048, 12),
        "pulid": id_encoder(),
    }
    for family, net in kinds.items():
        dim = 2048 if family in ("plus", "kolors-plus", "pulid") else 768
        assert recognise(under("image_proj.", net) | layers(SDXL_WIDTHS, dim)).family.name == family


@pytest.mark.parametrize("name", PUBLISHED)
def test_any_shape_raises_only_ipadaptererror(name: str) -> None:
    shapes = published(PUBLISHED[name].shapes)
    keys = [key for key in shapes if key.startswith("image_proj.") and ".layers.2" not in key]
    keys = keys[:24] + [key for key in shapes if not key.startswith("image_proj.")][:4]
    for key, wrong in itertools.product(keys, ((), (0,), (1,), (0, 0), (2, 3, 5, 7), None)):
        changed = {name: shape for name, shape in shapes.items() if name != key}
        changed |= {key: wrong} if wrong is not None else {}
        with suppress(IPAdapterError):
            adapter(changed)

"""What each field of a unit does to a real U-Net, row by row."""

import base64
import io
from pathlib import Path
from typing import Any

import pytest
import torch
from makers import text_of
from PIL import Image
from small_host import CONTEXT, Processing, SmallHost, call, photo, save_files, unit
from torch import Tensor, nn

from lib_ipadapter.engine.session import Session
from lib_ipadapter.port import COND, UNCOND, PassInfo, Row
from lib_ipadapter.unit.weight_types import WEIGHT_TYPES

FIRST = "input_blocks.1.1.transformer_blocks.0.attn2.to_out.0"
"""The first site, whose term does not depend on other sites."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    save_files(folder)
    return folder


@pytest.fixture
def host(folder: Path, unet: nn.Module) -> SmallHost:
    return SmallHost(folder, unet)


def added(host: SmallHost, session: Session, args: list[Any], path: str = FIRST, **more: Any) -> Tensor:
    """Return the term that units add at a site: (rows, queries, width)."""
    return call(host, session, args, watch=path, **more) - call(host, session, [], watch=path, **more)


def half(side: str, size: int = 64) -> str:
    """Return a mask that is white on one side."""
    mask = Image.new("L", (size, size), 0)
    mask.paste(255, (0, 0, size // 2, size) if side == "left" else (size // 2, 0, size, size))
    return text_of(mask)


def test_every_weight_type_is_different_and_linear_is_the_default(host, session) -> None:
    weights = {"composition_weight": 0.7, "style_boost": 0.4, "composition_boost": 0.5}
    made = {kind: call(host, session, [unit(weight_type=kind, **weights)]) for kind in WEIGHT_TYPES}
    assert torch.equal(made["linear"], call(host, session, [unit()]))
    for i, one in enumerate(WEIGHT_TYPES):
        for other in WEIGHT_TYPES[i + 1 :]:
            assert not torch.allclose(made[one], made[other], atol=1e-4), (one, other)


MIDDLE = "middle_block.1.transformer_blocks.0.attn2.to_out.0"


def test_layers_as_text_apply_only_to_the_named_layers(host, session) -> None:
    only = unit(layers="6:0.5", weight=2)
    assert not added(host, session, [only]).any()
    assert torch.allclose(
        added(host, session, [only], MIDDLE), added(host, session, [unit(layers="6:1")], MIDDLE), atol=1e-5
    )
    assert added(host, session, [only], MIDDLE).any()


def test_precise_types_do_not_change_conditional_rows_at_inverted_layers(host, session) -> None:
    """Composition precise inverts all layers but 4 and 5; the first site is layer 0."""
    towards = added(host, session, [unit()])
    away = added(host, session, [unit(weight_type="composition precise", composition_boost=1.0)])
    assert not away[0].any()
    assert torch.allclose(away[1], towards[0], atol=1e-5)


def test_composition_references_apply_to_composition_layers_only(host, session) -> None:
    composed = "input_blocks.8.1.transformer_blocks.0.attn2.to_out.0"  # layer 5
    one, other = photo(1), photo(2)
    both = unit(images=[one], composition_images=[other], weight_type="style and composition")
    style, layout = (unit(images=[image], weight_type="style and composition") for image in (one, other))
    assert torch.allclose(added(host, session, [both]), added(host, session, [style]), atol=1e-5)
    # earlier layers add different terms, so the comparison is with layer 5 only
    alone = {"layers": "5:1", "weight_type": "linear"}
    made, expected, wrong = (added(host, session, [each | alone], composed) for each in (both, layout, style))
    assert torch.allclose(made, expected, atol=1e-5)
    assert not torch.allclose(made, wrong, atol=1e-3)


def test_composition_references_that_no_layer_would_use_are_refused(host, session) -> None:
    session.before_sampling(Processing(), [unit(composition_images=[photo(2)], weight_type="style transfer")])
    assert "composition_images" in host.refused[0]
    assert "no composition layer is active" in host.refused[0]


@pytest.mark.parametrize("model", ["base", "plus"])
def test_unconditional_rows_use_the_negative_references(host, session, model) -> None:
    plain = added(host, session, [unit(model=model)])
    negative = added(host, session, [unit(model=model, negative_images=[photo(2)])])
    of_it = added(host, session, [unit(model=model, images=[photo(2)])])
    assert torch.equal(negative[0], plain[0])
    assert torch.allclose(negative[1], of_it[0], atol=1e-5)


def test_noise_replaces_the_negative_and_does_not_touch_the_web_uis_seed(host, session) -> None:
    state = torch.get_rng_state()
    session.before_sampling(Processing(), [unit(noise=0.5, noise_type="shuffle")])
    assert torch.equal(torch.get_rng_state(), state)
    plain = added(host, session, [unit()])
    made = {
        (kind, strength): added(host, session, [unit(noise=strength, noise_type=kind)])
        for kind in ("fade", "dissolve", "gaussian", "shuffle")
        for strength in (0.3, 0.9)
    }
    for one, seen in made.items():
        assert torch.equal(seen[0], plain[0])
        assert not torch.allclose(seen[1], plain[1], atol=1e-4)
        assert torch.equal(seen, added(host, Session(host), [unit(noise=one[1], noise_type=one[0])]))
    assert len({seen[1].sum().item() for seen in made.values()}) == len(made)


def test_a_setting_chooses_the_unconditional_convention(host, session) -> None:
    for model, changes in (("base", False), ("plus", True)):
        host.convention = "mean"
        mean = added(host, session, [unit(model=model)])
        host.convention = "black"
        black = added(host, session, [unit(model=model)])
        assert torch.equal(black[0], mean[0])
        assert torch.allclose(black[1], mean[1], atol=1e-6) != changes
    as_picture = unit(model="plus", negative_images=[text_of(Image.new("RGB", (28, 28)))])
    assert torch.allclose(added(host, session, [as_picture]), black, atol=1e-5)


@pytest.mark.parametrize("combine", ["concat", "average", "max", "min", "average tokens"])
def test_two_equal_references_equal_one(host, session, combine) -> None:
    one = added(host, session, [unit(model="plus")])
    two = added(host, session, [unit(model="plus", images=[photo(), photo()], combine=combine)])
    assert torch.allclose(one, two, atol=1e-5)


def test_every_way_to_combine_is_different(host, session) -> None:
    combines = ("concat", "average", "add", "subtract", "norm average", "max", "min", "average tokens")
    pair = {"model": "plus", "images": [photo(1), photo(2)]}
    made = [added(host, session, [unit(**pair, combine=combine)]) for combine in combines]
    for i, one in enumerate(made):
        for j in range(i):
            assert not torch.allclose(one, made[j], atol=1e-4), (combines[i], combines[j])


def test_a_references_weight_changes_the_term(host, session) -> None:
    one, other = photo(1), photo(2)

    def of(*images: Any, **more: Any) -> Tensor:
        return added(host, session, [unit(model="plus", images=list(images), **more)])

    assert torch.equal(of(one, {"image": other, "weight": 0}), of(one))
    assert torch.allclose(of({"image": one, "weight": 0.5}), of(one, weight=0.5), atol=1e-6)
    assert torch.allclose(
        of({"image": one, "weight": 3}, {"image": other, "weight": 1}, combine="average"),
        of(one, one, one, other, combine="average"),
        atol=1e-5,
    )


@pytest.mark.parametrize("size", [(8, 8), (16, 8), (8, 24)])
def test_two_units_with_half_masks_do_not_mix(host, session, size) -> None:
    left, right = unit(mask=half("left")), unit(model="plus", images=[photo(2)], mask=half("right"))
    both = added(host, session, [left, right], size=size)
    alone = [added(host, session, [each | {"mask": None}], size=size) for each in (left, right)]
    both, *alone = (each.unflatten(1, size) for each in (both, *alone))
    middle = size[1] // 2
    assert torch.allclose(both[:, :, :middle], alone[0][:, :, :middle], atol=1e-5)
    assert torch.allclose(both[:, :, middle:], alone[1][:, :, middle:], atol=1e-5)


def test_references_of_one_unit_have_their_own_regions(host, session) -> None:
    images = [{"image": photo(1), "mask": half("left")}, {"image": photo(2), "mask": half("right")}]
    both = added(host, session, [unit(images=images)])
    units = [unit(images=[photo(1)], mask=half("left")), unit(images=[photo(2)], mask=half("right"))]
    assert torch.allclose(both, added(host, session, units), atol=1e-5)


def test_a_grey_mask_is_a_weight(host, session) -> None:
    grey = text_of(Image.new("L", (10, 10), 51))
    assert torch.allclose(added(host, session, [unit(mask=grey)]), added(host, session, [unit(weight=0.2)]), atol=1e-5)


def test_a_mask_is_cropped_with_the_picture(host, session) -> None:
    """Inpainting "only masked" samples a part of the picture; masks are drawn for all of it."""
    mask = half("left")
    host.facts = PassInfo(box=(0.0, 0.0, 0.5, 1.0))
    assert torch.allclose(added(host, session, [unit(mask=mask)]), added(host, session, [unit()]), atol=1e-5)
    host.facts = PassInfo(box=(0.5, 0.25, 1.0, 0.75))
    assert not added(host, session, [unit(mask=mask)]).any()


def test_the_region_has_the_size_of_each_pass(host, session) -> None:
    masked = unit(mask=half("left"))
    for size in ((8, 8), (16, 16)):
        made = added(host, session, [masked], size=size).unflatten(1, size)
        assert made[:, :, : size[1] // 2].any()
        assert not made[:, :, size[1] // 2 :].any()


def test_tiles_of_a_plain_picture_equal_the_picture_and_others_apply_in_their_place(host, session) -> None:
    plain = text_of(Image.new("RGB", (90, 30), (200, 40, 40)))
    whole = added(host, session, [unit(images=[plain], crop="squash")])
    assert torch.allclose(added(host, session, [unit(images=[plain], crop="squash", tiles=True)]), whole, atol=1e-5)
    two = Image.new("RGB", (60, 30), (200, 40, 40))
    two.paste((20, 60, 220), (30, 0, 60, 30))
    tiled = added(host, session, [unit(images=[text_of(two)], tiles=True)]).unflatten(1, (8, 8))
    for colour, columns in (((200, 40, 40), slice(0, 4)), ((20, 60, 220), slice(4, 8))):
        alone = added(host, session, [unit(images=[text_of(Image.new("RGB", (30, 30), colour))])]).unflatten(1, (8, 8))
        assert torch.allclose(tiled[:, :, columns], alone[:, :, columns], atol=1e-5)


def test_each_picture_has_its_reference_however_rows_are_split(host, session) -> None:
    references = [photo(1), photo(2), photo(3)]
    unfolded = unit(images=references, unfold=True)
    rows = [Row(COND, picture) for picture in range(5)] + [Row(UNCOND, picture) for picture in range(5)]
    together = added(host, session, [unfolded], rows=rows)
    for i, row in enumerate(rows):
        alone = added(host, session, [unit(images=[references[row.picture % 3]])], rows=(row,))
        assert torch.allclose(together[i], alone[0], atol=1e-5), row
        alone = added(host, session, [unfolded], rows=(row,))
        assert torch.allclose(together[i], alone[0], atol=1e-5), row


def test_units_with_and_without_a_reference_for_each_picture_can_be_combined(host, session) -> None:
    units = [
        unit(images=[photo(1), photo(2)], unfold=True),
        unit(model="plus", images=[photo(3), photo(4), photo(5)], unfold=True),
        unit(images=[photo(6)]),
    ]
    rows = [Row(COND, 4), Row(UNCOND, 4), Row(COND, 5)]
    together = added(host, session, units, rows=rows)
    alone = sum(added(host, session, [each], rows=rows) for each in units)
    assert torch.allclose(together, alone, atol=1e-5)


def test_a_unit_applies_in_its_passes(host, session) -> None:
    for hires in (False, True):
        host.facts = PassInfo(hires=hires)
        applies = {name: added(host, session, [unit() | {"pass": name}]).any() for name in ("both", "base", "hires")}
        assert applies == {"both": True, "base": not hires, "hires": hires}


def test_a_unit_applies_to_the_picture_to_inner_generations_or_to_both(host, session) -> None:
    choices = ("all", "picture only", "inner only")
    for inner, expected in ((False, [True, True, False]), (True, [True, False, True])):
        host.facts = PassInfo(inner=inner)
        assert [bool(added(host, session, [unit(inner=choice)]).any()) for choice in choices] == expected


def test_the_host_gets_the_adapters_and_units_that_apply(host, session) -> None:
    session.before_generation(Processing(), [unit()])
    assert host.checked == ({"base.safetensors"}, ["all"])
    session.before_generation(Processing(), [unit(), unit(model="plus", inner="inner only")])
    assert host.checked == ({"base.safetensors", "plus.bin"}, ["all", "inner only"])


def test_the_hires_pass_can_have_its_own_weight(host, session) -> None:
    two = unit(weight=0.8, hires_weight=0.3)
    first = added(host, session, [two])
    host.facts = PassInfo(hires=True)
    second = added(host, session, [two])
    host.facts = PassInfo()
    assert torch.allclose(first, added(host, session, [unit(weight=0.8)]), atol=1e-6)
    assert torch.allclose(second, added(host, session, [unit(weight=0.3)]), atol=1e-6)
    host.facts = PassInfo(hires=True)
    assert not added(host, session, [unit(hires_weight=0)]).any()


def test_a_curve_is_the_weight_over_the_steps(host, session) -> None:
    curved = unit(curve="0:1, 0.5:0.5, 1:0", weight=2.0)
    for progress, weight in ((0.0, 2.0), (0.25, 1.5), (0.5, 1.0), (0.75, 0.5)):
        expected = added(host, session, [unit(weight=weight)], progress=progress)
        assert torch.allclose(added(host, session, [curved], progress=progress), expected, atol=1e-5)
    assert not added(host, session, [curved], progress=1.0).any()


@pytest.mark.parametrize(("scaling", "banks"), [("V only", 1), ("K+V", 4)])
def test_a_curve_makes_each_bank_once_if_it_can_multiply_the_term(
    host, session, unet, monkeypatch, scaling: str, banks: int
) -> None:
    from lib_ipadapter.engine import sampling_run

    made: list[int] = []
    make = sampling_run.make_bank
    monkeypatch.setattr(sampling_run, "make_bank", lambda *args: (made.append(1), make(*args))[1])
    session.before_sampling(Processing(), [unit(curve="0:0.2, 1:1", scaling=scaling), unit(model="plus")])
    host.run.inject(unet)
    try:
        for step in range(4):
            host.run.begin_call([Row(COND, 0), Row(UNCOND, 0)], step / 4, (8, 8))
            unet(torch.randn(2, 4, 8, 8), torch.tensor([9, 9]), torch.randn(2, 7, CONTEXT))
    finally:
        host.run.eject()
    assert len(made) == 16 * banks


@pytest.mark.parametrize("scaling", ["V only", "K+V", "K+mean(V) w/ C penalty"])
def test_a_curve_of_one_unit_does_not_change_the_others(host, session, scaling: str) -> None:
    curved, other = unit(curve="0:1, 1:0.5", scaling=scaling), unit(model="plus", mask=half("left"))
    both = added(host, session, [curved, other], progress=0.5)
    same = unit(weight=0.75, scaling=scaling)
    assert torch.allclose(both, added(host, session, [same, other]), atol=1e-5)


@pytest.mark.parametrize("scaling", ["K+V", "K+V w/ C penalty", "K+mean(V) w/ C penalty"])
def test_every_scaling_changes_the_effect_of_a_weight(host, session, scaling) -> None:
    plain = added(host, session, [unit(weight=0.5)])
    assert not torch.allclose(added(host, session, [unit(weight=0.5, scaling=scaling)]), plain, atol=1e-4)


@pytest.mark.parametrize("name", ["images", "negative_images"])
def test_a_reference_can_have_its_own_crop(host, session, name: str) -> None:
    one, other = photo(1, 60, 30), photo(2, 60, 30)
    others = {"images": [one]} if name != "images" else {}
    alone = [one, {"image": other, "crop": "right"}]
    made = call(host, session, [unit(crop="pad", **(others | {name: alone}))])
    assert not torch.equal(made, call(host, session, [unit(crop="pad", **(others | {name: [one, other]}))]))
    swapped = [{"image": one, "crop": "pad"}, other]
    others = {"images": [{"image": one, "crop": "pad"}]} if name != "images" else {}
    assert torch.equal(made, call(host, session, [unit(crop="right", **(others | {name: swapped}))]))


def test_transparent_parts_of_a_reference_have_no_effect(host, session) -> None:
    """They are neutral: the colour under them does not matter, the opaque parts do."""
    pictures = []
    for below in ((255, 0, 0, 0), (0, 0, 255, 0)):
        image = Image.new("RGBA", (28, 28), below)
        image.paste((30, 200, 30, 255), (0, 0, 14, 28))
        pictures.append(text_of(image))
    first, second = (added(host, session, [unit(images=[picture])]) for picture in pictures)
    assert torch.equal(first, second)
    opaque = Image.open(io.BytesIO(base64.b64decode(pictures[0]))).convert("RGB")
    assert not torch.allclose(first, added(host, session, [unit(images=[text_of(opaque)])]), atol=1e-4)


def test_changing_any_field_changes_what_is_cached(host, session) -> None:
    """Whatever ran before with other settings, a unit gets the same as in a new session."""
    changes = [
        {},
        {"negative_images": [photo(2)]},
        {"noise": 0.5, "noise_type": "fade"},
        {"noise": 0.6, "noise_type": "fade"},
        {"images": [photo(1), photo(2)], "combine": "average"},
        {"images": [photo(1), photo(2)], "combine": "add"},
        {"images": [photo(1), {"image": photo(2), "weight": 2.0}], "combine": "average"},
        {"images": [photo(1), photo(2)], "composition_images": [photo(3)]},
        {"images": [photo(1), photo(2)], "mask": half("left")},
        {"images": [photo(1), photo(2)], "mask": half("right")},
        {"images": [photo(1), photo(2)], "tiles": True},
        {"images": [photo(1), photo(2)], "enhance": 2},
        {"images": [photo(1), photo(2)], "enhance": 3},
        {"images": [photo(1), photo(2)], "enhance": 3, "enhance_ratio": 0.2},
        {"images": [photo(1), photo(2)], "unfold": True},
    ]
    for more in changes:
        expected = call(host, Session(host), [unit(model="plus", **more)])
        assert torch.equal(call(host, session, [unit(model="plus", **more)]), expected), more

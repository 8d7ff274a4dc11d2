"""Regions in words and numbers: reading, coverage, and that each person appears only in their region."""

import contextlib
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from makers import adapter_tensors, save, text_of
from small_host import CONTEXT, WIDTHS, Processing, SmallHost, call, photo, unit
from torch import Tensor, nn
from unets import ldm_unet

from lib_ipadapter.base.boxes import WHOLE, Box, Size
from lib_ipadapter.base.errors import UnitError
from lib_ipadapter.engine.region_weights import of_area
from lib_ipadapter.engine.session import Session
from lib_ipadapter.networks.unet_sites import SD
from lib_ipadapter.port import PassInfo
from lib_ipadapter.unit.read_args import read_unit
from lib_ipadapter.unit.region_text import NAMED, SPREADS, Area, Places, read_places

# What a text says

READ = {
    "": Places(),
    "  ": Places(),
    "left half": Places(((0, 0, 0.5, 1),)),
    "0, 0, 0.5, 1": Places(((0, 0, 0.5, 1),)),
    " 0,0,.5,1 ;feather  0.05": Places(((0, 0, 0.5, 1),), feather=0.05),
    "left half | 0.5,0,1,0.25": Places(((0, 0, 0.5, 1), (0.5, 0, 1, 0.25))),
    "left third|middle third|right third; feather 0.1": Places(
        ((0, 0, 1 / 3, 1), (1 / 3, 0, 2 / 3, 1), (2 / 3, 0, 1, 1)), feather=0.1
    ),
    "left to right": Places(axis=0),
    "top to bottom; feather 1": Places(axis=1, feather=1.0),
}


@pytest.mark.parametrize("text", READ)
def test_a_text_is_read_as_regions(text: str) -> None:
    assert read_places(text) == READ[text]
    assert read_unit({"enabled": False, "region": text}).region == text.strip()


NOTHING = [
    "left",
    "Left half",
    "left half |",
    "|",
    "left to right | left half",
    "left half; 0.5",
    "left half; feather",
    "left half; feather 2",
    "left half; feather -0.1",
    "left half; feather nan",
    "left half; feather 0.1; feather 0.1",
    "; feather 0.1",
    "0, 0, 1",
    "0, 0, 1, 1, 1",
    "0.5, 0, 0.5, 1",
    "0.6, 0, 0.5, 1",
    "0, 0, 1.1, 1",
    "0, 0, 1_0, 1",
    "0, 0, ¹, 1",
    "0, 0, nan, 1",
    "0 0 1 1",
]


@pytest.mark.parametrize("text", NOTHING)
def test_any_other_text_is_refused(text: str) -> None:
    with pytest.raises(UnitError, match=r"region must be one or more regions .* such as 0, 0, 0\.5, 1; feather 0\.05"):
        read_unit({"enabled": False, "region": text})


@given(st.text(max_size=40) | st.text("0123456789.,|;feathr lo ", max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(ValueError):
        read_places(text)


# What regions cover


def covered(area: Area, grid: Size, box: Box = WHOLE) -> Tensor:
    made = of_area(area, box, grid)
    assert made.shape == (grid[0] * grid[1],)
    assert made.dtype == torch.float32
    assert made.min() >= 0
    assert made.max() <= 1
    return made


@pytest.mark.parametrize("name", NAMED)
def test_a_named_region_covers_what_it_is_called(name: str) -> None:
    made = covered(Area(NAMED[name]), (12, 12)).view(12, 12)
    rows, columns = (made.amax(dim=dim) for dim in (1, 0))
    ends = {"half": 6, "third": 4}.get(name.split()[-1], 6)
    sides = {"left": columns[:ends], "right": columns[-ends:], "top": rows[:ends], "bottom": rows[-ends:]}
    for side, part in sides.items():
        if side in name.split():
            assert part.eq(1).all()
    share = {"half": 72, "third": 48}.get(name.split()[-1], 36)
    assert made.sum() == share
    if name == "middle third":
        assert columns[4:8].eq(1).all()


@pytest.mark.parametrize("axis", SPREADS.values(), ids=str)
@pytest.mark.parametrize("count", [1, 2, 3, 5])
@pytest.mark.parametrize("feather", [0.0, 0.02, 0.3, 1.0])
@pytest.mark.parametrize("box", [WHOLE, (0.31, 0.07, 0.83, 0.5)], ids=str)
def test_neighbouring_regions_add_up_to_1(axis: int, count: int, feather: float, box: Box) -> None:
    for grid in ((8, 8), (33, 32), (9, 7), (1, 1), (128, 96)):
        parts = [covered(area, grid, box) for area in Places(axis=axis, feather=feather).areas(count)]
        assert sum(parts).tolist() == pytest.approx([1.0] * (grid[0] * grid[1]), abs=1e-5)


@pytest.mark.parametrize("grid", [(8, 8), (16, 12), (64, 96), (128, 128)], ids=str)
def test_without_a_feather_a_region_ends_exactly_at_its_edge(grid: Size) -> None:
    """Not even a rounding error may remain, because a person would appear there."""
    for name, part in (("left half", slice(None, grid[1] // 2)), ("right half", slice(grid[1] // 2, None))):
        made = covered(Area(NAMED[name]), grid).view(grid)
        assert made[:, part].eq(1).all()
        assert made.sum() == grid[0] * grid[1] / 2
    thirds = [covered(area, (4, 12)).view(4, 12) for area in Places(axis=0).areas(3)]
    assert torch.stack(thirds).unique().tolist() == [0, 1]


@pytest.mark.parametrize("area", [Area((0.2, 0.1, 0.7, 0.9)), Area((0.2, 0, 0.5, 1), 0.3), Area((0, 0.4, 1, 1), 0.11)])
@pytest.mark.parametrize("box", [WHOLE, (0.1, 0.25, 0.7, 0.99)], ids=str)
def test_a_position_is_the_mean_of_the_region_over_it(area: Area, box: Box) -> None:
    """Compared with many samples of the formula: the distance of a point beyond an edge, divided by the feather."""
    rows, columns, fine = 5, 7, 800

    def along(first: float, last: float, start: float, end: float, count: int) -> Tensor:
        at = start + (end - start) * (torch.arange(count * fine, dtype=torch.float64) + 0.5) / (count * fine)
        width = area.feather or 1e-9
        up = torch.ones_like(at) if first == 0 else ((at - first) / width + 0.5).clamp(0, 1)
        down = torch.zeros_like(at) if last == 1 else ((at - last) / width + 0.5).clamp(0, 1)
        return (up - down).view(count, fine).mean(dim=1)

    left, upper, right, lower = area.box
    expected = torch.outer(along(upper, lower, box[1], box[3], rows), along(left, right, box[0], box[2], columns))
    assert torch.allclose(covered(area, (rows, columns), box).double(), expected.flatten(), atol=2e-3)


# What a unit does in its region

FIRST = "input_blocks.1.1.transformer_blocks.0.attn2.to_out.0"


@pytest.fixture(scope="module")
def unet() -> nn.Module:
    return ldm_unet(context_dim=CONTEXT)


def added(host: SmallHost, session: Session, args: list[Any], size: Size = (8, 8), path: str = FIRST) -> Tensor:
    """Return the term that units add at a site: (rows, height, width, channels)."""
    made = call(host, session, args, watch=path, size=size) - call(host, session, [], watch=path, size=size)
    return made.unflatten(1, size)


def same(made: Tensor, expected: Tensor) -> bool:
    return torch.allclose(made, expected, atol=1e-5)


def test_a_unit_with_a_region_applies_fully_inside_and_not_outside(host, session) -> None:
    everywhere = added(host, session, [unit()])
    made = added(host, session, [unit(region="0.25, 0, 0.75, 0.5")])
    assert same(made[:, :4, 2:6], everywhere[:, :4, 2:6])
    made[:, :4, 2:6] = 0
    assert not made.any()


def test_two_units_in_halves_do_not_mix(host, session) -> None:
    one, other = unit(), unit(model="plus", images=[photo(2)])
    both = added(host, session, [one | {"region": "left half"}, other | {"region": "right half"}])
    assert same(both[:, :, :4], added(host, session, [one])[:, :, :4])
    assert same(both[:, :, 4:], added(host, session, [other])[:, :, 4:])


@pytest.mark.parametrize("tiles", [False, True])
def test_references_of_one_unit_take_the_regions_in_order(host, session, tiles: bool) -> None:
    photos = [photo(seed, 60, 60) for seed in (1, 2)]
    alone = [added(host, session, [unit(images=[each], tiles=tiles)]) for each in photos]
    for region, cut in (("left to right", 2), ("left half | right half", 2), ("top to bottom", 1)):
        made = added(host, session, [unit(images=photos, region=region, tiles=tiles)])
        for part, expected in zip(made.split(4, cut), (a.split(4, cut)[i] for i, a in enumerate(alone)), strict=True):
            assert same(part, expected)


def test_a_feather_mixes_neighbours_only_at_their_edge(host, session) -> None:
    photos = [photo(1), photo(2)]
    left, right = (added(host, session, [unit(images=[each])]) for each in photos)
    made = added(host, session, [unit(images=photos, region="left to right; feather 0.25")])
    assert same(made[:, :, :3], left[:, :, :3])
    assert same(made[:, :, 5:], right[:, :, 5:])
    assert same(made[:, :, 3], 0.75 * left[:, :, 3] + 0.25 * right[:, :, 3])
    assert same(made[:, :, 4], 0.25 * left[:, :, 4] + 0.75 * right[:, :, 4])


def test_a_region_a_mask_and_a_references_own_mask_are_multiplied(host, session) -> None:
    from PIL import Image

    upper = Image.new("L", (64, 64), 0)
    upper.paste(255, (0, 0, 64, 32))
    quarter = added(host, session, [unit(region="top left")])
    for masked in ({"mask": text_of(upper)}, {"images": [{"image": photo(), "mask": text_of(upper)}]}):
        assert same(added(host, session, [unit(region="left half", **masked)]), quarter)


def test_a_region_refers_to_the_whole_picture_if_a_part_is_sampled(host, session) -> None:
    host.facts = PassInfo(box=(0.5, 0.0, 1.0, 1.0))
    everywhere = added(host, session, [unit()])
    assert same(added(host, session, [unit(region="right half")]), everywhere)
    assert not added(host, session, [unit(region="left half")]).any()
    third = added(host, session, [unit(region="0.75, 0, 1, 1")])
    assert not third[:, :, :4].any()
    assert same(third[:, :, 4:], everywhere[:, :, 4:])


def test_composition_references_take_the_regions_separately(host, session) -> None:
    composed = "input_blocks.8.1.transformer_blocks.0.attn2.to_out.0"  # layer 5, the only one at which the unit applies
    photos, more = [photo(1), photo(2)], {"images": [photo(3)], "layers": "5:1"}

    def composing(images: list[str], region: str = "") -> Tensor:
        args = [unit(composition_images=images, region=region, **more)]
        made = call(host, session, args, watch=composed, size=(16, 16))
        return (made - call(host, session, [], watch=composed, size=(16, 16))).unflatten(1, (4, 4))

    made = composing(photos, "left to right")
    assert same(made[:, :, :2], composing(photos[:1])[:, :, :2])
    assert same(made[:, :, 2:], composing(photos[1:])[:, :, 2:])
    assert made.any()


REFUSED = {
    "merged": ({"region": "left to right", "combine": "average"}, "region gives each reference its own region: set"),
    "one each": ({"region": "left half | right half", "unfold": True}, "which cannot be combined with unfold"),
    "too many": ({"region": "left half | right half"}, "names 2 places, but images shows one reference or face"),
    "too few": (
        {"region": "left half | right half", "images": [photo(1), photo(2), photo(3)]},
        "names 2 places, but images shows 3 references or faces; name as many",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_run_is_refused_with_a_reason(host, session, case: str) -> None:
    more, words = REFUSED[case]
    session.before_sampling(Processing(), [unit(**more)])
    assert words in host.refused[0]


def test_one_region_works_with_every_way_to_combine(host, session) -> None:
    mixed = unit(images=[photo(1), photo(2)], combine="average")
    made, everywhere = (added(host, session, [mixed | more]) for more in ({"region": "left half"}, {}))
    assert same(made[:, :, :4], everywhere[:, :, :4])
    assert not made[:, :, 4:].any()


# Persons


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("insightface", reason="insightface and onnxruntime are not installed here")
    from face_models import write_pack

    from lib_ipadapter.faces.insightface_models import PACKS

    folder = tmp_path_factory.mktemp("faces")
    write_pack(folder / "faces", PACKS["buffalo_l"])
    size: dict[str, Any] = {"widths": WIDTHS, "context_dim": CONTEXT}
    save(adapter_tensors("faceid", SD, tokens=16, **size), folder / "portrait.safetensors")
    return folder


PLACES = ((450, 150, 128), (150, 400, 160), (330, 560, 96))
"""Places of three faces; the second is the largest and leftmost, and the first is higher than the third."""


def group_photo(count: int = 3) -> str:
    from face_models import draw_faces

    return text_of(draw_faces(*PLACES[:count], seed=3))


def person(region: str = "", **more: Any) -> dict[str, Any]:
    return {"model": "portrait", "images": [group_photo()], "region": region, **more}


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize(
    ("region", "order", "cut"),
    [
        ("left to right", ("left", "bottom", "right"), 2),
        ("top to bottom", ("top", "left", "bottom"), 1),
        ("left third | middle third | right third", ("left", "bottom", "right"), 2),
    ],
)
def test_each_region_attends_only_to_its_person_of_a_group_photo(faces, unet, region, order, cut) -> None:
    """Exactly: a query in a person's region gets the same term as from a unit with that person only."""
    host = SmallHost(faces, unet)
    session, size = Session(host), (24, 24)
    made = added(host, session, [person(region, face="all")], size)
    for i, (which, part) in enumerate(zip(order, made.split(8, cut), strict=True)):
        alone = added(host, session, [person(face=which)], size).split(8, cut)[i]
        assert same(part, alone), which
        assert part.any()


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_one_person_does_not_affect_the_others_region(faces, unet) -> None:
    """Two persons in two regions: replacing one person changes nothing in the other's region, bit for bit."""
    from face_models import draw_faces

    host = SmallHost(faces, unet)
    session = Session(host)
    anna, berta, clara = (text_of(draw_faces((320, 320, 256), seed=seed)) for seed in (1, 2, 5))
    one, two = (
        added(host, session, [person("left to right", images=[anna, other])], (8, 8)) for other in (berta, clara)
    )
    assert torch.equal(one[:, :, :4], two[:, :, :4])
    assert not same(one[0, :, 4:], two[0, :, 4:])
    units = [person("left half", images=[anna]), person("right half", images=[berta])]
    assert same(added(host, session, units, (8, 8)), one)


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_faces_of_several_photos_take_the_regions_in_the_photos_order(faces, unet) -> None:
    from face_models import draw_faces

    host = SmallHost(faces, unet)
    session, size = Session(host), (24, 24)
    photos = [text_of(draw_faces((320, 320, 256), seed=8)), group_photo(2)]
    made = added(host, session, [person("left to right", images=photos, face="all")], size).split(8, 2)
    expected = (
        person(images=photos[:1]),
        person(images=photos[1:], face="left"),
        person(images=photos[1:], face="right"),
    )
    for i, alone in enumerate(expected):
        assert same(made[i], added(host, session, [alone], size).split(8, 2)[i])

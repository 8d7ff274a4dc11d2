"""Region weights: grids compared with a U-Net's convolutions, and masks and boxes on these grids."""

import random

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn.functional import conv2d

from lib_ipadapter.base.boxes import WHOLE, Box, Size
from lib_ipadapter.engine.region_weights import grid_of, of_boxes, of_mask
from lib_ipadapter.networks.unet_sites import SD, SDXL, Layout, sites
from lib_ipadapter.pictures.tiles import tiles_of

# Grids


def down(size: Size) -> Size:
    """Return the size after a U-Net's downsampling convolution."""
    made = conv2d(torch.zeros(1, 1, *size), torch.zeros(1, 1, 3, 3), stride=2, padding=1)
    return made.shape[2], made.shape[3]


DOWNSAMPLERS = {"SD": (3, 6, 9), "SDXL": (3, 6)}
"""Input blocks that are only a downsampling convolution."""
UPSAMPLERS = {"SD": (2, 5, 8), "SDXL": (2, 5)}
"""Output blocks that end with upsampling, to the size of the next block's skip connection."""


def walked(layout: Layout, latent: Size) -> dict[tuple[str, int], Size]:
    """Return the size at each block's cross-attention, in the order in which a U-Net runs."""
    sizes, size, skips = {}, latent, [latent]
    count = 3 * len(DOWNSAMPLERS[layout.name]) + 3
    for number in range(1, count):
        size = down(size) if number in DOWNSAMPLERS[layout.name] else size
        sizes["input", number] = size
        skips.append(size)
    sizes["middle", 0] = size
    for number in range(count):
        size = skips.pop()
        sizes["output", number] = size
        assert number in UPSAMPLERS[layout.name] or not skips or skips[-1] == size
    return sizes


CHANCE = random.Random(1)
LATENTS = [(1, 1), (1, 7), (8, 8), (64, 64), (65, 64), (64, 65), (96, 64), (128, 128), (152, 104), (191, 3)]
LATENTS += [(CHANCE.randrange(1, 257), CHANCE.randrange(1, 257)) for _ in range(40)]


@pytest.mark.parametrize("layout", [SD, SDXL], ids=["SD", "SDXL"])
@pytest.mark.parametrize("latent", LATENTS, ids=str)
def test_every_site_has_the_grid_after_the_convolutions(layout: Layout, latent: Size) -> None:
    sizes = walked(layout, latent)
    for site in sites(layout):
        rows, columns = sizes[site.block, site.number]
        assert grid_of(latent, site.level, rows * columns) == (rows, columns)


def test_every_size_divisible_by_8_has_the_grid_of_the_convolutions() -> None:
    halved = {n: down((n, n))[0] for n in range(1, 193)}
    for height in range(1, 193, 3):
        for width in range(1, 193):
            size = (height, width)
            for level in range(4):
                assert grid_of((height, width), level, size[0] * size[1]) == size
                size = (halved[size[0]], halved[size[1]])


@pytest.mark.parametrize(
    ("height", "width", "grids"),
    [
        (912, 1144, [(114, 143), (57, 72), (29, 36), (15, 18)]),
        (832, 1216, [(104, 152), (52, 76), (26, 38), (13, 19)]),
        (1000, 1000, [(125, 125), (63, 63), (32, 32), (16, 16)]),
        (520, 512, [(65, 64), (33, 32), (17, 16), (9, 8)]),
    ],
)
def test_known_sizes_have_known_grids(height: int, width: int, grids: list[Size]) -> None:
    """An implementation with square roots transposes the last one's."""
    for level, (rows, columns) in enumerate(grids):
        assert grid_of((height // 8, width // 8), level, rows * columns) == (rows, columns)
        assert grid_of((width // 8, height // 8), level, rows * columns) == (columns, rows)


def test_a_site_that_another_extension_shrank_has_the_grid_of_another_level() -> None:
    for level in range(4):
        assert grid_of((65, 64), level, 33 * 32) == (33, 32)
        assert grid_of((114, 143), level, 29 * 36) == (29, 36)


@pytest.mark.parametrize(
    ("latent", "queries", "grid"),
    [
        ((64, 64), 36, (6, 6)),
        ((64, 64), 48 * 48, (48, 48)),
        ((96, 64), 24, (6, 4)),
        ((64, 96), 24, (4, 6)),
        ((64, 128), 2 * 25, (5, 10)),
        ((128, 64), 2 * 25, (10, 5)),
        ((64, 128), 37, (1, 37)),
        ((128, 64), 37, (37, 1)),
        ((1, 200), 12, (1, 12)),
        ((65, 64), 32 * 32, (32, 32)),
    ],
)
def test_another_number_of_queries_has_the_grid_nearest_to_the_aspect_ratio(
    latent: Size, queries: int, grid: Size
) -> None:
    assert {grid_of(latent, level, queries) for level in range(4)} == {grid}


@pytest.mark.parametrize("latent", [(64, 64), (65, 64), (1, 1), (1, 200), (200, 1), (97, 31), (3, 250)], ids=str)
def test_any_number_of_queries_has_a_grid_with_as_many_positions(latent: Size) -> None:
    for queries in [*range(1, 400), 4093, 4096, 16381, 2**14]:
        for level in (0, 2, 9):
            rows, columns = grid_of(latent, level, queries)
            assert rows * columns == queries
            assert min(rows, columns) >= 1


# Masks


def mask_of(levels: np.ndarray) -> Image.Image:
    """Return a mask as decoded: one channel of floats from 0 to 1."""
    return Image.fromarray(np.asarray(levels, dtype=np.float32))


def halves(height: int, width: int, side: str) -> Image.Image:
    levels = np.zeros((height, width))
    part = {
        "left": np.s_[:, : width // 2],
        "right": np.s_[:, width // 2 :],
        "top": np.s_[: height // 2],
        "bottom": np.s_[height // 2 :],
    }
    levels[part[side]] = 1
    return mask_of(levels)


@pytest.mark.parametrize("size", [(64, 64), (512, 768), (1024, 576), (8, 8)], ids=str)
@pytest.mark.parametrize("grid", [(8, 8), (4, 2), (2, 6), (16, 12)], ids=str)
def test_half_a_mask_is_half_a_grid(size: Size, grid: Size) -> None:
    rows, columns = grid
    for side, expected in (
        ("left", [[1.0] * (columns // 2) + [0.0] * (columns // 2)] * rows),
        ("right", [[0.0] * (columns // 2) + [1.0] * (columns // 2)] * rows),
        ("top", [[1.0] * columns] * (rows // 2) + [[0.0] * columns] * (rows // 2)),
        ("bottom", [[0.0] * columns] * (rows // 2) + [[1.0] * columns] * (rows // 2)),
    ):
        made = of_mask(halves(*size, side), WHOLE, grid)
        assert made.shape == (rows * columns,)
        assert made.dtype == torch.float32
        assert made.view(rows, columns).tolist() == expected, side


def test_a_position_that_a_mask_covers_partly_has_a_partial_weight() -> None:
    made = of_mask(halves(6, 6, "left"), WHOLE, (1, 3)).tolist()
    assert made == pytest.approx([1.0, 0.5, 0.0])
    quarter = np.zeros((4, 4))
    quarter[:1, :1] = 1
    assert of_mask(mask_of(quarter), WHOLE, (2, 2)).tolist() == [0.25, 0.0, 0.0, 0.0]


def test_a_soft_mask_stays_soft() -> None:
    ramp = mask_of(np.tile(np.arange(16) / 15, (8, 1)))
    made = of_mask(ramp, WHOLE, (2, 4)).view(2, 4)
    assert made[0].tolist() == pytest.approx([1.5 / 15, 5.5 / 15, 9.5 / 15, 13.5 / 15])
    assert torch.equal(made[0], made[1])


@pytest.mark.parametrize("level", [0.0, 0.2, 128 / 255, 1.0])
@pytest.mark.parametrize("grid", [(1, 1), (7, 5), (13, 19), (128, 96), (33, 32)], ids=str)
@pytest.mark.parametrize("box", [WHOLE, (0.1, 0.25, 0.7, 0.99)], ids=str)
def test_a_uniform_mask_is_uniform_on_every_grid(level: float, grid: Size, box: Box) -> None:
    made = of_mask(mask_of(np.full((50, 70), level)), box, grid)
    assert made.tolist() == pytest.approx([level] * (grid[0] * grid[1]), abs=1e-6)


def random_mask(height: int, width: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).random((height, width), dtype=np.float32)


def areas(levels: np.ndarray, grid: Size) -> np.ndarray:
    """Return the mean over each position's area, with every pixel split so that no position cuts one."""
    height, width = levels.shape
    split = levels.astype(np.float64).repeat(grid[0], axis=0).repeat(grid[1], axis=1)
    return split.reshape(grid[0], height, grid[1], width).mean(axis=(1, 3))


GRIDS = [(6, 4), (1, 1), (9, 8), (15, 18), (17, 16), (13, 19), (24, 20), (48, 60), (33, 32), (57, 31)]


@pytest.mark.parametrize("grid", GRIDS, ids=str)
def test_each_position_is_the_mean_over_its_area(grid: Size) -> None:
    levels = random_mask(24, 20)
    made = of_mask(mask_of(levels), WHOLE, grid).view(grid)
    assert abs(made.numpy() - areas(levels, grid)).max() <= 1e-6


@pytest.mark.parametrize("grid", [*GRIDS, (64, 64), (128, 96)], ids=str)
def test_the_mean_of_a_mask_is_kept_on_every_grid(grid: Size) -> None:
    levels = random_mask(520, 512)
    levels[:300] **= 4  # so that the upper part is darker
    assert float(of_mask(mask_of(levels), WHOLE, grid).mean()) == pytest.approx(float(levels.mean()), abs=1e-6)


@pytest.mark.parametrize("grid", [(8, 8), (16, 16), (9, 7)], ids=str)
def test_a_thin_line_is_not_lost_on_a_coarse_grid(grid: Size) -> None:
    levels = np.zeros((512, 512))
    levels[:, 200] = 1
    made = of_mask(mask_of(levels), WHOLE, grid).view(grid)
    assert made.sum(dim=1).tolist() == pytest.approx([grid[1] / 512] * grid[0], rel=1e-5)


@pytest.mark.parametrize("grid", [(8, 8), (33, 32), (9, 7), (128, 128)], ids=str)
@pytest.mark.parametrize("box", [WHOLE, (0.31, 0.07, 0.83, 0.5)], ids=str)
def test_a_mask_and_its_inverse_add_up_to_1(grid: Size, box: Box) -> None:
    levels = random_mask(70, 90)
    both = of_mask(mask_of(levels), box, grid) + of_mask(mask_of(1 - levels), box, grid)
    assert both.tolist() == pytest.approx([1.0] * (grid[0] * grid[1]), abs=1e-5)


def test_a_small_mask_on_a_fine_grid_repeats_its_pixels() -> None:
    levels = np.array([[0.0, 0.25, 1.0], [0.5, 0.75, 0.125]])
    made = of_mask(mask_of(levels), WHOLE, (8, 9)).view(8, 9)
    assert made.tolist() == np.kron(levels, np.ones((4, 3))).tolist()


QUARTERS = np.kron([[0.0, 0.25], [0.5, 1.0]], np.ones((32, 48)))


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        (WHOLE, [[0.0, 0.25], [0.5, 1.0]]),
        ((0.5, 0.0, 1.0, 0.5), [[0.25, 0.25], [0.25, 0.25]]),
        ((0.0, 0.5, 0.5, 1.0), [[0.5, 0.5], [0.5, 0.5]]),
        ((0.0, 0.5, 1.0, 1.0), [[0.5, 1.0], [0.5, 1.0]]),
        ((0.25, 0.0, 0.75, 1.0), [[0.0, 0.25], [0.5, 1.0]]),
        ((0.25, 0.25, 1.0, 0.5), [[1 / 12, 0.25], [1 / 12, 0.25]]),
    ],
)
def test_a_box_selects_the_sampled_part_of_the_mask(box: Box, expected: list[list[float]]) -> None:
    made = of_mask(mask_of(QUARTERS), box, (2, 2)).view(2, 2)
    assert made.tolist() == [pytest.approx(row, abs=1e-6) for row in expected]


def test_a_box_of_a_mask_equals_the_mask_cropped_to_it() -> None:
    levels = random_mask(80, 60)
    boxed = of_mask(mask_of(levels), (0.1, 0.25, 0.7, 0.75), (5, 9))
    assert torch.allclose(boxed, of_mask(mask_of(levels[20:60, 6:42]), WHOLE, (5, 9)), atol=1e-6)


def test_pixels_at_the_edge_of_a_box_count_partly() -> None:
    mask = mask_of(np.array([[0.0, 0.2, 0.6, 1.0]]))
    assert of_mask(mask, (1 / 8, 0.0, 5 / 8, 1.0), (1, 2)).tolist() == pytest.approx([0.1, 0.4])
    assert of_mask(mask, (1 / 8, 0.0, 7 / 8, 1.0), (1, 1)).tolist() == pytest.approx([(0.2 + 0.6 + 0.5) / 3])


def test_a_mask_is_not_changed_and_shares_no_memory() -> None:
    levels = random_mask(8, 6)
    mask = mask_of(levels)
    of_mask(mask, WHOLE, (8, 6)).zero_()
    assert (np.asarray(mask) == levels).all()


# Boxes


def shares(boxes: list[Box], grid: Size) -> list[list[float]]:
    return [of_boxes(boxes, index, grid).tolist() for index in range(len(boxes))]


@pytest.mark.parametrize(
    ("boxes", "grid", "expected"),
    [
        ([WHOLE], (2, 2), [[1, 1, 1, 1]]),
        ([(0, 0, 0.5, 1), (0.5, 0, 1, 1)], (1, 4), [[1, 1, 0, 0], [0, 0, 1, 1]]),
        ([(0, 0, 1, 0.5), (0, 0.5, 1, 1)], (2, 2), [[1, 1, 0, 0], [0, 0, 1, 1]]),
        ([(0, 0, 0.6, 1), (0.4, 0, 1, 1)], (1, 5), [[1, 1, 0.5, 0, 0], [0, 0, 0.5, 1, 1]]),
        ([(0, 0, 0.5, 1), (0.5, 0, 1, 1)], (1, 3), [[1, 0.5, 0], [0, 0.5, 1]]),
        ([WHOLE, WHOLE, WHOLE, WHOLE], (1, 1), [[0.25]] * 4),
        ([(0, 0, 0.25, 1)], (1, 4), [[1, 0, 0, 0]]),
        ([(0, 0, 0.125, 1)], (1, 4), [[0.5, 0, 0, 0]]),
        ([(0.1, 0.3, 0.9, 0.6)], (1, 1), [[0.24]]),
        ([(0, 0, 0.5, 0.5), (0.5, 0, 1, 0.5)], (3, 2), [[1, 0, 0.5, 0, 0, 0], [0, 1, 0, 0.5, 0, 0]]),
    ],
)
def test_overlapping_boxes_share_their_positions(boxes: list[Box], grid: Size, expected: list[list[float]]) -> None:
    assert shares(boxes, grid) == [pytest.approx(row, abs=1e-6) for row in expected]


REFERENCES = [(512, 512), (640, 512), (1024, 768), (768, 1152), (1536, 512), (500, 1733), (3000, 200), (101, 97)]


@pytest.mark.parametrize("reference", REFERENCES, ids=str)
@pytest.mark.parametrize("grid", [(8, 8), (33, 32), (13, 19), (64, 64), (5, 1), (1, 1)], ids=str)
def test_tiles_add_up_to_1_everywhere(reference: tuple[int, int], grid: Size) -> None:
    places = [tile.place for tile in tiles_of(*reference)]
    each = torch.stack([of_boxes(places, index, grid) for index in range(len(places))])
    assert each.min() >= 0
    assert each.sum(dim=0).tolist() == pytest.approx([1.0] * (grid[0] * grid[1]), abs=1e-5)


def test_a_tile_has_weight_1_where_it_is_alone_and_0_outside() -> None:
    places = [tile.place for tile in tiles_of(1200, 500)]  # three, 0 to 5/12, 7/24 to 17/24 and 7/12 to 1
    made = of_boxes(places, 0, (1, 24)).tolist()
    assert made == pytest.approx([1.0] * 7 + [0.5] * 3 + [0.0] * 14, abs=1e-5)

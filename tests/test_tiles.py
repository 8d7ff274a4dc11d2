"""How a reference is cut into tiles, and where in the picture each tile applies."""

import numpy as np
import pytest
from makers import picture
from PIL import Image

from lib_ipadapter.pictures.crops import cut, resize_for
from lib_ipadapter.pictures.tiles import Tile, tiles_of


def in_pixels(tiles: tuple[Tile, ...], width: int, height: int) -> list[tuple[float, ...]]:
    """Return the left, upper, right and lower edge of each tile in its reference."""
    return [tuple(edge * side for edge, side in zip(tile.source, (width, height) * 2, strict=True)) for tile in tiles]


def flat(boxes: list[tuple[float, ...]]) -> list[float]:
    return [edge for box in boxes for edge in box]


def has(width: int, height: int, *expected: tuple[float, float, float, float]) -> bool:
    """Return whether a reference of this size has these tiles, in pixels and in this order."""
    found = in_pixels(tiles_of(width, height), width, height)
    return len(found) == len(expected) and flat(found) == pytest.approx(flat([*expected]))


# The tiles of a reference


def test_a_square_has_two_by_two_tiles_row_by_row() -> None:
    assert has(512, 512, (0, 0, 256, 256), (256, 0, 512, 256), (0, 256, 256, 512), (256, 256, 512, 512))
    assert has(2048, 2048, (0, 0, 1024, 1024), (1024, 0, 2048, 1024), (0, 1024, 1024, 2048), (1024, 1024, 2048, 2048))


def test_a_nearly_square_reference_is_cropped_to_its_central_square() -> None:
    assert has(600, 500, (50, 0, 300, 250), (300, 0, 550, 250), (50, 250, 300, 500), (300, 250, 550, 500))
    assert has(500, 600, (0, 50, 250, 300), (250, 50, 500, 300), (0, 300, 250, 550), (250, 300, 500, 550))


@pytest.mark.parametrize(
    ("width", "height", "count"),
    [
        (1000, 751, 4),
        (1000, 750, 2),  # 0.75 is no longer nearly square
        (1000, 740, 2),
        (1000, 1329, 4),
        (100, 133, 2),  # nor is 1.33
        (1000, 1340, 2),
        (768, 1024, 2),
        (1024, 768, 2),
    ],
)
def test_nearly_square_is_between_three_quarters_and_four_thirds(width: int, height: int, count: int) -> None:
    assert len(tiles_of(width, height)) == count


def test_a_tall_reference_has_a_column_of_tiles_of_its_width() -> None:
    assert has(500, 1000, (0, 0, 500, 500), (0, 500, 500, 1000))
    assert has(500, 1500, (0, 0, 500, 500), (0, 500, 500, 1000), (0, 1000, 500, 1500))
    assert has(500, 2000, (0, 0, 500, 500), (0, 500, 500, 1000), (0, 1000, 500, 1500), (0, 1500, 500, 2000))


def test_a_wide_reference_has_a_row_of_tiles_of_its_height() -> None:
    assert has(1000, 500, (0, 0, 500, 500), (500, 0, 1000, 500))
    assert has(1500, 500, (0, 0, 500, 500), (500, 0, 1000, 500), (1000, 0, 1500, 500))


def test_tiles_overlap_evenly_if_the_length_is_no_multiple() -> None:
    assert has(750, 500, (0, 0, 500, 500), (250, 0, 750, 500))
    assert has(500, 1200, (0, 0, 500, 500), (0, 350, 500, 850), (0, 700, 500, 1200))
    assert has(
        700, 200, (0, 0, 200, 200), (500 / 3, 0, 1100 / 3, 200), (1000 / 3, 0, 1600 / 3, 200), (500, 0, 700, 200)
    )


def test_one_pixel_more_than_a_multiple_adds_a_tile() -> None:
    assert [len(tiles_of(width, 500)) for width in (999, 1000, 1001, 1500, 1501)] == [2, 2, 3, 3, 4]


def test_a_strip_is_cropped_to_four_central_tiles() -> None:
    four = [(800, 0, 1000, 200), (1000, 0, 1200, 200), (1200, 0, 1400, 200), (1400, 0, 1600, 200)]
    assert has(2400, 200, *four)
    assert has(200, 2400, *[(upper, left, lower, right) for left, upper, right, lower in four])
    assert [len(tiles_of(width, 500)) for width in (2000, 2001, 30_000)] == [4, 4, 4]


SIZES = [
    (512, 512),
    (600, 500),
    (500, 600),
    (1024, 768),
    (500, 1733),
    (1999, 501),
    (2400, 200),
    (1, 20_000),
    (7, 3),
    (101, 97),
    (4000, 6000),
]


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_every_tile_is_a_square_inside_its_reference(size: tuple[int, int]) -> None:
    width, height = size
    sides = []
    for left, upper, right, lower in in_pixels(tiles_of(width, height), width, height):
        assert right - left == pytest.approx(lower - upper)
        assert left >= -1e-9
        assert right <= width + 1e-9
        assert upper >= -1e-9
        assert lower <= height + 1e-9
        sides.append(right - left)
    assert sides == pytest.approx([sides[0]] * len(sides))


# Where they apply


def test_tiles_of_an_uncropped_reference_apply_where_they_were_cut() -> None:
    for size in ((512, 512), (1000, 500), (500, 1200), (1024, 768)):
        assert all(tile.place == pytest.approx(tile.source) for tile in tiles_of(*size))


def test_tiles_of_a_cropped_reference_cover_the_whole_picture() -> None:
    quarters = [(0, 0, 0.5, 0.5), (0.5, 0, 1, 0.5), (0, 0.5, 0.5, 1), (0.5, 0.5, 1, 1)]
    assert flat([tile.place for tile in tiles_of(600, 500)]) == pytest.approx(flat(quarters))
    columns = [(0, 0, 0.25, 1), (0.25, 0, 0.5, 1), (0.5, 0, 0.75, 1), (0.75, 0, 1, 1)]
    assert flat([tile.place for tile in tiles_of(2400, 200)]) == pytest.approx(flat(columns))
    rows = [(upper, left, lower, right) for left, upper, right, lower in columns]
    assert flat([tile.place for tile in tiles_of(200, 2400)]) == pytest.approx(flat(rows))


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_places_cover_the_whole_picture(size: tuple[int, int]) -> None:
    places = [tile.place for tile in tiles_of(*size)]
    for x in np.linspace(0, 1, 83):
        for y in np.linspace(0, 1, 83):
            assert any(
                left - 1e-9 <= x <= right + 1e-9 and up - 1e-9 <= y <= low + 1e-9 for left, up, right, low in places
            )


# Cutting


def test_a_tile_has_the_pixels_of_its_box() -> None:
    image = picture(60, 50, seed=1)
    pixels = np.asarray(image)
    made = [np.asarray(cut(image, tile.source)) for tile in tiles_of(60, 50)]
    expected = [pixels[:25, 5:30], pixels[:25, 30:55], pixels[25:, 5:30], pixels[25:, 30:55]]
    assert len(made) == 4
    assert all((one == other).all() for one, other in zip(made, expected, strict=True))


def test_a_box_is_left_upper_right_lower() -> None:
    image = picture(40, 20, seed=1)
    made = cut(image, (0.25, 0.1, 0.75, 0.6))
    assert (np.asarray(made) == np.asarray(image)[2:12, 10:30]).all()
    assert cut(image, (0.0, 0.0, 1.0, 1.0)).tobytes() == image.tobytes()


@pytest.mark.parametrize("size", [(101, 97), (97, 101), (199, 51), (55, 200), (640, 90), (3, 2), (3, 3)], ids=str)
def test_tiles_contain_every_kept_pixel(size: tuple[int, int]) -> None:
    width, height = size
    numbered = np.arange(width * height, dtype="<u4").reshape(height, width)  # below 2 ** 24
    image = Image.fromarray(numbered.view(np.uint8).reshape(height, width, 4)[:, :, :3].copy())

    def numbers(part: Image.Image) -> set[int]:
        return set((np.asarray(part).astype(int) @ (1, 256, 65536)).flatten().tolist())

    tiles = tiles_of(width, height)
    left, upper = (min(tile.source[i] for tile in tiles) for i in (0, 1))
    right, lower = (max(tile.source[i] for tile in tiles) for i in (2, 3))
    kept = numbered[round(upper * height) : round(lower * height), round(left * width) : round(right * width)]
    assert set().union(*(numbers(cut(image, tile.source)) for tile in tiles)) == set(kept.flatten().tolist())


def test_the_tiles_of_the_smallest_references_can_be_resized() -> None:
    for size in ((3, 3), (2, 1), (9, 8), (2, 7), (1, 1), (1, 5), (5, 1), (1, 20_001)):
        image = Image.new("RGB", size)
        for tile in tiles_of(*size):
            assert resize_for(cut(image, tile.source), 224, "center").size == (224, 224), size


def test_a_box_between_two_pixels_has_one_of_them() -> None:
    image = Image.new("RGB", (4, 2))
    for x in range(4):
        image.paste((x, 9, 9), (x, 0, x + 1, 2))
    for box, seen in (((0.3, 0, 0.35, 1), 1), ((0.9, 0, 1, 1), 3), ((0, 0, 0.1, 1), 0)):
        made = cut(image, box)
        assert made.size == (1, 2), box
        assert made.getpixel((0, 0)) == (seen, 9, 9)

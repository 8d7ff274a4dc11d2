"""Measures of a picture: each follows the fault that it measures, and is correct where the value is known."""

import io
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from makers import file_of, picture
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter

from lib_ipadapter.pictures.image_metrics import blockiness, contrast, jpeg_quality, levels_of, shading, sharpness
from lib_ipadapter.review.thresholds import THRESHOLDS, advice_on


def drawn(seed: int = 0, size: int = 224) -> Image.Image:
    """Return a picture with many kinds of edges, including thin lines, on a smooth background."""
    made = picture(size, size, seed).filter(ImageFilter.GaussianBlur(2))
    draw, places = ImageDraw.Draw(made), np.random.default_rng(seed)
    for _ in range(40):
        x, y, wide, high = (int(value) for value in places.integers(4, size // 3, 4) * (2, 2, 1, 1))
        draw.ellipse((x, y, x + wide, y + high), fill=tuple(places.integers(0, 255, 3).tolist()))
        draw.line((x, y, y, x + wide), fill=tuple(places.integers(0, 255, 3).tolist()), width=2)
    return made


def falling(numbers: list[float]) -> bool:
    return all(first > second for first, second in itertools.pairwise(numbers))


@pytest.mark.parametrize("seed", range(5))
def test_blur_lowers_the_sharpness(seed: int) -> None:
    whole = drawn(seed)
    blurred = [whole, *(whole.filter(ImageFilter.GaussianBlur(radius)) for radius in (0.5, 1, 2, 4))]
    assert falling([sharpness(levels_of(each)) for each in blurred])


@pytest.mark.parametrize("seed", range(5))
def test_a_smaller_picture_is_less_sharp_at_the_encoders_size(seed: int) -> None:
    whole = drawn(seed)
    shrunk = [whole.resize((side, side), Image.Resampling.BICUBIC) for side in (224, 160, 112, 80, 48)]
    seen = [each.resize((224, 224), Image.Resampling.BICUBIC) for each in shrunk]
    assert falling([sharpness(levels_of(each)) for each in seen])


def test_sharpness_equals_the_published_measure() -> None:
    """Crété-Roffet and others 2007, equations 1 to 6, pixel by pixel."""
    levels = levels_of(drawn(1, 40))
    height, width = levels.shape
    mirrored = np.pad(levels, 4, mode="symmetric")
    parts = []
    for down, across in ((1, 0), (0, 1)):
        kept = whole = 0.0
        for y in range(down, height):
            for x in range(across, width):
                before = mirrored[y + 4 - down, x + 4 - across]
                sharp = abs(mirrored[y + 4, x + 4] - before)
                mean_here = np.mean([mirrored[y + 4 + i * down, x + 4 + i * across] for i in range(-4, 5)])
                mean_before = np.mean(
                    [mirrored[y + 4 + (i - 1) * down, x + 4 + (i - 1) * across] for i in range(-4, 5)]
                )
                whole += sharp
                kept += max(0.0, sharp - abs(mean_here - mean_before))
        parts.append((whole - kept) / whole)
    assert sharpness(levels) == pytest.approx(1 - max(parts), abs=1e-9)


def test_sharpness_ranks_pictures_as_scikit_image_does() -> None:
    measure = pytest.importorskip("skimage.measure")
    pictures = [
        drawn(seed).filter(ImageFilter.GaussianBlur(radius)) for seed in range(6) for radius in (0, 0.7, 1.5, 3, 5)
    ]
    ours = np.array([sharpness(levels_of(each)) for each in pictures])
    theirs = np.array([1 - measure.blur_effect(levels_of(each)) for each in pictures])
    ranks = [np.argsort(np.argsort(each)) for each in (ours, theirs)]
    assert np.corrcoef(*ranks)[0, 1] > 0.95


@settings(deadline=None, max_examples=25)
@given(st.floats(0.2, 5), st.floats(0, 100))
def test_sharpness_depends_neither_on_contrast_nor_on_brightness(factor: float, more: float) -> None:
    levels = levels_of(drawn(2))
    assert sharpness(levels * factor + more) == pytest.approx(sharpness(levels), abs=1e-6)


def test_contrast_is_the_standard_deviation_of_the_brightness() -> None:
    board = Image.fromarray((np.indices((64, 64)).sum(axis=0) % 2 * 255).astype(np.uint8))
    assert contrast(levels_of(board)) == 0.5
    lower = [ImageEnhance.Contrast(drawn()).enhance(factor) for factor in (1, 0.7, 0.4, 0.1)]
    assert falling([contrast(levels_of(each)) for each in lower])


@pytest.mark.parametrize("size", [(224, 224), (30, 20)])
def test_a_plain_picture_has_no_sharpness_and_no_contrast(size) -> None:
    plain = levels_of(Image.new("RGB", size, (90, 90, 90)))
    assert (sharpness(plain), contrast(plain), blockiness(plain)) == (0.0, 0.0, 1.0)


def test_the_smallest_pictures_have_numbers_too() -> None:
    for size in ((1, 1), (1, 9), (3, 2), (9, 9)):
        levels = levels_of(picture(*size))
        assert 0 <= sharpness(levels) <= 1
        assert blockiness(levels) >= 1


@pytest.mark.parametrize("quality", range(1, 101))
def test_a_jpegs_quality_is_read_from_its_tables(quality: int) -> None:
    found = jpeg_quality(file_of(picture(16, 16), "JPEG", quality=quality))
    assert found is not None
    same = [file_of(picture(16, 16), "JPEG", quality=each) for each in (quality, found)]
    assert Image.open(io.BytesIO(same[0])).quantization[0] == Image.open(io.BytesIO(same[1])).quantization[0]
    assert abs(found - quality) <= (1 if quality > 3 else 2), "several low ones have the same table"


def test_a_jpeg_with_custom_tables_has_a_similar_quality() -> None:
    qualities = [
        jpeg_quality(file_of(drawn(), "JPEG", qtables=preset)) for preset in ("web_low", "web_medium", "web_maximum")
    ]
    assert falling([-quality for quality in qualities if quality])
    assert len(qualities) == 3


def test_other_files_have_no_quality() -> None:
    for form in ("PNG", "WEBP", "BMP", "GIF"):
        assert jpeg_quality(file_of(drawn(), form)) is None


def flat_drawing(seed: int) -> Image.Image:
    """Return shapes of one colour each on a plain background, as drawing programs save them."""
    places = np.random.default_rng(seed)
    made = Image.new("RGB", (512, 475), tuple(places.integers(180, 256, 3).tolist()))
    draw = ImageDraw.Draw(made)
    for _ in range(int(places.integers(1, 9))):
        x, y, wide, high = (int(value) for value in places.integers(5, 256, 4))
        colour = tuple(places.integers(0, 255, 3).tolist())
        shape = (draw.rectangle, draw.rectangle, draw.ellipse)[int(places.integers(0, 3)) if seed % 3 else 0]
        shape((x, y, x + wide, y + high), fill=colour)
    return made


@pytest.mark.parametrize("seed", range(20))
def test_a_flat_drawing_shows_no_compression(seed: int) -> None:
    assert advice_on({"blockiness": blockiness(levels_of(flat_drawing(seed)))}) == []


@pytest.mark.parametrize("cut", [(0, 0), (3, 5)], ids=["whole", "cut"])
def test_compression_is_measured_at_the_blocks_edges(cut: tuple[int, int]) -> None:
    whole = drawn(3).filter(ImageFilter.GaussianBlur(1))
    measured = [blockiness(levels_of(whole))]
    for quality in (90, 70, 50, 30, 20, 10):
        pressed = Image.open(io.BytesIO(file_of(whole, "JPEG", quality=quality)))
        measured.append(blockiness(levels_of(pressed.crop((*cut, 224, 224)))))
    assert falling([-each for each in measured])
    assert measured[0] < 1.2
    assert measured[-1] > 1.7


def jpeg(picture: Image.Image, quality: int) -> Image.Image:
    return Image.open(io.BytesIO(file_of(picture, "JPEG", quality=quality)))


@pytest.mark.parametrize("name", ["astronaut", "chelsea", "coffee", "rocket", "camera", "retina", "coins", "clock"])
def test_photographs_are_shaded_however_they_were_saved(name: str) -> None:
    data = pytest.importorskip("skimage.data")
    photograph = Image.fromarray(getattr(data, name)()).convert("RGB")
    low = next(row.least for row in THRESHOLDS if row.measure == "shading")
    whole, middle = photograph.size, [edge // 4 for edge in photograph.size]
    crop = photograph.crop((*middle, whole[0] - middle[0], whole[1] - middle[1]))
    versions = [photograph, photograph.convert("L"), crop, *(jpeg(photograph, quality) for quality in (30, 90))]
    assert min(map(shading, versions)) > low


def test_a_photographed_person_in_front_of_white_is_shaded() -> None:
    data = pytest.importorskip("skimage.data")
    ground = Image.new("RGB", (600, 600), "white")
    ground.paste(Image.fromarray(data.astronaut()).crop((150, 30, 300, 200)), (200, 200))
    assert shading(ground) > 0.3


def test_drawings_are_not_shaded() -> None:
    face = Image.new("RGB", (512, 512), (200, 220, 250))
    pen = ImageDraw.Draw(face)
    pen.ellipse((130, 100, 380, 420), (255, 220, 190), "black", 5)
    for x in (200, 310):
        pen.ellipse((x - 20, 220, x + 20, 260), "white", "black", 3)
    pen.arc((200, 280, 310, 370), 20, 160, "black", 4)
    lines = Image.new("RGB", (600, 600), "white")
    for x in range(0, 600, 40):
        ImageDraw.Draw(lines).line((x, 0, 600 - x, 600), "black", 3)
    low = next(row.least for row in THRESHOLDS if row.measure == "shading")
    assert max(map(shading, [face, jpeg(face, 75), jpeg(face, 40), lines, face.resize((100, 100))])) < low


def test_a_picture_of_one_colour_says_nothing_about_shading() -> None:
    assert shading(Image.new("RGB", (100, 100), "red")) == 1

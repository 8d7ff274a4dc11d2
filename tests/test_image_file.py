"""References: what is read and what is refused, and their pixels compared with transformers' preprocessing."""

import base64
import builtins
import hashlib
import io
import os
import random
import struct
import textwrap
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from golden import stream
from makers import file_of, picture
from PIL import EpsImagePlugin, Image

from lib_ipadapter.base.errors import UnitError
from lib_ipadapter.pictures import image_file as reference
from lib_ipadapter.pictures import preprocess as crops
from lib_ipadapter.pictures.crops import CROPS, MAX_ASPECT, resize_for
from lib_ipadapter.pictures.image_file import MAX_MASK_SIDE, decode, decode_mask, read_image_file
from lib_ipadapter.pictures.preprocess import normalise, to_levels, to_pixels
from lib_ipadapter.unit.unit import FIELDS

FIELD = "images[3]"
RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)
NOTHING = (123, 117, 104)
"""CLIP's mean colour, which normalises to zeros."""

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL")  # Pillow warns about damaged files


def text_of(content: bytes) -> str:
    return base64.b64encode(content).decode()


def load(text: str) -> Image.Image:
    return decode(FIELD, read_image_file(FIELD, text).content)


def refused(call: Callable[[], object]) -> UnitError:
    """Return the refusal, which names the field and says what to do."""
    with pytest.raises(UnitError) as caught:
        call()
    error = caught.value
    assert error.field == FIELD
    assert error.sentence.startswith(f"{FIELD} ")
    assert any(advice in error.sentence for advice in ("must be", "Send", "Save"))
    assert len(error.sentence) < 400
    assert len(str(error.value)) < 120
    return error


def levels(image: Image.Image) -> np.ndarray:
    assert image.mode == "RGB"
    return np.asarray(image).astype(int)


# Pixels, against transformers


def clip_processor(size: int) -> Callable[..., dict]:
    """Return transformers' preprocessing with Pillow, which is not the default since version 5."""
    kind = getattr(transformers, "CLIPImageProcessorPil", None) or transformers.CLIPImageProcessor
    return kind(size={"shortest_edge": size}, crop_size={"height": size, "width": size})


SIZES = [
    (640, 480),
    (480, 640),
    (301, 199),
    (199, 301),
    (37, 53),
    (53, 37),
    (3, 2),
    (224, 224),
    (100, 100),
    (225, 224),
    (224, 501),
    (1000, 63),
    (63, 1001),
]


@pytest.mark.parametrize("shape", SIZES, ids=str)
@pytest.mark.parametrize("size", [224, 336])
def test_pixels_equal_transformers(shape: tuple[int, int], size: int) -> None:
    image = picture(*shape, seed=sum(shape))
    made = to_pixels(resize_for(image, size, "center"))
    expected = clip_processor(size)(images=image, return_tensors="pt")["pixel_values"][0]
    assert made.shape == expected.shape == (3, size, size)
    assert (made - expected).abs().max() <= 1e-5


def test_pixels_of_a_long_strip_nearly_equal_transformers() -> None:
    image = picture(20 * 90, 90, seed=5)  # longer than the part that is kept
    made = to_pixels(resize_for(image, 224, "center"))
    expected = clip_processor(224)(images=image, return_tensors="pt")["pixel_values"][0]
    assert (made - expected).abs().max() <= 2 / 255 / min(crops.CLIP_STD)  # two levels


def test_pixels_are_normalised_channel_by_channel() -> None:
    image = Image.new("RGB", (3, 2), (10, 128, 250))
    made = to_pixels(image)
    assert made.shape == (3, 2, 3)
    expected = [(10 / 255 - 0.48145466) / 0.26862954, (128 / 255 - 0.4578275) / 0.26130258]
    expected.append((250 / 255 - 0.40821073) / 0.27577711)
    assert made[:, 1, 2].tolist() == pytest.approx(expected, abs=1e-6)


def test_levels_run_from_0_to_1_and_pixels_are_normalised_levels() -> None:
    image = Image.new("RGB", (3, 2), (0, 51, 255))
    made = to_levels(image)
    assert made.shape == (3, 2, 3)
    assert made[:, 1, 2].tolist() == pytest.approx([0.0, 0.2, 1.0], abs=1e-7)
    assert torch.equal(to_pixels(image), normalise(made))
    assert normalise(torch.zeros(3, 1, 1)).flatten().tolist() == pytest.approx([-1.792263, -1.752097, -1.480220])


def test_pixels_have_rows_before_columns() -> None:
    image = Image.new("RGB", (5, 3))
    image.putpixel((4, 1), WHITE)
    made = to_pixels(image)
    assert made.shape == (3, 3, 5)
    assert made[0].argmax() == 1 * 5 + 4


# Crops


def striped(width: int, height: int) -> Image.Image:
    """Return a picture whose longer side has a red, a green and a blue third."""
    image = Image.new("RGB", (width, height), GREEN)
    thirds = (width // 3, height) if width > height else (width, height // 3)
    image.paste(Image.new("RGB", thirds, RED), (0, 0))
    image.paste(Image.new("RGB", thirds, BLUE), (width - thirds[0], height - thirds[1]))
    return image


def inner(image: Image.Image, margin: int = 8) -> np.ndarray:
    """Return the part that resampling at the edges does not reach."""
    return levels(image)[margin:-margin, margin:-margin]


@pytest.mark.parametrize(
    ("crop", "of_wide", "of_tall"),
    [
        ("center", GREEN, GREEN),
        ("top", GREEN, RED),
        ("bottom", GREEN, BLUE),
        ("left", RED, GREEN),
        ("right", BLUE, GREEN),
    ],
)
@pytest.mark.parametrize("side", [30, 100, 400])
def test_a_crop_shows_the_part_that_it_names(crop: str, of_wide: tuple, of_tall: tuple, side: int) -> None:
    for image, colour in ((striped(3 * side, side), of_wide), (striped(side, 3 * side), of_tall)):
        made = resize_for(image, 224, crop)
        assert made.size == (224, 224)
        assert (abs(inner(made, 24) - colour) <= 1).all()


def test_a_crop_keeps_the_edge_that_it_names() -> None:
    wide, tall = striped(300, 200), striped(200, 300)
    for crop, image, edge in (
        ("left", wide, np.s_[50:-50, :5]),
        ("right", wide, np.s_[50:-50, -5:]),
        ("top", tall, np.s_[:5, 50:-50]),
        ("bottom", tall, np.s_[-5:, 50:-50]),
    ):
        ends = RED if crop in ("left", "top") else BLUE
        assert (abs(levels(resize_for(image, 224, crop))[edge] - ends) <= 1).all()


def test_padding_shows_the_whole_picture_between_bars_that_normalise_to_zero() -> None:
    for image, turn in ((striped(300, 100), False), (striped(100, 300), True)):
        made = resize_for(image, 224, "pad")
        assert made.size == (224, 224)
        seen, pixels = levels(made), to_pixels(made)
        if turn:
            seen, pixels = seen.transpose(1, 0, 2), pixels.transpose(1, 2)
        for column, colour in ((30, RED), (112, GREEN), (194, BLUE)):
            assert (abs(seen[80:144, column] - colour) <= 1).all()
        assert pixels[:, :74].abs().max() <= 0.5 / 255 / min(crops.CLIP_STD)  # half a level
        assert pixels[:, -75:].abs().max() <= 0.5 / 255 / min(crops.CLIP_STD)
        assert (abs(seen[75:148, :60] - RED) <= 40).all()  # the picture starts where the bar ends


def test_squashing_shows_the_whole_picture_without_bars() -> None:
    for image, turn in ((striped(300, 100), False), (striped(100, 300), True)):
        made = resize_for(image, 224, "squash")
        assert made.size == (224, 224)
        seen = levels(made).transpose(1, 0, 2) if turn else levels(made)
        for columns, colour in ((np.s_[:70], RED), (np.s_[80:144], GREEN), (np.s_[-70:], BLUE)):
            assert (abs(seen[:, columns] - colour) <= 1).all()


@pytest.mark.parametrize("crop", CROPS)
def test_every_crop_of_a_square_is_the_same(crop: str) -> None:
    image = picture(96, 96, seed=3)
    assert resize_for(image, 224, crop).tobytes() == resize_for(image, 224, "center").tobytes()


def test_every_crop_of_a_unit_is_tested() -> None:
    assert sorted(CROPS) == sorted(FIELDS["crop"].kind.options)


@pytest.mark.parametrize("shape", [(1, 20000), (20000, 1), (1, 1), (2, 9999), (9999, 2), (1, 17)], ids=str)
@pytest.mark.parametrize("crop", CROPS)
def test_extreme_strips_are_resized_without_growing_huge(
    shape: tuple[int, int], crop: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []
    resize = Image.Image.resize

    def watched(image: Image.Image, size: tuple[int, int], *args: object) -> Image.Image:
        made.append(max(size))
        return resize(image, size, *args)

    monkeypatch.setattr(Image.Image, "resize", watched)
    assert resize_for(Image.new("RGB", shape, RED), 224, crop).size == (224, 224)
    assert max(made) <= MAX_ASPECT * 224


def test_a_crop_of_a_strip_shows_the_end_that_it_names() -> None:
    wide, tall = striped(21000, 2), striped(2, 21000)
    for crop, of_wide, of_tall in (
        ("left", RED, GREEN),
        ("right", BLUE, GREEN),
        ("center", GREEN, GREEN),
        ("top", GREEN, RED),
        ("bottom", GREEN, BLUE),
    ):
        assert (levels(resize_for(wide, 32, crop)) == of_wide).all()
        assert (levels(resize_for(tall, 32, crop)) == of_tall).all()


# Kinds of files


def test_transparency_shows_the_neutral_colour() -> None:
    image = Image.new("RGBA", (3, 1))
    for x, colour in enumerate([(255, 0, 0, 255), (255, 0, 0, 0), (255, 0, 0, 102)]):
        image.putpixel((x, 0), colour)
    for form, options in (("PNG", {}), ("WEBP", {"lossless": True, "exact": True}), ("TIFF", {})):
        made = levels(decode(FIELD, file_of(image, form, **options)))[0]
        assert made[0].tolist() == list(RED)
        assert made[1].tolist() == list(NOTHING)
        assert abs(made[2] - (176, 70, 62)).max() <= 1  # 0.4 · RED + 0.6 · NOTHING


@pytest.mark.parametrize("crop", CROPS)
def test_transparent_parts_normalise_to_zero(crop: str) -> None:
    image = Image.new("RGBA", (50, 40), (200, 10, 90, 0))
    pixels = to_pixels(resize_for(decode(FIELD, file_of(image)), 32, crop))
    assert pixels.abs().max() <= 0.5 / 255 / min(crops.CLIP_STD)  # half a level


def test_a_palette_keeps_its_colours_and_its_transparency() -> None:
    image = Image.new("P", (3, 1))
    image.putpalette([*RED, *GREEN, *BLUE])
    for x in range(3):
        image.putpixel((x, 0), x)
    shown = {
        "none": (file_of(image), [RED, GREEN, BLUE]),
        "one colour": (file_of(image, transparency=1), [RED, NOTHING, BLUE]),
        "each colour": (file_of(image, transparency=bytes([255, 0, 102])), [RED, NOTHING, (74, 70, 164)]),
        "GIF": (file_of(image, "GIF", transparency=2), [RED, GREEN, NOTHING]),
    }
    for kind, (content, colours) in shown.items():
        assert abs(levels(decode(FIELD, content))[0] - colours).max() <= 1, kind


def test_a_transparent_colour_without_a_palette_shows_the_neutral_colour() -> None:
    image = Image.new("RGB", (2, 1), RED)
    image.putpixel((1, 0), BLUE)
    assert levels(decode(FIELD, file_of(image, transparency=BLUE)))[0].tolist() == [list(RED), list(NOTHING)]
    grey = Image.new("L", (2, 1), 40)
    grey.putpixel((1, 0), 90)
    assert levels(decode(FIELD, file_of(grey, transparency=90)))[0].tolist() == [[40] * 3, list(NOTHING)]


def test_grey_with_alpha_shows_the_neutral_colour() -> None:
    image = Image.new("LA", (2, 1), (100, 255))
    image.putpixel((1, 0), (100, 51))
    made = levels(decode(FIELD, file_of(image)))[0]
    assert made[0].tolist() == [100] * 3
    assert abs(made[1] - (118, 114, 103)).max() <= 1  # 0.2 · 100 + 0.8 · NOTHING


def test_grey_is_the_same_in_all_channels() -> None:
    image = Image.fromarray(np.arange(256, dtype=np.uint8).reshape(16, 16))
    made = levels(decode(FIELD, file_of(image)))
    assert (made == np.arange(256).reshape(16, 16, 1)).all()


def test_one_bit_is_black_and_white() -> None:
    image = Image.new("1", (2, 1))
    image.putpixel((1, 0), 1)
    for form in ("PNG", "TIFF", "BMP"):
        assert levels(decode(FIELD, file_of(image, form)))[0].tolist() == [[0] * 3, [255] * 3]


@pytest.mark.parametrize(
    ("inks", "colour"),
    [
        ((0, 0, 0, 0), WHITE),
        ((0, 0, 0, 255), (0, 0, 0)),
        ((255, 0, 0, 0), (0, 255, 255)),
        ((0, 255, 255, 0), RED),
    ],
)
def test_cmyk_becomes_rgb(inks: tuple, colour: tuple) -> None:
    image = Image.new("CMYK", (16, 16), inks)
    assert (levels(decode(FIELD, file_of(image, "TIFF"))) == colour).all()
    assert (abs(levels(decode(FIELD, file_of(image, "JPEG", quality=95))) - colour) <= 3).all()


def test_sixteen_bits_are_scaled_to_eight() -> None:
    numbers = np.arange(65536).reshape(256, 256)
    expected = np.floor(numbers * 255 / 65535 + 0.5)[..., None]
    for kind, forms in ((np.uint16, ("PNG", "TIFF")), (np.int32, ("TIFF",))):
        for form in forms:
            image = Image.fromarray(numbers.astype(kind))
            assert (levels(decode(FIELD, file_of(image, form))) == expected).all(), (kind, form)


def test_integers_beyond_sixteen_bits_are_black_and_white() -> None:
    image = Image.fromarray(np.array([[-5, 70000, 2**31 - 1]], dtype=np.int32))
    assert levels(decode(FIELD, file_of(image, "TIFF")))[0, :, 0].tolist() == [0, 255, 255]


def test_floats_run_to_1_or_to_255() -> None:
    ramp = np.linspace(0, 1, 997, dtype=np.float32)[None]
    expected = np.floor(ramp[0].astype(np.float64) * 255 + 0.5)
    to_one = levels(decode(FIELD, file_of(Image.fromarray(ramp), "TIFF")))[0, :, 1]
    to_255 = levels(decode(FIELD, file_of(Image.fromarray(ramp * 255), "TIFF")))[0, :, 1]
    assert abs(to_one - expected).max() <= 1
    assert abs(to_255 - expected).max() <= 1
    assert to_one[[0, -1]].tolist() == to_255[[0, -1]].tolist() == [0, 255]


def test_nan_and_infinity_do_no_harm() -> None:
    image = Image.fromarray(np.array([[np.nan, np.inf, -np.inf, 0.5]], dtype=np.float32))
    assert decode(FIELD, file_of(image, "TIFF")).size == (4, 1)


@pytest.mark.parametrize("form", ["GIF", "WEBP", "PNG", "TIFF"])
def test_the_first_frame_of_an_animation_is_used(form: str) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in (RED, BLUE, GREEN)]
    options = {"lossless": True} if form == "WEBP" else {}
    content = file_of(frames[0], form, save_all=True, append_images=frames[1:], **options)
    assert Image.open(io.BytesIO(content)).n_frames == 3
    assert (levels(decode(FIELD, content)) == RED).all()


# EXIF, 4.6.4: the sides of the upright picture at which the file's first row and first column are.
SIDES = {
    1: ("top", "left"),
    2: ("top", "right"),
    3: ("bottom", "right"),
    4: ("bottom", "left"),
    5: ("left", "top"),
    6: ("right", "top"),
    7: ("right", "bottom"),
    8: ("left", "bottom"),
}


def laid(upright: np.ndarray, orientation: int) -> Image.Image:
    """Return a picture as a camera held with this orientation would store it."""
    row, column = SIDES[orientation]
    stored = upright if row in ("top", "bottom") else upright.transpose(1, 0, 2)
    stored = stored[::-1] if row in ("bottom", "right") else stored
    stored = stored[:, ::-1] if column in ("bottom", "right") else stored
    return Image.fromarray(np.ascontiguousarray(stored))


def exif(orientation: int, **more: str) -> Image.Exif:
    made = Image.Exif()
    made[0x0112] = orientation
    if "maker" in more:
        made[0x010F] = more["maker"]
    return made


@pytest.mark.parametrize("orientation", SIDES)
@pytest.mark.parametrize(
    ("form", "options", "tolerance"),
    [
        ("PNG", {}, 0),
        ("WEBP", {"lossless": True}, 0),
        ("TIFF", {}, 0),
        ("TIFF", {"compression": "tiff_lzw"}, 0),
        ("JPEG", {"quality": 95, "subsampling": 0}, 24),
    ],
)
def test_a_picture_is_turned_by_its_exif_orientation(
    orientation: int, form: str, options: dict, tolerance: int
) -> None:
    upright = np.asarray(picture(32, 24, seed=1))
    content = file_of(laid(upright, orientation), form, exif=exif(orientation), **options)
    made = levels(decode(FIELD, content))
    assert made.shape == upright.shape
    assert abs(made - upright).max() <= tolerance


DAMAGED_EXIF = [
    b"Exif\0\0",
    b"Exif\0\0MM\0*",
    b"Exif\0\0nonsense and more of it",
    b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + b"\x01\x12" * 9,
    b"Exif\0\0II*\0\xff\xff\xff\xff",
    b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x02\0\0\0\x03six\0\0\0\0\0",
    b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x63\0\0\0\0\0\0",
]
CASES = [(damage, form) for damage in DAMAGED_EXIF for form in ("JPEG", "PNG", "WEBP")]
CASES.remove((b"Exif\0\0MM\0*", "JPEG"))  # Pillow 9.5 cannot open this one


@pytest.mark.parametrize(("damage", "form"), CASES)
def test_a_picture_with_damaged_exif_is_read_without_turning(damage: bytes, form: str) -> None:
    image = picture(20, 10)
    content = file_of(image, form, exif=damage)
    assert damage[6:] in content
    expected = Image.open(io.BytesIO(file_of(image, form)))
    assert decode(FIELD, content).tobytes() == expected.tobytes()


def test_a_picture_is_turned_even_if_another_exif_tag_is_invalid() -> None:
    upright = np.asarray(picture(32, 24, seed=1))
    # a width that is text: Pillow reads it, but fails to write it in `exif_transpose`
    damaged = exif(6, maker="maker").tobytes().replace(b"\x01\x0f\0\x02", b"\x01\0\0\x02")
    made = levels(decode(FIELD, file_of(laid(upright, 6), "PNG", exif=damaged)))
    assert (made == upright).all()


# Texts


def test_plain_base64_data_urls_and_wrapped_lines_give_the_same_picture() -> None:
    content = file_of(picture(40, 30))
    texts = [
        text_of(content),
        f"data:image/png;base64,{text_of(content)}",
        f"data:image/png;charset=utf-8;base64,{text_of(content)}",
        f"data:;base64,{text_of(content)}",
        base64.encodebytes(content).decode(),
        base64.encodebytes(content).decode().replace("\n", "\r\n"),
        text_of(content) + "\n",
        "\n".join(textwrap.wrap(text_of(content), 100)),
        f"\n{text_of(content)}",
    ]
    assert len(content) % 57  # so that the last line is short
    for text in texts:
        read = read_image_file(FIELD, text)
        assert read.content == content
        assert read.digest == hashlib.sha256(content).hexdigest()


NO_BASE64 = {
    "nothing": "",
    "an empty data URL": "data:image/png;base64,",
    "a data URL without base64": "data:image/png,%89PNG",
    "a data URL without a comma": "data:image/png;base64",
    "a data URL of text": "data:text/plain,hello",
    "an address": "https://example.com/picture.png",
    "a plain address": "http://example.com/a",
    "an address in capitals": "HTTPS://EXAMPLE.COM/A.PNG",
    "a file address": "file:///etc/hostname",
    "a path": "/etc/hostname",
    "a path on Windows": "C:\\pictures\\me.png",
    "a home": "~/picture.png",
    "cut padding": "aGVsbG8gd29ybGQ",
    "too much padding": "aGVsbG8=====x",
    "wrong letters": "aGVsbG8*d29y",
    "URL-safe letters": "-_-_-_-_",
    "letters beyond ASCII": "grün",
    "half a character": "\ud83d" * 8,
    "zeros": "\0\0\0\0",
    "JSON": '{"image": ""}',
    "long nonsense": "nonsense! " * 100_000,
}


@pytest.mark.parametrize("kind", NO_BASE64)
def test_text_that_is_not_base64_is_refused(kind: str) -> None:
    error = refused(lambda: load(NO_BASE64[kind]))
    assert "base64" in error.sentence


@pytest.mark.parametrize("address", ["https://example.com/a.png", "http://a", "HTTPS://EXAMPLE.COM/A.PNG", "file:///a"])
def test_an_address_is_refused_as_an_address(address: str) -> None:
    assert "URLs are not fetched" in refused(lambda: load(address)).sentence


def test_a_path_is_never_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names = ["picture.png", "pictures", "abcd/efgh", "abcdefg=", "YWJj"]  # the last four are also base64
    for name in names:
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_bytes(file_of(picture()))
    texts = [*names, *(str(tmp_path / name) for name in names), *(f"./{name}" for name in names)]
    texts += [(tmp_path / name).as_uri() for name in names]

    def opened(*args: object, **_: object) -> None:
        raise AssertionError(f"opened {args}")

    for text in texts:
        with monkeypatch.context() as watched:
            for module, name in ((builtins, "open"), (io, "open"), (os, "open")):
                watched.setattr(module, name, opened)
            refused(lambda text=text: load(text))


# Files that are not pictures, too large or damaged


def png(width: int, height: int, pixels: bytes = b"") -> bytes:
    """Return a grey PNG file, whose header can promise more than the file holds."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(pixels)) + chunk(b"IEND", b"")


def bmp(width: int, height: int) -> bytes:
    return b"BM" + struct.pack("<IHHIIiiHHIIiiII", 54, 0, 0, 54, 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)


def gif(width: int, height: int) -> bytes:
    frame = b"," + struct.pack("<HHHHB", 0, 0, width, height, 0) + b"\x02\x02\x44\x01\0;"
    return b"GIF89a" + struct.pack("<HHBBB", 8, 8, 0x80, 0, 0) + bytes(6) + frame


HUGE = {
    "PNG": png(30_000, 30_000),
    "PNG, just too large": png(12_500, 10_000),
    "PNG, one row": png(2_000_000_000, 1),
    "BMP": bmp(30_000, 30_000),
    "GIF whose frame is larger than itself": gif(60_000, 60_000),
}


@pytest.mark.parametrize("kind", HUGE)
@pytest.mark.parametrize("pillows_limit", [None, Image.MAX_IMAGE_PIXELS], ids=["without limit", "with limit"])
def test_a_huge_picture_is_refused_before_it_is_decoded(
    kind: str, pillows_limit: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", pillows_limit)
    error = refused(lambda: load(text_of(HUGE[kind])))
    assert "pixels" in error.sentence
    assert "smaller picture" in error.sentence


def test_a_picture_of_exactly_the_limit_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    content = png(12, 10, bytes(13 * 10))
    monkeypatch.setattr(reference, "MAX_PIXELS", 120)
    assert decode(FIELD, content).size == (12, 10)
    monkeypatch.setattr(reference, "MAX_PIXELS", 119)
    assert "12×10 pixels; at most 119" in refused(lambda: decode(FIELD, content)).sentence


def test_a_picture_that_does_not_fit_into_memory_is_refused_as_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    def too_large(_: Image.Image) -> None:
        raise MemoryError

    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load", too_large)
    assert "pixels" in refused(lambda: decode(FIELD, file_of(picture()))).sentence


def test_transparency_that_does_not_fit_into_memory_is_refused_as_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    def too_large(*_: Image.Image) -> None:
        raise MemoryError

    monkeypatch.setattr(Image, "alpha_composite", too_large)
    for read in (decode, decode_mask):
        assert "pixels" in refused(lambda read=read: read(FIELD, file_of(picture(mode="RGBA")))).sentence


EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n%%EOF\n"
NO_PICTURES = {
    "text": b"a photo of a cat",
    "SVG": b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>',
    "a web page": b"<!DOCTYPE html><html></html>",
    "PDF": b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\n",
    "ZIP": b"PK\x03\x04" + bytes(64),
    "one byte": b"\x89",
    "zeros": bytes(4096),
    "random bytes": stream(7, 4096).add(0.5).mul(256).byte().numpy().tobytes(),
    "EPS": EPS,
    "a PNG's first bytes": b"\x89PNG\r\n\x1a\n",
    "a JPEG's first bytes": b"\xff\xd8\xff\xe0",
    "an empty PNG": png(0, 0),
}


@pytest.mark.parametrize("kind", NO_PICTURES)
def test_a_file_that_is_no_picture_is_refused(kind: str) -> None:
    error = refused(lambda: load(text_of(NO_PICTURES[kind])))
    assert "0x" not in error.sentence  # no object's address
    assert error.value == f"{len(NO_PICTURES[kind])} bytes"


def test_no_program_is_started_for_a_postscript_file(monkeypatch: pytest.MonkeyPatch) -> None:
    started = []
    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *args: started.append(args))
    assert Image.open(io.BytesIO(EPS)).format == "EPS"
    refused(lambda: decode(FIELD, EPS))
    assert not started


Image.init()
FORMS: dict[str, dict[str, object]] = {
    "PNG": {"exif": exif(6, maker="maker")},
    "JPEG": {"exif": exif(6, maker="maker")},
    "WEBP": {"exif": exif(6, maker="maker")},
    "GIF": {"save_all": True, "append_images": [picture(24, 18, seed=1)]},
    "TIFF": {},
    "BMP": {},
} | ({"AVIF": {}} if "AVIF" in Image.SAVE else {})


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "BMP"])
@pytest.mark.parametrize("part", [0.1, 0.3, 0.5, 0.8])
def test_a_picture_cut_short_is_refused(form: str, part: float) -> None:
    content = file_of(picture(64, 64), form)
    refused(lambda: decode(FIELD, content[: int(len(content) * part)]))


def damaged(content: bytes, chance: random.Random) -> bytes:
    """Return a file with some bytes changed, removed or added, most of them near its start."""
    made = bytearray(content)
    for _ in range(chance.choice((1, 1, 2, 4, 16))):
        place = chance.randrange(min(len(made), 200) if chance.random() < 0.7 else len(made))
        change = chance.random()
        if change < 0.7:
            made[place] = chance.choice((0, 1, 127, 128, 255, chance.randrange(256)))
        elif change < 0.85:
            del made[place : place + chance.randrange(1, 20)]
        else:
            made[place:place] = chance.randbytes(chance.randrange(1, 9))
    return bytes(made)


def is_picture(content: bytes) -> bool:
    try:
        return decode(FIELD, content).mode == "RGB"
    except UnitError:
        return False


@pytest.mark.parametrize("form", FORMS)
def test_a_damaged_file_is_read_or_refused(form: str) -> None:
    content = file_of(picture(24, 18), form, **FORMS[form])
    chance = random.Random(form)
    pictures = sum(is_picture(damaged(content, chance)) for _ in range(400))
    assert 0 < pictures < 400  # both outcomes occurred


@pytest.mark.parametrize("form", FORMS)
def test_a_file_cut_anywhere_is_read_or_refused(form: str) -> None:
    content = file_of(picture(24, 18), form, **FORMS[form])
    pictures = [is_picture(content[:length]) for length in range(0, len(content), 7)]
    assert not any(pictures[: len(pictures) // 4])


# Masks


def brightness(content: bytes) -> np.ndarray:
    mask = decode_mask(FIELD, content)
    assert mask.mode == "F"
    return np.asarray(mask)


def test_a_mask_is_its_brightness_from_0_to_1() -> None:
    every = Image.fromarray(np.arange(256, dtype=np.uint8).reshape(16, 16))
    for image in (every, every.convert("RGB"), every.convert("RGBA"), every.convert("LA")):
        made = brightness(file_of(image))
        assert made.shape == (16, 16)
        assert made.flatten().tolist() == pytest.approx([level / 255 for level in range(256)], abs=1e-7)
        assert made.min() == 0
        assert made.max() == 1


def test_colours_of_a_mask_count_by_their_luma() -> None:
    image = Image.new("RGB", (4, 1))
    for x, colour in enumerate((RED, GREEN, BLUE, (255, 255, 0))):
        image.putpixel((x, 0), colour)
    expected = [0.299, 0.587, 0.114, 0.886]  # ITU-R BT.601
    assert brightness(file_of(image))[0].tolist() == pytest.approx(expected, abs=0.5 / 255 + 1e-3)


def test_the_transparent_parts_of_a_mask_are_black() -> None:
    image = Image.new("RGBA", (4, 1), (255, 255, 255, 0))
    for x, alpha in enumerate((0, 102, 255)):
        image.putpixel((x, 0), (255, 255, 255, alpha))
    for form, options in (("PNG", {}), ("WEBP", {"lossless": True, "exact": True}), ("TIFF", {})):
        made = brightness(file_of(image, form, **options))[0]
        assert made.tolist() == pytest.approx([0.0, 0.4, 1.0, 0.0], abs=1 / 255)
        assert made[0] == made[3] == 0


def test_transparent_colours_of_a_mask_are_black() -> None:
    palette = Image.new("P", (3, 1))
    palette.putpalette([*WHITE, *WHITE, 0, 0, 0])
    for x in range(3):
        palette.putpixel((x, 0), x)
    assert brightness(file_of(palette))[0].tolist() == [1, 1, 0]
    assert brightness(file_of(palette, transparency=1))[0].tolist() == [1, 0, 0]
    grey = Image.new("LA", (2, 1), (255, 255))
    grey.putpixel((1, 0), (255, 51))
    assert brightness(file_of(grey))[0].tolist() == pytest.approx([1.0, 0.2], abs=1 / 255)


def test_masks_of_every_depth_run_from_0_to_1() -> None:
    deep = Image.fromarray(np.array([[0, 13107, 65535]], dtype=np.uint16))
    for form in ("PNG", "TIFF"):
        assert brightness(file_of(deep, form))[0].tolist() == pytest.approx([0.0, 0.2, 1.0])
    one_bit = Image.new("1", (2, 1))
    one_bit.putpixel((1, 0), 1)
    assert brightness(file_of(one_bit))[0].tolist() == [0, 1]
    floats = Image.fromarray(np.array([[0.0, 0.4, 1.0]], dtype=np.float32))
    assert brightness(file_of(floats, "TIFF"))[0].tolist() == pytest.approx([0.0, 0.4, 1.0])


@pytest.mark.parametrize(
    ("size", "kept"),
    [
        ((1024, 1024), (1024, 1024)),
        ((1024, 700), (1024, 700)),
        ((64, 48), (64, 48)),
        ((1, 1), (1, 1)),
        ((2048, 1024), (1024, 512)),
        ((1024, 3072), (341, 1024)),
        ((1025, 1025), (1024, 1024)),
        ((5000, 1), (1024, 1)),
        ((1, 5000), (1, 1024)),
    ],
    ids=str,
)
def test_a_large_mask_is_shrunk_and_keeps_its_aspect_ratio(size: tuple[int, int], kept: tuple[int, int]) -> None:
    assert MAX_MASK_SIDE == 1024
    made = decode_mask(FIELD, file_of(Image.new("L", size, 255)))
    assert made.size == kept
    assert made.getextrema() == (1.0, 1.0)


def test_a_pixel_of_a_shrunk_mask_is_the_mean_over_its_area() -> None:
    levels = np.zeros((2048, 2048), dtype=np.uint8)
    levels[:, :1000] = 255
    levels[512:1024, 1536:][::2] = 255  # every other row
    made = brightness(file_of(Image.fromarray(levels)))
    assert (made[:200, :500] == 1).all()
    assert (made[:200, 500:] == 0).all()
    assert made[256:512, 768:].flatten().tolist() == pytest.approx([0.5] * 256 * 256, abs=1 / 255)


@pytest.mark.parametrize("orientation", SIDES)
def test_a_mask_is_turned_by_its_exif_orientation(orientation: int) -> None:
    upright = np.asarray(picture(32, 24, seed=1).convert("L").convert("RGB"))
    made = brightness(file_of(laid(upright, orientation), "PNG", exif=exif(orientation)))
    assert made.shape == (24, 32)
    assert abs(made - upright[..., 0] / 255).max() <= 1e-6


@pytest.mark.parametrize("form", ["GIF", "WEBP", "PNG", "TIFF"])
def test_the_first_frame_of_an_animated_mask_is_used(form: str) -> None:
    frames = [Image.new("L", (8, 8), level) for level in (255, 0, 128)]
    options = {"lossless": True} if form == "WEBP" else {}
    assert (brightness(file_of(frames[0], form, save_all=True, append_images=frames[1:], **options)) == 1).all()


@pytest.mark.parametrize("kind", [*NO_PICTURES, *HUGE])
def test_a_mask_is_refused_like_a_picture(kind: str) -> None:
    content = (NO_PICTURES | HUGE)[kind]
    refusals = [refused(lambda read=read: read(FIELD, content)) for read in (decode, decode_mask)]
    assert refusals[0].sentence == refusals[1].sentence
    assert refusals[0].value == refusals[1].value


@pytest.mark.parametrize("form", FORMS)
def test_a_damaged_mask_is_read_exactly_if_it_is_read_as_a_picture(form: str) -> None:
    content = file_of(picture(24, 18), form, **FORMS[form])
    chance = random.Random(form)
    for _ in range(100):
        broken = damaged(content, chance)
        if is_picture(broken):
            made = brightness(broken)
            assert made.min() >= 0
            assert made.max() <= 1
        else:
            refused(lambda broken=broken: decode_mask(FIELD, broken))

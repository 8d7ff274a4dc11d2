"""The features of a large reference's squares, averaged to those of one picture."""

import pytest
import torch
from makers import picture, text_of
from PIL import Image
from small_host import call, unit
from torch.nn import functional

from lib_ipadapter.engine.session import Session
from lib_ipadapter.pictures.preprocess import to_levels
from lib_ipadapter.weights.clip_vision import Features
from lib_ipadapter.weights.enhance import enhanced, squares_of


def features(seed: int, side: int = 3, width: int = 5) -> Features:
    torch.manual_seed(seed)
    return Features(torch.randn(1, 4), torch.randn(1, 1 + side * side, width))


@pytest.mark.parametrize("count", [1, 2, 3])
def test_squares_are_ordered_row_by_row(count: int) -> None:
    large = picture(count * 6, count * 6, 1)
    squares = squares_of(to_levels(large), count)
    for i, square in enumerate(squares):
        left, upper = 6 * (i % count), 6 * (i // count)
        assert torch.equal(square, to_levels(large.crop((left, upper, left + 6, upper + 6))))
    assert len(squares) == count * count


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("ratio", [0.0, 0.3, 1.0])
def test_each_position_is_the_mean_of_the_finer_ones_in_it(count: int, ratio: float) -> None:
    """This is how ComfyUI arranges, pools and mixes the hidden states of several references."""
    whole, squares = features(0), [features(1 + i) for i in range(count * count)]
    rows = [
        torch.cat([square.hidden[0, 1:].view(3, 3, 5) for square in squares[row * count : (row + 1) * count]], dim=1)
        for row in range(count)
    ]
    pooled = functional.adaptive_avg_pool2d(torch.cat(rows).permute(2, 0, 1)[None], 3)[0].flatten(1).T
    token = torch.stack([square.hidden[0, 0] for square in squares]).mean(dim=0)
    expected = ratio * whole.hidden[0] + (1 - ratio) * torch.cat([token[None], pooled])
    made = enhanced(whole, squares, count, ratio)
    assert torch.allclose(made.hidden[0], expected, atol=1e-6)
    mean = torch.stack([square.embed for square in squares]).mean(dim=0)
    assert torch.allclose(made.embed, ratio * whole.embed + (1 - ratio) * mean, atol=1e-6)


def test_enhancing_does_not_change_a_plain_picture(host) -> None:
    session, plain = Session(host), text_of(Image.new("RGB", (90, 30), (200, 40, 40)))
    expected = call(host, session, [unit(images=[plain])])
    assert torch.allclose(call(host, session, [unit(images=[plain], enhance=3)]), expected, atol=1e-5)


@pytest.mark.parametrize("model", ["base", "plus"])
def test_the_ratio_is_the_share_of_the_whole(host, model: str) -> None:
    session = Session(host)
    photo = {"model": model, "images": [text_of(picture(90, 60, 3))]}
    whole, half, squares = (
        call(host, session, [unit(**photo, enhance=2, enhance_ratio=ratio)]) for ratio in (1.0, 0.5, 0.0)
    )
    assert torch.allclose(whole, call(host, session, [unit(**photo)]), atol=1e-5)
    assert not torch.allclose(half, whole, atol=1e-3)
    assert not torch.allclose(half, squares, atol=1e-3)


def test_with_ratio_0_only_the_squares_are_used(host) -> None:
    """Four equal squares equal one of them, because image embeddings are averaged."""
    session = Session(host)
    part = picture(28, 28, 4)
    four = Image.new("RGB", (56, 56))
    for corner in ((0, 0), (28, 0), (0, 28), (28, 28)):
        four.paste(part, corner)
    made = call(host, session, [unit(images=[text_of(four)], enhance=2, enhance_ratio=0)])
    assert torch.allclose(made, call(host, session, [unit(images=[text_of(part)])]), atol=1e-5)

"""Noise pictures: each kind's formula and limits, and that they depend only on the seed."""

import random

import numpy as np
import pytest
import torch
from torch import Generator, Tensor
from torchvision.transforms import ElasticTransform

from lib_ipadapter.pictures.noise import NOISES, add_noise
from lib_ipadapter.unit.unit import FIELDS

SHAPE = (3, 64, 48)
"""Taller than wide, so that swapping the two is noticed."""


def levels(shape: tuple[int, ...] = SHAPE, seed: int = 3) -> Tensor:
    return torch.rand(shape, generator=Generator().manual_seed(seed))


def even(level: float, side: int = 200) -> Tensor:
    return torch.full((3, side, side), level)


def test_every_kind_of_noise_of_a_unit_is_tested() -> None:
    assert set(NOISES) | {"none"} == set(FIELDS["noise_type"].kind.options)


@pytest.mark.parametrize("kind", ["fade", "dissolve", "gaussian"])
def test_strength_0_does_not_change_the_picture(kind: str) -> None:
    assert torch.equal(add_noise(kind, 0.0, levels(), 5), levels())


@pytest.mark.parametrize("kind", NOISES)
@pytest.mark.parametrize("strength", [0.0, 0.01, 0.5, 0.99, 1.0])
def test_values_stay_within_0_and_1(kind: str, strength: float) -> None:
    for given in (levels(), even(0.0, 48), even(1.0, 48)):
        made = add_noise(kind, strength, given, 5)
        assert made.shape == given.shape
        assert made.dtype == torch.float32
        assert made.min() >= 0
        assert made.max() <= 1


@pytest.mark.parametrize("kind", NOISES)
@pytest.mark.parametrize("strength", [0.3, 1.0])
def test_noise_depends_only_on_the_seed(kind: str, strength: float) -> None:
    first = add_noise(kind, strength, levels(), 5)
    torch.rand(7)
    assert torch.equal(first, add_noise(kind, strength, levels(), 5))
    other = add_noise(kind, strength, levels(), 6)
    assert (first != other).float().mean() > 0.25


@pytest.mark.parametrize("kind", NOISES)
def test_a_seed_can_be_as_large_as_a_digest(kind: str) -> None:
    small, large = (add_noise(kind, 0.5, levels(), seed) for seed in (0, 16**15 - 1))
    assert not torch.equal(small, large)


@pytest.mark.parametrize("kind", NOISES)
def test_global_random_generators_are_not_touched(kind: str) -> None:
    def states() -> tuple[object, ...]:
        return torch.get_rng_state().tolist(), random.getstate(), repr(np.random.get_state())

    before = states()
    add_noise(kind, 0.7, levels(), 5)
    assert states() == before


@pytest.mark.parametrize("kind", NOISES)
def test_the_input_picture_is_not_changed(kind: str) -> None:
    given = levels()
    add_noise(kind, 0.7, given, 5)
    assert torch.equal(given, levels())


# The kinds


def test_fading_goes_from_the_picture_to_uniform_noise() -> None:
    noise = add_noise("fade", 1.0, levels(), 5)
    assert torch.equal(noise, add_noise("fade", 1.0, even(0.0, 1).expand(SHAPE), 5))  # independent of the picture
    for strength in (0.25, 0.5, 0.9):
        made = add_noise("fade", strength, levels(), 5)
        assert torch.allclose(made, (1 - strength) * levels() + strength * noise, atol=1e-6)


def is_even_noise(values: Tensor) -> bool:
    """Return whether numbers are uniform from 0 to 1, by a histogram of ten bins."""
    shares = torch.histc(values, bins=10, min=0.0, max=1.0) / values.numel()
    return bool((shares - 0.1).abs().max() < 0.01)


def test_faded_and_dissolved_pictures_end_as_uniform_noise() -> None:
    for kind in ("fade", "dissolve"):
        assert is_even_noise(add_noise(kind, 1.0, even(0.3), 5))
    assert not is_even_noise(add_noise("gaussian", 1.0, even(0.3), 5))


@pytest.mark.parametrize("strength", [0.1, 0.5, 0.8, 1.0])
def test_dissolving_replaces_a_share_of_numbers_equal_to_its_strength(strength: float) -> None:
    given = even(2.0)  # no noise has this value
    kept = NOISES["dissolve"](given, strength, Generator().manual_seed(5)) == given
    assert float(kept.float().mean()) == pytest.approx(1 - strength, abs=0.01)
    replaced = NOISES["dissolve"](given, strength, Generator().manual_seed(5))[~kept]
    assert is_even_noise(replaced)


def test_dissolving_treats_each_channel_separately() -> None:
    kept = NOISES["dissolve"](even(2.0), 0.5, Generator().manual_seed(5)) == 2.0
    assert 0.2 < float((kept[0] & kept[1]).float().mean()) < 0.3


@pytest.mark.parametrize("strength", [0.1, 0.5, 1.0])
def test_gaussian_noise_has_its_strength_as_standard_deviation(strength: float) -> None:
    given = even(0.5)
    added = NOISES["gaussian"](given, strength, Generator().manual_seed(5)) - given
    assert float(added.mean()) == pytest.approx(0.0, abs=0.01)
    assert float(added.std()) == pytest.approx(strength, rel=0.02)
    assert float((added.abs() < strength).float().mean()) == pytest.approx(0.683, abs=0.01)
    assert torch.equal(add_noise("gaussian", strength, given, 5), (given + added).clamp(0, 1))


@pytest.mark.parametrize("strength", [0.25, 0.5, 1.0])
def test_shuffling_adds_white_grain_of_three_quarters_of_its_strength(strength: float) -> None:
    """image · (1 − n) + n: in a plain picture, moving pixels changes nothing."""
    black = NOISES["shuffle"](even(0.0), strength, Generator().manual_seed(5))
    inner = black[:, 80:-80, 80:-80]
    assert float(inner.mean()) == pytest.approx(0.0, abs=0.03)
    assert float(inner.std()) == pytest.approx(0.75 * strength, rel=0.03)
    white = NOISES["shuffle"](even(1.0), strength, Generator().manual_seed(5))[:, 80:-80, 80:-80]
    assert torch.allclose(white, torch.ones(()), atol=1e-5)
    grey = NOISES["shuffle"](even(0.4), strength, Generator().manual_seed(5))[:, 80:-80, 80:-80]
    assert torch.allclose(grey, 0.4 + 0.6 * inner, atol=1e-5)


def blobs() -> Tensor:
    """Return a smooth picture whose parts all differ."""
    coarse = torch.rand(1, 3, 6, 6, generator=Generator().manual_seed(2))
    return torch.nn.functional.interpolate(coarse, (200, 200), mode="bicubic", align_corners=True)[0].clamp(0, 1)


def difference(first: Tensor, second: Tensor) -> float:
    return float((first - second)[:, 20:-20, 20:-20].abs().mean())


def test_shuffling_with_strength_0_flips_and_slightly_distorts_the_picture() -> None:
    made = add_noise("shuffle", 0.0, blobs(), 5)
    assert 0 < difference(made, blobs().flip(1, 2)) < 0.05
    for others in (blobs(), blobs().flip(1), blobs().flip(2)):
        assert difference(made, others) > 0.1


@pytest.mark.parametrize("strength", [0.0, 0.2, 0.5, 0.9, 1.0])
def test_shuffling_equals_torchvisions_elastic_transform_flipped_with_grain(strength: float) -> None:
    """Except at the edge, which torchvision's class and function mix with black in two different ways."""
    transform = ElasticTransform(alpha=75.0, sigma=(1 - strength) * 3.5)
    with torch.random.fork_rng():
        torch.manual_seed(5)
        warped = transform(blobs()).flip(1, 2)
    grain = NOISES["shuffle"](even(0.0), strength, Generator().manual_seed(5))
    made = NOISES["shuffle"](blobs(), strength, Generator().manual_seed(5))
    inner = np.s_[:, 40:-40, 40:-40]
    assert torch.allclose(made[inner], (warped * (1 - grain) + grain)[inner], atol=1e-5)


def test_shuffling_moves_pixels_further_with_more_strength() -> None:
    """The unmoved picture gets the same grain, so that only the movement differs."""
    turned = blobs().flip(1, 2)
    grain = [NOISES["shuffle"](even(0.0), strength, Generator().manual_seed(5)) for strength in (0.0, 0.5, 0.8)]
    made = [NOISES["shuffle"](blobs(), strength, Generator().manual_seed(5)) for strength in (0.0, 0.5, 0.8)]
    differences = [difference(one, turned * (1 - n) + n) for one, n in zip(made, grain, strict=True)]
    assert differences[0] < differences[1] < differences[2]


def test_shuffling_moves_pixels_equally_far_in_both_directions() -> None:
    """By up to 37.5 pixels, evenly: 21.65 in the mean square, of which a blur of 3.5 pixels leaves 1 in 2 √π · 3.5."""
    height, width = 200, 500
    across, down = torch.arange(width) / width, torch.arange(height)[:, None] / height
    for ramp, side in ((across, width), (down, height)):
        given = ramp.expand(3, height, width)
        made = NOISES["shuffle"](given, 0.0, Generator().manual_seed(5)).flip(1, 2)
        moved = (made - given)[:, 40:-40, 40:-40] * side
        assert float(moved.square().mean().sqrt()) == pytest.approx(1.745, rel=0.1)

"""Several references become one: every mode against values calculated by hand and against common formulas."""

import pytest
import torch
from torch import Tensor

from lib_ipadapter.unit.combine import MERGED, TOKENS_MERGED, merge
from lib_ipadapter.unit.unit import FIELDS

MODES = MERGED | TOKENS_MERGED
TWO = [[3.0, 6.0, 0.0, -1.0], [4.0, -8.0, 0.0, -1.0]]
"""Across the two references the columns have the norms 5, 10, 0 and √2."""
THREE = [[1.0, -2.0, 8.0], [2.0, 4.0, 0.0], [-2.0, 4.0, -1.0]]
"""Across the three references the columns have the norms 3, 6 and √65."""


def merged(mode: str, each: list[list[float]] | Tensor, *weights: float) -> Tensor:
    return merge(MODES[mode], torch.as_tensor(each), weights)


def test_every_mode_of_a_unit_is_tested() -> None:
    assert set(MERGED) | set(TOKENS_MERGED) | {"concat"} == set(FIELDS["combine"].kind.options)
    assert not set(MERGED) & set(TOKENS_MERGED)


@pytest.mark.parametrize(
    ("mode", "each", "weights", "expected"),
    [
        ("average", TWO, (1, 1), [3.5, -1.0, 0.0, -1.0]),
        ("average", TWO, (1, 0.25), [3.2, 3.2, 0.0, -1.0]),
        ("average", TWO, (1, -1), [-0.5, 7.0, 0.0, 0.0]),
        ("average", TWO, (-1, -3), [-3.75, 4.5, 0.0, 1.0]),
        ("average", THREE, (1, 2, 1), [0.75, 2.5, 1.75]),
        ("add", TWO, (1, 1), [7.0, -2.0, 0.0, -2.0]),
        ("add", TWO, (0.5, -2), [-6.5, 19.0, 0.0, 1.5]),
        ("add", THREE, (1, 2, 0.5), [4.0, 8.0, 7.5]),
        ("subtract", TWO, (1, 1), [-1.0, 14.0, 0.0, 0.0]),
        ("subtract", TWO, (2, 0.5), [4.0, 16.0, 0.0, -1.5]),
        ("subtract", THREE, (1, 1, 1), [1.0, -6.0, 8.5]),
        ("subtract", THREE, (1, 1, 3), [3.0, -10.0, 9.5]),
        ("norm average", TWO, (1, 1), [0.7, -0.1, 0.0, -0.707107]),
        ("norm average", TWO, (2, 0.5), [0.8, 0.4, 0.0, -0.883883]),
        ("norm average", THREE, (1, 1, 1), [0.111111, 0.333333, 0.289414]),
        ("norm average", THREE, (3, 0, -3), [1.0, -1.0, 1.116313]),
        ("max", TWO, (1, 1), [4.0, 6.0, 0.0, -1.0]),
        ("max", TWO, (2, 0.5), [6.0, 12.0, 0.0, -0.5]),
        ("max", THREE, (1, -1, 1), [1.0, 4.0, 8.0]),
        ("min", TWO, (1, 1), [3.0, -8.0, 0.0, -1.0]),
        ("min", TWO, (2, 0.5), [2.0, -4.0, 0.0, -2.0]),
        ("min", THREE, (1, -1, 1), [-2.0, -4.0, -1.0]),
        ("average tokens", TWO, (1, 1), [3.5, -1.0, 0.0, -1.0]),
        ("average tokens", TWO, (1, 0.25), [3.2, 3.2, 0.0, -1.0]),
        ("average tokens", THREE, (1, 2, 1), [0.75, 2.5, 1.75]),
    ],
)
def test_a_mode_with_weights_gives_the_values_calculated_by_hand(
    mode: str, each: list[list[float]], weights: tuple[float, ...], expected: list[float]
) -> None:
    assert merged(mode, each, *weights)[0].tolist() == pytest.approx(expected, abs=2e-6)


FORMULAS = {
    "average": lambda each: each.mean(dim=0),
    "add": lambda each: each.sum(dim=0),
    "subtract": lambda each: each[0] - each[1:].mean(dim=0),
    "norm average": lambda each: (each / torch.norm(each, dim=0, keepdim=True)).mean(dim=0),
    "max": lambda each: each.max(dim=0).values,
    "min": lambda each: each.min(dim=0).values,
    "average tokens": lambda each: each.mean(dim=0),
}
"""The formulas of ComfyUI's nodes, without weights."""


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("shape", [(2, 5), (3, 1280), (4, 7, 5), (16, 3, 2)], ids=str)
def test_equal_weights_give_the_common_formula(mode: str, shape: tuple[int, ...]) -> None:
    each = torch.randn(shape, generator=torch.Generator().manual_seed(len(mode)))
    made = merged(mode, each, *[1.0] * shape[0])
    assert torch.allclose(made[0], FORMULAS[mode](each), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("shape", [(2, 5), (3, 7, 5)], ids=["pooled", "hidden states"])
def test_the_result_is_one_reference_of_the_same_shape(mode: str, shape: tuple[int, ...]) -> None:
    each = torch.randn(shape)
    made = merged(mode, each, *(0.5, 2.0, -1.0)[: shape[0]])
    assert made.shape == (1, *shape[1:])
    assert made.dtype == torch.float32


@pytest.mark.parametrize("mode", MODES)
def test_hidden_states_are_merged_elementwise(mode: str) -> None:
    each, weights = torch.randn(3, 7, 5), (0.5, 2.0, -1.0)
    flat = merged(mode, each.flatten(1), *weights)
    assert torch.equal(merged(mode, each, *weights).flatten(1), flat)


@pytest.mark.parametrize("mode", ["average", "add", "max", "min", "average tokens"])
def test_one_reference_stays_the_same(mode: str) -> None:
    each = torch.randn(1, 7, 5)
    assert torch.equal(merged(mode, each, 1.0), each)


@pytest.mark.parametrize("mode", ["average", "average tokens"])
def test_an_average_depends_only_on_the_ratio_of_the_weights(mode: str) -> None:
    each = torch.randn(3, 7, 5)
    assert torch.allclose(merged(mode, each, 1.0, 0.5, -2.0), merged(mode, each, 2.0, 1.0, -4.0), atol=1e-6)


@pytest.mark.parametrize("mode", MODES)
def test_the_order_of_references_matters_for_subtraction_only(mode: str) -> None:
    each = torch.randn(3, 7, 5)
    turned = merged(mode, each[[2, 0, 1]], 3.0, 1.0, 2.0)
    assert torch.allclose(merged(mode, each, 1.0, 2.0, 3.0), turned, atol=1e-6) == (mode != "subtract")


def test_what_is_zero_in_all_references_stays_zero() -> None:
    """Dividing by the norm across the references would give NaN."""
    assert torch.equal(merged("norm average", torch.zeros(3, 4), 1.0, 1.0, 1.0), torch.zeros(1, 4))


@pytest.mark.parametrize("mode", MODES)
def test_references_are_not_changed(mode: str) -> None:
    each = torch.randn(3, 7, 5)
    before = each.clone()
    merged(mode, each, 0.5, 2.0, -1.0)
    assert torch.equal(each, before)

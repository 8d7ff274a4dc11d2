"""The mathematics of one site against golden values, a plain reference and the authors' and diffusers' processors."""

from collections.abc import Sequence

import pytest
import torch
from golden import stream
from torch import Tensor

from lib_ipadapter.attention import COND, UNCOND, add_image_attention, make_bank, split_heads

Units = Sequence[tuple[Tensor, Tensor, float]]


def plainly(attended: Tensor, query: Tensor, units: Units, heads: int, roles: Sequence[int]) -> Tensor:
    """Return the definition of image attention, one row, one unit and one head at a time, in float64."""
    out = attended.double().clone()
    for keys, values, weight in units:
        for row, role in enumerate(roles):
            for head in range(heads):
                dims = slice(head * keys.shape[-1] // heads, (head + 1) * keys.shape[-1] // heads)
                q, k, v = query[row, :, dims].double(), keys[role, :, dims].double(), values[role, :, dims].double()
                out[row, :, dims] += weight * ((q @ k.T) * q.shape[-1] ** -0.5).softmax(-1) @ v
    return out


def random_units(*tokens_and_weights: tuple[int, float], width: int = 48) -> Units:
    generator = torch.Generator().manual_seed(1)
    return [
        (torch.randn(2, t, width, generator=generator), torch.randn(2, t, width, generator=generator), w)
        for t, w in tokens_and_weights
    ]


ROLES = [
    (COND, UNCOND),
    (UNCOND, COND),
    (COND,),
    (UNCOND, UNCOND, UNCOND),
    (COND, COND, COND, UNCOND, UNCOND),
    (COND, UNCOND, COND, UNCOND, UNCOND, COND),
]
UNITS = [((4, 1.0),), ((4, 0.3), (16, -2.0)), ((1, 1.0), (257, 5.0), (16, -5.0))]


@pytest.mark.parametrize("roles", ROLES)
@pytest.mark.parametrize("units", UNITS)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_image_attention_is_its_definition(roles: tuple, units: tuple, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    attended, query = (torch.randn(len(roles), 33, 48).to(dtype) for _ in range(2))
    given = random_units(*units)
    made = add_image_attention(attended, query, make_bank(given, 6, query), roles)
    assert made.dtype == dtype
    tolerance = {torch.float64: 1e-12, torch.float32: 1e-5, torch.bfloat16: 0.05}[dtype]
    expected = plainly(attended, query, given, 6, roles)
    assert (made.double() - expected).abs().max() <= tolerance * expected.abs().max()


def test_the_golden_value_of_one_adapter() -> None:
    x, text, image = stream(1000, 2, 6, 64), stream(1001, 2, 7, 48), stream(1002, 2, 4, 48)
    to_q, *others = (0.2 * stream(0, 64, 64), *(0.2 * stream(j, 64, 48) for j in (1, 2, 3, 4)))
    to_k, to_v, image_k, image_v = others
    query = x @ to_q.T
    q, k, v = (split_heads(t, 2) for t in (query, text @ to_k.T, text @ to_v.T))
    attended = torch.nn.functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
    bank = make_bank([(image @ image_k.T, image @ image_v.T, 0.6)], 2, query)  # the two rows stand for the two roles
    made = add_image_attention(attended, query, bank, (0, 1))
    assert attended.flatten()[:3].tolist() == pytest.approx([-0.022122, -0.059780, 0.012316], abs=1e-6)
    assert made.flatten()[:3].tolist() == pytest.approx([-0.047513, -0.101711, -0.011986], abs=1e-6)
    assert made.flatten()[-3:].tolist() == pytest.approx([0.084629, -0.110756, 0.100919], abs=1e-6)


def test_what_came_in_is_left_as_it_was() -> None:
    attended, query = torch.randn(2, 9, 48), torch.randn(2, 9, 48)
    before = attended.clone(), query.clone()
    bank = make_bank(random_units((4, 1.0), (8, 1.0)), 6, query)
    add_image_attention(attended, query, bank, (0, 1))
    assert torch.equal(attended, before[0])
    assert torch.equal(query, before[1])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_rows_do_not_depend_on_the_rows_beside_them(dtype: torch.dtype) -> None:
    attended, query = torch.randn(4, 33, 48, dtype=dtype), torch.randn(4, 33, 48, dtype=dtype)
    roles = (0, 0, 1, 1)
    bank = make_bank(random_units((4, 1.0), (16, 0.5)), 6, query)
    together = add_image_attention(attended, query, bank, roles)
    for row in range(4):
        alone = add_image_attention(attended[row : row + 1], query[row : row + 1], bank, roles[row : row + 1])
        assert torch.allclose(together[row], alone[0], rtol=1e-2 if dtype == torch.bfloat16 else 1e-5, atol=1e-5)


def test_changing_the_cond_tokens_leaves_uncond_rows_as_they_are() -> None:
    attended, query = torch.randn(2, 9, 48), torch.randn(2, 9, 48)
    (keys, values, weight), (other, more, _) = random_units((4, 1.0), (4, 1.0))
    changed = (torch.stack([other[0], keys[1]]), torch.stack([more[0], values[1]]), weight)
    first, second = (
        add_image_attention(attended, query, make_bank([unit], 6, query), (COND, UNCOND))
        for unit in ((keys, values, weight), changed)
    )
    assert not torch.allclose(first[0], second[0])
    assert torch.equal(first[1], second[1])


def test_n_equal_references_laid_end_to_end_are_one() -> None:
    attended, query = torch.randn(2, 9, 48), torch.randn(2, 9, 48)
    (keys, values, _), *_ = random_units((4, 1.0))
    one = add_image_attention(attended, query, make_bank([(keys, values, 1.0)], 6, query), (0, 1))
    three = make_bank([(keys.repeat(1, 3, 1), values.repeat(1, 3, 1), 1.0)], 6, query)
    assert torch.allclose(one, add_image_attention(attended, query, three, (0, 1)), atol=1e-5)


def half_runs_here() -> bool:
    try:
        torch.nn.functional.scaled_dot_product_attention(*(torch.ones(1, 1, 2, 8, dtype=torch.half) for _ in range(3)))
    except RuntimeError:
        return False
    return True


@pytest.mark.skipif(not half_runs_here(), reason="this torch has no half precision products on a CPU")
@pytest.mark.parametrize("size", [1.0, 100.0, 65504.0])
def test_half_precision_gives_no_nan_for_any_finite_input(size: float) -> None:
    torch.manual_seed(0)
    query = (torch.randn(2, 64, 48).clamp(-1, 1) * size).half()
    units = [
        (size * torch.randn(2, t, 48).clamp(-1, 1), size * torch.randn(2, t, 48), w) for t, w in ((4, 5.0), (16, -5.0))
    ]
    bank = make_bank(units, 6, query)
    assert torch.isfinite(bank.keys).all()
    assert torch.isfinite(bank.values).all()
    assert not add_image_attention(torch.zeros_like(query), query, bank, (0, 1)).isnan().any()

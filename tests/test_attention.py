"""The mathematics of one site against golden values, a naive loop, and the authors' and diffusers' processors."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from golden import stream
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from lib_ipadapter.networks.attention import Term, add_image_attention, make_bank, split_heads
from lib_ipadapter.networks.scaling import SCALED
from lib_ipadapter.port import COND, UNCOND
from lib_ipadapter.unit.unit import FIELDS

Units = Sequence[Term]


def scaled(scaling: str, k: Tensor, v: Tensor, weight: float, width: int) -> tuple[Tensor, Tensor, float]:
    """Return one head's keys, values and the factor of its attention, by each scaling's definition."""
    penalised = weight * width / 1280
    if scaling == "V only":
        return k, v, weight
    if scaling == "K+V":
        return weight * k, weight * v, 1.0
    if scaling == "K+V w/ C penalty":
        return penalised * k, penalised * v, 1.0
    assert scaling == "K+mean(V) w/ C penalty"
    mean = v.mean(dim=0)
    return penalised * k, v - mean + penalised * mean, 1.0


def plainly(attended: Tensor, query: Tensor, units: Units, heads: int, kinds: Sequence[int]) -> Tensor:
    """Return the definition of image attention, one row, one unit and one head at a time, in float64."""
    out = attended.double().clone()
    for term in units:
        keys, values = term.keys, term.values
        width = keys.shape[-1]
        region = torch.ones(query.shape[1]) if term.region is None else term.region
        for row, kind in enumerate(kinds):
            for head in range(heads):
                dims = slice(head * width // heads, (head + 1) * width // heads)
                q, k, v = query[row, :, dims].double(), keys[kind, :, dims].double(), values[kind, :, dims].double()
                k, v, after = scaled(term.scaling, k, v, term.weight, width)
                image = after * ((q @ k.T) * q.shape[-1] ** -0.5).softmax(-1) @ v
                out[row, :, dims] += region.double()[:, None] * image
    return out


def random_units(*tokens_and_weights: tuple[int, float], width: int = 48, kinds: int = 2) -> Units:
    generator = torch.Generator().manual_seed(1)
    return [
        Term(torch.randn(kinds, t, width, generator=generator), torch.randn(kinds, t, width, generator=generator), w)
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


DTYPES = [torch.float64, torch.float32, torch.bfloat16]
"""On a CPU the first two take one path; the last takes the path of all other devices."""


def assert_close(made: Tensor, expected: Tensor) -> None:
    """Check a result against its definition; bfloat16 keeps only two digits, and each step rounds again."""
    tolerance = {torch.float64: 1e-12, torch.float32: 1e-5, torch.bfloat16: 0.05}[made.dtype]
    assert (made.double() - expected).abs().max() <= tolerance * expected.abs().max()


@pytest.mark.parametrize("roles", ROLES)
@pytest.mark.parametrize("units", UNITS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_image_attention_equals_its_definition(roles: tuple, units: tuple, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    attended, query = (torch.randn(len(roles), 33, 48).to(dtype) for _ in range(2))
    given = random_units(*units)
    made = add_image_attention(attended, query, make_bank(given, 6, query), roles)
    assert made.dtype == dtype
    assert_close(made, plainly(attended, query, given, 6, roles))


def test_one_adapter_gives_the_golden_values() -> None:
    x, text, image = stream(1000, 2, 6, 64), stream(1001, 2, 7, 48), stream(1002, 2, 4, 48)
    to_q, *others = (0.2 * stream(0, 64, 64), *(0.2 * stream(j, 64, 48) for j in (1, 2, 3, 4)))
    to_k, to_v, image_k, image_v = others
    query = x @ to_q.T
    q, k, v = (split_heads(t, 2) for t in (query, text @ to_k.T, text @ to_v.T))
    attended = torch.nn.functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
    bank = make_bank([Term(image @ image_k.T, image @ image_v.T, 0.6)], 2, query)  # one row per role
    made = add_image_attention(attended, query, bank, (0, 1))
    assert attended.flatten()[:3].tolist() == pytest.approx([-0.022122, -0.059780, 0.012316], abs=1e-6)
    assert made.flatten()[:3].tolist() == pytest.approx([-0.047513, -0.101711, -0.011986], abs=1e-6)
    assert made.flatten()[-3:].tolist() == pytest.approx([0.084629, -0.110756, 0.100919], abs=1e-6)


class Kernels(TorchDispatchMode):
    """Counts the operations that compute or copy something."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if not func.is_view:
            self.names.append(func.name())
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("kinds", [(0, 1), (1, 0), (1, 1), (0,), (1, 1, 0, 0), (0, 0, 0, 1)])
@pytest.mark.parametrize("masked", [False, True])
def test_a_term_takes_one_attention_and_one_addition(kinds: tuple, masked: bool) -> None:
    """Keys and values are arranged for the rows at the first call only, and nothing is copied afterwards."""
    terms = [replace(term, region=torch.rand(9) if masked else None) for term in random_units((4, 0.7), (16, 0.5))]
    attended, query = (torch.randn(len(kinds), 9, 48, dtype=torch.bfloat16) for _ in range(2))
    bank = make_bank(terms, 6, query)
    first = add_image_attention(attended, query, bank, kinds, (0.5,))
    with Kernels() as kernels:
        again = add_image_attention(attended, query, bank, kinds, (0.25,))
    attentions = [name for name in kernels.names if "scaled_dot_product" in name]
    additions = [name for name in kernels.names if "add" in name]
    assert (len(attentions), len(additions), len(kernels.names)) == (2, 2, 4), kernels.names
    assert not torch.equal(first, again), "the factor is of the call and not of the bank"


def test_inputs_are_not_changed() -> None:
    attended, query = torch.randn(2, 9, 48), torch.randn(2, 9, 48)
    before = attended.clone(), query.clone()
    bank = make_bank(random_units((4, 1.0), (8, 1.0)), 6, query)
    add_image_attention(attended, query, bank, (0, 1))
    assert torch.equal(attended, before[0])
    assert torch.equal(query, before[1])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_rows_do_not_depend_on_other_rows(dtype: torch.dtype) -> None:
    attended, query = torch.randn(4, 33, 48, dtype=dtype), torch.randn(4, 33, 48, dtype=dtype)
    roles = (0, 0, 1, 1)
    bank = make_bank(random_units((4, 1.0), (16, 0.5)), 6, query)
    together = add_image_attention(attended, query, bank, roles)
    for row in range(4):
        alone = add_image_attention(attended[row : row + 1], query[row : row + 1], bank, roles[row : row + 1])
        assert torch.allclose(together[row], alone[0], rtol=1e-2 if dtype == torch.bfloat16 else 1e-5, atol=1e-5)


def test_changing_the_cond_tokens_does_not_change_uncond_rows() -> None:
    attended, query = torch.randn(2, 9, 48), torch.randn(2, 9, 48)
    unit, other = random_units((4, 1.0), (4, 1.0))
    keys, values = (
        torch.stack([new[0], old[1]]) for new, old in ((other.keys, unit.keys), (other.values, unit.values))
    )
    first, second = (
        add_image_attention(attended, query, make_bank([unit], 6, query), (COND, UNCOND))
        for unit in (unit, Term(keys, values, unit.weight))
    )
    assert not torch.allclose(first[0], second[0])
    assert torch.equal(first[1], second[1])


def test_several_equal_references_equal_one() -> None:
    attended, query = torch.randn(2, 9, 48), torch.randn(2, 9, 48)
    (unit,) = random_units((4, 1.0))
    one = add_image_attention(attended, query, make_bank([unit], 6, query), (0, 1))
    three = make_bank([Term(unit.keys.repeat(1, 3, 1), unit.values.repeat(1, 3, 1), 1.0)], 6, query)
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
        Term(size * torch.randn(2, t, 48).clamp(-1, 1), size * torch.randn(2, t, 48), w)
        for t, w in ((4, 5.0), (16, -5.0))
    ]
    bank = make_bank(units, 6, query)
    assert torch.isfinite(bank.keys).all()
    assert torch.isfinite(bank.values).all()
    assert not add_image_attention(torch.zeros_like(query), query, bank, (0, 1)).isnan().any()


# What the weight multiplies


def test_every_scaling_of_a_unit_is_tested() -> None:
    assert set(SCALED) == set(FIELDS["scaling"].kind.options)


@pytest.mark.parametrize("scaling", SCALED)
@pytest.mark.parametrize("weight", [1.0, 0.3, -2.0, 5.0])
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_scaling_equals_its_definition(scaling: str, weight: float, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    attended, query = (torch.randn(3, 33, 48).to(dtype) for _ in range(2))
    (term,) = random_units((7, weight))
    given = [replace(term, scaling=scaling)]
    made = add_image_attention(attended, query, make_bank(given, 6, query), (0, 1, 0))
    assert_close(made, plainly(attended, query, given, 6, (0, 1, 0)))


@pytest.mark.parametrize("dtype", DTYPES)
def test_terms_of_different_scalings_can_be_combined(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    attended, query = (torch.randn(3, 33, 48).to(dtype) for _ in range(2))
    terms = random_units((4, 0.3), (7, -2.0), (1, 3.0), (16, 0.7))
    given = [replace(term, scaling=scaling) for term, scaling in zip(terms, SCALED, strict=True)]
    made = add_image_attention(attended, query, make_bank(given, 6, query), (0, 1, 0))
    assert_close(made, plainly(attended, query, given, 6, (0, 1, 0)))


def test_at_weight_1_and_full_width_all_scalings_are_equal() -> None:
    attended, query = torch.randn(2, 9, 1280), torch.randn(2, 9, 1280)
    (term,) = random_units((4, 1.0), width=1280)
    first, *others = (
        add_image_attention(attended, query, make_bank([replace(term, scaling=scaling)], 8, query), (0, 1))
        for scaling in SCALED
    )
    assert all(torch.allclose(first, other, atol=1e-5) for other in others)


def test_a_penalty_is_the_width_relative_to_the_widest() -> None:
    attended, query = torch.randn(2, 9, 320), torch.randn(2, 9, 320)
    (term,) = random_units((4, 2.0), width=320)
    penalised = replace(term, scaling="K+V w/ C penalty")
    plain = replace(term, scaling="K+V", weight=0.5)
    first, second = (
        add_image_attention(attended, query, make_bank([term], 8, query), (0, 1)) for term in (penalised, plain)
    )
    assert torch.equal(first, second)


# Regions


def regions(count: int, queries: int = 33) -> list[Tensor]:
    """Return soft regions with some positions outside and some fully inside."""
    generator = torch.Generator().manual_seed(4)
    return [(2 * torch.rand(queries, generator=generator) - 0.5).clamp(0, 1) for _ in range(count)]


@pytest.mark.parametrize("roles", ROLES)
@pytest.mark.parametrize("everywhere", [(), (0,), (1,), (2,), (0, 2)], ids=str)
@pytest.mark.parametrize("dtype", DTYPES)
def test_each_term_is_weighted_by_its_own_region(roles: tuple, everywhere: tuple, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    attended, query = (torch.randn(len(roles), 33, 48).to(dtype) for _ in range(2))
    terms = random_units((4, 1.0), (16, -2.0), (1, 0.5))
    given = [
        replace(term, region=None if i in everywhere else region)
        for i, (term, region) in enumerate(zip(terms, regions(3), strict=True))
    ]
    made = add_image_attention(attended, query, make_bank(given, 6, query), roles)
    assert made.dtype == dtype
    assert_close(made, plainly(attended, query, given, 6, roles))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("factors", [(1.0, 0.25), (-0.5, 1.0), (0.75, 0.3)], ids=str)
def test_a_factor_multiplies_the_terms_of_its_unit(factors: tuple, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    roles = (COND, UNCOND, UNCOND)
    attended, query = (torch.randn(3, 33, 48).to(dtype) for _ in range(2))
    first, second, third = random_units((4, 1.0), (16, -2.0), (1, 0.5))
    given = [first, replace(second, unit=1, region=regions(1)[0]), replace(third, unit=1)]
    made = add_image_attention(attended, query, make_bank(given, 6, query), roles, factors)
    weighted = [replace(term, weight=term.weight * factors[term.unit]) for term in given]
    assert_close(made, plainly(attended, query, weighted, 6, roles))


@pytest.mark.parametrize("scaling", SCALED)
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_region_multiplies_a_scaled_term(scaling: str, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    attended, query = (torch.randn(2, 33, 48).to(dtype) for _ in range(2))
    (term,), (region,) = random_units((7, 0.6)), regions(1)
    given = [replace(term, scaling=scaling, region=region)]
    made = add_image_attention(attended, query, make_bank(given, 6, query), (0, 1))
    assert_close(made, plainly(attended, query, given, 6, (0, 1)))


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_term_adds_nothing_outside_its_region(dtype: torch.dtype) -> None:
    attended, query = (torch.randn(3, 33, 48).to(dtype) for _ in range(2))
    region = (torch.arange(33) % 3 == 0).float()
    given = [replace(term, region=region) for term in random_units((4, 5.0), (7, -1.0))]
    made = add_image_attention(attended, query, make_bank(given, 6, query), (0, 0, 1))
    assert torch.equal(made[:, region == 0], attended[:, region == 0])
    assert (made[:, region == 1] != attended[:, region == 1]).any(dim=-1).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_region_that_covers_everything_changes_nothing(dtype: torch.dtype) -> None:
    attended, query = (torch.randn(3, 33, 48).to(dtype) for _ in range(2))
    given = random_units((4, 0.7), (7, -1.0))
    whole = [replace(term, region=torch.ones(33)) for term in given]
    made = [add_image_attention(attended, query, make_bank(terms, 6, query), (0, 0, 1)) for terms in (given, whole)]
    assert torch.allclose(*made, rtol=1e-2 if dtype == torch.bfloat16 else 1e-6, atol=1e-5)


@pytest.mark.parametrize("dtype", DTYPES)
def test_two_terms_in_two_halves_do_not_mix(dtype: torch.dtype) -> None:
    attended, query = (torch.randn(3, 32, 48).to(dtype) for _ in range(2))
    roles = (0, 0, 1)
    left = (torch.arange(32) % 8 < 4).float()  # of a picture of four rows and eight columns
    first, second = random_units((4, 0.7), (16, -1.5))
    both = make_bank([replace(first, region=left), replace(second, region=1 - left)], 6, query)
    made = add_image_attention(attended, query, both, roles)
    for term, half in ((first, left == 1), (second, left == 0)):
        alone = add_image_attention(attended, query, make_bank([term], 6, query), roles)
        assert torch.allclose(made[:, half], alone[:, half], rtol=1e-2 if dtype == torch.bfloat16 else 1e-5, atol=1e-5)


def test_regions_have_the_querys_precision_and_count_as_bytes() -> None:
    query = torch.randn(2, 33, 48).bfloat16()
    first, second = random_units((4, 1.0), (7, 1.0))
    bank = make_bank([first, replace(second, region=torch.rand(33))], 6, query)
    assert bank.regions[0] is None
    assert bank.regions[1] is not None
    assert bank.regions[1].dtype == torch.bfloat16
    assert bank.bytes == 2 * (2 * 2 * (4 + 7) * 48 + 33)


@pytest.mark.parametrize("dtype", DTYPES)
def test_inputs_with_regions_are_not_changed(dtype: torch.dtype) -> None:
    attended, query = (torch.randn(2, 33, 48).to(dtype) for _ in range(2))
    terms = random_units((4, 1.0), (8, 1.0))
    given = [replace(term, region=region) for term, region in zip(terms, regions(2), strict=True)]
    bank = make_bank(given, 6, query)
    before = [attended.clone(), query.clone(), bank.keys.clone(), bank.values.clone(), *regions(2)]
    made = [add_image_attention(attended, query, bank, (0, 1)) for _ in range(2)]
    after = [attended, query, bank.keys, bank.values, *(term.region for term in given)]
    assert all(torch.equal(one, other) for one, other in zip(before, after, strict=True))
    assert torch.equal(*made)


# More than two row kinds: each picture of a batch has its own reference


@pytest.mark.parametrize(
    "kinds", [(0, 2, 4, 1, 3, 5), (5, 5, 2, 2, 2, 0), (4,), (3, 3, 3), (1, 0, 3, 2, 5, 4)], ids=str
)
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
def test_every_row_attends_to_the_tokens_of_its_kind(kinds: tuple, masked: bool, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    attended, query = (torch.randn(len(kinds), 33, 48).to(dtype) for _ in range(2))
    given = random_units((4, 0.8), (7, -1.5), kinds=6)
    if masked:
        given = [replace(term, region=region) for term, region in zip(given, regions(2), strict=True)]
    made = add_image_attention(attended, query, make_bank(given, 6, query), kinds)
    assert_close(made, plainly(attended, query, given, 6, kinds))


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_picture_in_a_batch_equals_the_same_picture_alone(dtype: torch.dtype) -> None:
    attended, query = (torch.randn(6, 33, 48).to(dtype) for _ in range(2))
    (term,) = random_units((4, 0.8), kinds=6)
    together = add_image_attention(attended, query, make_bank([term], 6, query), (0, 2, 4, 1, 3, 5))
    for picture in range(3):
        own = Term(term.keys[2 * picture :][:2], term.values[2 * picture :][:2], 0.8)
        rows = [picture, 3 + picture]
        alone = add_image_attention(attended[rows], query[rows], make_bank([own], 6, query), (COND, UNCOND))
        assert torch.allclose(together[rows], alone, rtol=1e-2 if dtype == torch.bfloat16 else 1e-5, atol=1e-5)


def halves_here() -> list[torch.dtype]:
    return [torch.bfloat16, *([torch.half] if half_runs_here() else [])]


@pytest.mark.parametrize("dtype", halves_here())
@pytest.mark.parametrize("scaling", SCALED)
@pytest.mark.parametrize("size", [1.0, 100.0, 65504.0])
def test_half_precision_gives_no_nan_in_a_region_at_any_weight(scaling: str, dtype: torch.dtype, size: float) -> None:
    """Infinity times a region of 0 would be NaN as well."""
    torch.manual_seed(0)
    query = (torch.randn(2, 64, 48).clamp(-1, 1) * size).to(dtype)
    region = (torch.arange(64) % 4 / 3.0).float()
    terms = [
        Term(size * torch.randn(2, t, 48).clamp(-1, 1), size * torch.ones(2, t, 48), weight, scaling, region)
        for t, weight in ((4, 5.0), (257, -5.0), (1, 5.0))
    ]
    made = add_image_attention(torch.zeros_like(query), query, make_bank(terms, 6, query), (0, 1))
    assert not made.isnan().any()
    assert not made[:, region == 0].any()

"""PuLID's attention against golden values of the authors' processor, and a naive definition."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from golden import checksum, stream
from torch import Tensor
from torch.nn import functional

from lib_ipadapter.networks.attention import Term, add_image_attention, make_bank, split_heads
from lib_ipadapter.networks.orthogonal import METHODS
from lib_ipadapter.port import COND, UNCOND
from lib_ipadapter.unit.unit import FIELDS

GOLDEN = {
    ("neutral", 10): ((-0.019876, -0.054174, 0.008895), (0.103018, -0.049835, 0.033715), -0.000242, 0.038576, 0.246821),
    ("style", 10): ((-0.022194, -0.059738, 0.012116), (0.041508, -0.028196, 0.031763), 0.005682, 0.033904, 0.371030),
    ("fidelity", 10): ((-0.021851, -0.058872, 0.01158), (0.050987, -0.031469, 0.032135), 0.004783, 0.034015, 0.352062),
    ("neutral", 32): ((-0.026747, -0.059296, -0.007617), (0.047357, -0.015781, 0.029418), 0.005296, 0.036513, 0.503226),
    ("style", 32): ((-0.022219, -0.059857, 0.012231), (0.041533, -0.02844, 0.031337), 0.005753, 0.033933, 0.353675),
    ("fidelity", 32): ((-0.022683, -0.059813, 0.010251), (0.042087, -0.027176, 0.031137), 0.005731, 0.034048, 0.367051),
}
"""First and last three values, mean, mean of the absolute values and checksum of the authors' processor before
`to_out`, with 10 tokens as in v1 and 32 as in v1.1, at scale 0.8."""


def golden_case(tokens: int, dtype: torch.dtype) -> tuple[Tensor, Tensor, Term]:
    x, text, identity = stream(1000, 2, 6, 64), stream(1001, 2, 7, 48), stream(1004, 2, tokens, 48)
    (q, k, v, ik, iv) = (
        given @ (0.2 * stream(number, 64, given.shape[-1])).T
        for number, given in enumerate((x, text, text, identity, identity))
    )
    attended = functional.scaled_dot_product_attention(*(split_heads(each, 2) for each in (q, k, v)))
    return attended.transpose(1, 2).flatten(2).to(dtype), q.to(dtype), Term(ik, iv, 0.8)


@pytest.mark.parametrize(("method", "tokens"), GOLDEN)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_a_method_gives_the_golden_values(method: str, tokens: int, dtype: torch.dtype) -> None:
    attended, query, term = golden_case(tokens, dtype)
    bank = make_bank([replace(term, method=METHODS[method])], 2, query)
    made = add_image_attention(attended, query, bank, (COND, UNCOND))
    first, last, mean, mean_abs, total = GOLDEN[method, tokens]
    assert made.dtype == dtype
    assert made.flatten()[:3].tolist() == pytest.approx(first, abs=1e-6)
    assert made.flatten()[-3:].tolist() == pytest.approx(last, abs=1e-6)
    assert made.mean().item() == pytest.approx(mean, abs=1e-6)
    assert made.abs().mean().item() == pytest.approx(mean_abs, abs=1e-6)
    assert checksum(made) == pytest.approx(total, abs=2e-6)


def plainly(text: Tensor, query: Tensor, term: Term, heads: int, kinds: Sequence[int], method: str) -> Tensor:
    """Return what a term adds, by its definition: row by row and head by head in float64."""
    zeros, first = {"fidelity": (8, 5), "style": (16, 0)}[method]
    made = torch.zeros(query.shape, dtype=torch.float64)
    for row, kind in enumerate(kinds):
        keys, values = (functional.pad(each[kind].double(), (0, 0, 0, zeros)) for each in (term.keys, term.values))
        image, share = (
            torch.zeros(query.shape[1:], dtype=torch.float64),
            torch.zeros(query.shape[1], dtype=torch.float64),
        )
        for q, k, v, out in zip(
            *(each.chunk(heads, -1) for each in (query[row].double(), keys, values, image)), strict=True
        ):
            out += ((q @ k.T) / q.shape[-1] ** 0.5).softmax(-1) @ v
            share += (q @ k.T).softmax(-1)[:, :first].sum(-1) / heads
        s = text[row].double()
        for channel in range(s.shape[1]):
            along = (s[:, channel] @ image[:, channel]) / (s[:, channel] @ s[:, channel]) * s[:, channel]
            kept = share if method == "fidelity" else 0.0
            made[row, :, channel] = image[:, channel] - along + kept * along
    return term.weight * made


def random_term(tokens: int = 10, weight: float = 0.8, kinds: int = 2, seed: int = 1) -> Term:
    generator = torch.Generator().manual_seed(seed)
    return Term(*(torch.randn(kinds, tokens, 48, generator=generator) for _ in range(2)), weight)


@pytest.fixture
def given() -> tuple[Tensor, Tensor]:
    torch.manual_seed(0)
    return torch.randn(5, 33, 48), torch.randn(5, 33, 48)


KINDS = (0, 0, 1, 0, 1)


@pytest.mark.parametrize("method", ["fidelity", "style"])
@pytest.mark.parametrize("weight", [1.0, 0.8, -0.7, 3.0])
def test_a_term_is_weighted_after_the_projection(given, method: str, weight: float) -> None:
    """By its weight, its region and the factor of its unit, beside ordinary terms and terms of another method."""
    attended, query = given
    region = torch.rand(33)
    ours = replace(random_term(weight=weight), method=METHODS[method], region=region)
    other = "style" if method == "fidelity" else "fidelity"
    second = replace(random_term(16, 0.3, seed=2), method=METHODS[other], unit=1)
    ordinary = replace(random_term(4, 0.5, seed=3), unit=2)
    bank = make_bank([ours, ordinary, second], 6, query)
    made = add_image_attention(attended, query, bank, KINDS, (0.25, 2.0, 1.0))
    expected = add_image_attention(attended, query, make_bank([ordinary], 6, query), KINDS).double()
    expected += 0.25 * region[:, None] * plainly(attended, query, ours, 6, KINDS, method)
    expected += 2.0 * plainly(attended, query, second, 6, KINDS, other)
    assert (made - expected).abs().max() <= 1e-5 * expected.abs().max()


@pytest.mark.parametrize("method", ["fidelity", "style"])
def test_rows_do_not_depend_on_each_other(given, method: str) -> None:
    attended, query = given
    bank = make_bank([replace(random_term(), method=METHODS[method])], 6, query)
    whole = add_image_attention(attended, query, bank, KINDS)
    for row, kind in enumerate(KINDS):
        alone = add_image_attention(attended[row : row + 1], query[row : row + 1], bank, (kind,))
        assert torch.allclose(alone[0], whole[row], rtol=1e-5, atol=1e-6)


def test_style_leaves_nothing_along_the_text(given) -> None:
    attended, query = given
    made = add_image_attention(
        attended, query, make_bank([replace(random_term(), method=METHODS["style"])], 6, query), KINDS
    )
    along = ((made - attended) * attended).sum(dim=1)
    assert along.abs().max() < 1e-4


def test_fidelity_has_a_number_for_each_query_and_not_for_each_picture(given) -> None:
    """The ports average over the queries."""
    attended, query = given
    fidelity, style = (
        add_image_attention(attended, query, make_bank([replace(random_term(), method=replace_zeros)], 6, query), KINDS)
        for replace_zeros in (METHODS["fidelity"], replace(METHODS["fidelity"], first=0))
    )
    image = add_image_attention(attended, query, make_bank([replace(random_term(), method=None)], 6, query), KINDS)
    assert not torch.allclose(fidelity, style)
    ratio = (fidelity - style)[0] / attended[0]  # kept times the projection of each channel
    per_query = ratio / ratio[:1]
    assert per_query.std(dim=0).min() > 1e-2
    assert torch.allclose(per_query, per_query[:, :1].expand_as(per_query), rtol=2e-2, atol=1e-2)
    assert not torch.allclose(image, style)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("method", ["fidelity", "style"])
@pytest.mark.parametrize("size", [1.0, 200.0, 65504.0])
def test_half_precision_has_no_nan(method: str, dtype: torch.dtype, size: float) -> None:
    torch.manual_seed(0)
    query, attended = ((torch.randn(2, 64, 48).clamp(-1, 1) * size).to(dtype) for _ in range(2))
    attended[:, :, :3] = 0
    term = Term(size * torch.ones(2, 10, 48), size * torch.ones(2, 10, 48), 5.0, method=METHODS[method])
    made = add_image_attention(attended, query, make_bank([term], 6, query), (0, 1))
    assert made.dtype == dtype
    assert made.isfinite().all()


def test_sums_are_exact_in_half_precision() -> None:
    """Sums over the queries would overflow or lose most digits in half precision."""
    torch.manual_seed(0)
    query, attended = (torch.randn(1, 4096, 48) for _ in range(2))
    attended = (attended.abs() * 40).half()
    term = replace(random_term(), method=METHODS["style"])
    made = add_image_attention(attended, query.half(), make_bank([term], 6, query.half()), (0,)).double()
    half = Term(term.keys.half().float(), term.values.half().float(), term.weight)
    expected = attended.double() + plainly(attended, query.half(), half, 6, (0,), "style")
    assert (made - expected).abs().max() < 0.1


def test_the_field_has_the_methods_and_fidelity_is_the_default() -> None:
    field = FIELDS["method"]
    assert field.kind.schema()["enum"] == ["fidelity", "style", "neutral"]
    assert field.default == "fidelity"
    assert field.by_family

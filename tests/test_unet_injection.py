"""Inject and eject: no trace, every split of the rows, and other extensions inside attn2."""

from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from unets import call_of, ldm_unet, with_units

from lib_ipadapter.base.errors import IPAdapterError
from lib_ipadapter.engine.tokens import KeysValues
from lib_ipadapter.networks.unet_injection import DenoiserCall, Injection
from lib_ipadapter.networks.unet_modules import context_dim, find_attentions, widths
from lib_ipadapter.networks.unet_sites import SD, SDXL, Site, sites

CONTEXT = 24


@pytest.fixture(scope="module")
def unet() -> nn.Module:
    return ldm_unet(context_dim=CONTEXT)


@pytest.fixture(scope="module")
def given() -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(1)
    return torch.randn(5, 4, 8, 8), torch.full((5,), 300), torch.randn(5, 7, CONTEXT)


@pytest.fixture(scope="module")
def unit(unet) -> KeysValues:
    generator = torch.Generator().manual_seed(2)
    pairs = {
        site: tuple(torch.randn(2, 4, width, generator=generator) for _ in range(2))
        for site, width in widths(find_attentions(unet)).items()
    }
    return KeysValues(pairs, torch.zeros(1, 4, 1))


ROLES = (0, 0, 0, 1, 1)


def run(unet: nn.Module, given, rows: slice | list[int] = slice(None)) -> Tensor:
    return unet(*(each[rows] for each in given))


def hooks_of(unet: nn.Module) -> int:
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) + len(m._backward_hooks) for m in unet.modules())


def test_constructing_touches_nothing(unet) -> None:
    before = repr(unet), hooks_of(unet)
    Injection(unet, find_attentions(unet))
    assert (repr(unet), hooks_of(unet)) == before


def test_an_injected_unet_without_a_call_is_unchanged(unet, given) -> None:
    plain = run(unet, given)
    injection = Injection(unet, find_attentions(unet))
    injection.inject()
    assert torch.equal(run(unet, given), plain)
    injection.eject()


def test_ejecting_leaves_no_hook_and_no_attribute_in_any_order(unet, given, unit) -> None:
    plain, before = run(unet, given), hooks_of(unet)
    names = {name: set(vars(module)) for name, module in unet.named_modules()}
    first, second = (Injection(unet, find_attentions(unet)) for _ in range(2))
    first.inject()
    first.inject()
    second.inject()
    first.call = second.call = call_of([(unit, 1.0)], ROLES)
    assert not torch.equal(run(unet, given), plain)
    first.eject()
    second.eject()
    second.eject()
    assert hooks_of(unet) == before
    assert {name: set(vars(module)) for name, module in unet.named_modules()} == names
    assert torch.equal(run(unet, given), plain)


def test_an_exception_during_a_call_leaves_nothing_after_ejecting(unet, given, unit) -> None:
    plain = run(unet, given)

    def fail(*_):
        raise RuntimeError("in the middle")

    handle = unet.middle_block.register_forward_hook(fail)
    with pytest.raises(RuntimeError, match="in the middle"):
        with_units(unet, find_attentions(unet), [(unit, 1.0)], ROLES, lambda: run(unet, given))
    handle.remove()
    assert hooks_of(unet) == 0
    assert torch.equal(run(unet, given), plain)


SPLITS = [
    [slice(0, 5)],
    [slice(0, 3), slice(3, 5)],
    [slice(0, 2), slice(2, 4), slice(4, 5)],
    [slice(i, i + 1) for i in range(5)],
]


@pytest.mark.parametrize("split", SPLITS, ids=len)
def test_the_output_is_the_same_however_the_rows_are_split(unet, given, unit, split) -> None:
    attentions = find_attentions(unet)
    whole = with_units(unet, attentions, [(unit, 1.0)], ROLES, lambda: run(unet, given))
    parts = [
        with_units(unet, attentions, [(unit, 1.0)], ROLES[rows], lambda r=rows: run(unet, given, r)) for rows in split
    ]
    assert torch.allclose(torch.cat(parts), whole, rtol=1e-4, atol=1e-5)


def test_tiled_extensions_may_repeat_the_rows(unet, given, unit) -> None:
    """Tiled extensions send whole copies of the batch through the U-Net, one after another."""
    attentions = find_attentions(unet)
    one = with_units(unet, attentions, [(unit, 1.0)], ROLES, lambda: run(unet, given))
    tiles = tuple(torch.cat([each, each]) for each in given)
    both = with_units(unet, attentions, [(unit, 1.0)], ROLES, lambda: unet(*tiles))
    assert torch.allclose(both, torch.cat([one, one]), rtol=1e-4, atol=1e-5)


def test_rows_that_are_no_multiple_are_an_error(unet, given, unit) -> None:
    with pytest.raises(IPAdapterError, match=r"expected 5 rows.*got 3"):
        with_units(unet, find_attentions(unet), [(unit, 1.0)], ROLES, lambda: run(unet, given, slice(0, 3)))


def test_rows_recognised_by_their_text_may_come_in_windows(unet, given, unit) -> None:
    """AnimateDiff passes some of the frames at a time to the U-Net, with both prompts."""
    attentions = find_attentions(unet)
    whole = with_units(unet, attentions, [(unit, 1.0)], ROLES, lambda: run(unet, given))
    window = [1, 2, 4]
    call = call_of([(unit, 1.0)], ROLES)

    def by_text(text: Tensor) -> tuple[int, ...]:
        return tuple(ROLES[next(i for i, own in enumerate(given[2]) if torch.equal(own, row))] for row in text)

    injection = Injection(unet, attentions)
    injection.inject()
    injection.call = DenoiserCall(call.row_kinds, call.bank, by_text)
    try:
        assert torch.allclose(run(unet, given, window), whole[window], rtol=1e-4, atol=1e-5)
    finally:
        injection.eject()


class HalfByHalf(nn.Module):
    """An extension that evaluates attn2 for parts of the rows, like NegPip."""

    def __init__(self, attention: nn.Module) -> None:
        super().__init__()
        self.forward_of = attention.forward

    def forward(self, x: Tensor, context: Tensor | None = None, **more: object) -> Tensor:
        parts = [self.forward_of(x[i : i + 1], context[i : i + 1], **more) for i in range(len(x))]
        return torch.cat(parts)


class Doubled(HalfByHalf):
    """An extension that evaluates attn2 for twice the rows and keeps the first half, like a regional prompter."""

    def forward(self, x: Tensor, context: Tensor | None = None, **more: object) -> Tensor:
        return self.forward_of(torch.cat([x, x]), torch.cat([context, context]), **more)[: len(x)]


@pytest.mark.parametrize("extension", [HalfByHalf, Doubled])
def test_an_extension_that_splits_or_widens_rows_inside_attn2_changes_nothing(unet, given, unit, extension) -> None:
    attentions = find_attentions(unet)
    expected = with_units(unet, attentions, [(unit, 1.0)], ROLES, lambda: run(unet, given))
    for attention in attentions.values():
        attention.forward = extension(attention).forward
    try:
        made = with_units(unet, attentions, [(unit, 1.0)], ROLES, lambda: run(unet, given))
    finally:
        for attention in attentions.values():
            del attention.forward
    assert torch.allclose(made, expected, rtol=1e-4, atol=1e-5)


def mixed(forward, x: Tensor, context: Tensor) -> Tensor:
    """Mix the results of a prompt per region, which cover the whole picture, like a regional prompter."""
    half = torch.arange(x.shape[1]) < x.shape[1] // 2
    return 0.3 * forward(x, context) + half[:, None] * forward(x, context * 2)


def test_an_extension_that_mixes_results_inside_attn2_does_not_change_image_attention(unet, given, unit) -> None:
    site, attention = next(iter(find_attentions(unet).items()))
    torch.manual_seed(3)
    x, context = torch.randn(5, 64, 32), given[2]
    injection = Injection(unet, {site: attention})
    injection.row_kinds, injection.size = ROLES, (8, 8)
    forward = attention.forward
    plain, plain_mixed = attention(x, context), mixed(forward, x, context)
    injection.inject()
    injection.call = call_of([(unit, 1.0)], ROLES)
    try:
        image = attention(x, context) - plain
        attention.forward = lambda x, context: mixed(forward, x, context)
        made = attention(x, context)
    finally:
        injection.eject()
        attention.__dict__.pop("forward", None)
    assert torch.allclose(made, plain_mixed + image, rtol=1e-4, atol=1e-5)


def test_a_region_on_a_part_of_the_picture_is_an_error(unet, given, unit) -> None:
    attentions = find_attentions(unet)
    call = call_of([(unit, 1.0)], ROLES)
    for whole, refused in (((8, 8), False), ((8, 12), True), (None, False)):
        injection = Injection(unet, attentions)
        injection.inject()
        injection.call = DenoiserCall(call.row_kinds, call.bank, expected_size=whole)
        expected = (
            pytest.raises(IPAdapterError, match=r"whole latent image, 8 x 12, but it got 8 x 8")
            if refused
            else nullcontext()
        )
        try:
            with expected:
                run(unet, given)
        finally:
            injection.eject()


@pytest.mark.parametrize("kept", [True, False], ids=["rows kept", "rows doubled"])
def test_image_attention_is_added_once_around_an_extension_that_widens_rows(unet, given, unit, kept) -> None:
    """Forge's patches can change the rows before attn2 and restore them after it."""
    attentions = find_attentions(unet)
    expected = with_units(unet, attentions, [(unit, 1.0)], ROLES, lambda: run(unet, given))
    injection = Injection(unet, attentions)
    paths = {attention: site.path for site, attention in attentions.items()}

    def before(attention, args, kwargs):
        injection.enter(paths[attention], args[0])
        wider = [args[0], kwargs["context"]] if kept else [torch.cat([x, x]) for x in (args[0], kwargs["context"])]
        return (wider[0],), {"context": wider[1]}

    def after(attention, _args, output):
        return injection.leave(paths[attention], output[: len(given[0])])

    handles = [attention.register_forward_pre_hook(before, with_kwargs=True) for attention in paths]
    injection.inject()
    handles += [attention.register_forward_hook(after) for attention in paths]
    injection.call = call_of([(unit, 1.0)], ROLES)
    try:
        assert torch.allclose(run(unet, given), expected, rtol=1e-4, atol=1e-5)
    finally:
        injection.eject()
        for handle in handles:
            handle.remove()


def rows_changed_inside(attention: nn.Module) -> list[Any]:
    """Double the rows of one attn2 after our hooks, and halve its output; return the handles."""

    def before(_module: nn.Module, args: tuple[Tensor, ...], kwargs: dict[str, Tensor]) -> Any:
        context = kwargs["context"] if "context" in kwargs else args[1]
        return (torch.cat([args[0], args[0]]),), {"context": torch.cat([context, context])}

    def after(_module: nn.Module, _args: Any, output: Tensor) -> Tensor:
        return output[: len(output) // 2]

    return [
        attention.register_forward_pre_hook(before, with_kwargs=True),
        attention.register_forward_hook(after),
    ]


def missed_with(unet: nn.Module, given: Any, call: DenoiserCall, site: Site) -> tuple[Site, ...]:
    """Return the missed sites of one call of the U-Net where another extension changes the rows at one site."""
    attentions = find_attentions(unet)
    injection = Injection(unet, attentions)
    injection.inject()
    handles = rows_changed_inside(attentions[site])
    injection.call = call
    try:
        run(unet, given)
        return injection.missed
    finally:
        injection.eject()
        for handle in handles:
            handle.remove()


def test_a_site_whose_rows_another_extension_changes_is_reported_as_missed(unet, given, unit) -> None:
    for site in (sites(SD)[0], sites(SD)[7], sites(SD)[-1]):
        assert missed_with(unet, given, call_of([(unit, 1.0)], ROLES), site) == (site,)


def test_a_site_where_no_unit_applies_is_not_missed(unet, given, unit) -> None:
    site, call = sites(SD)[7], call_of([(unit, 1.0)], ROLES)
    here = DenoiserCall(ROLES, lambda at, *more: None if at is site else call.bank(at, *more))
    assert missed_with(unet, given, here, site) == ()


def test_no_site_is_missed_if_every_one_gets_its_term(unet, given, unit) -> None:
    injection = Injection(unet, find_attentions(unet))
    injection.inject()
    assert injection.missed == ()
    injection.call = call_of([(unit, 1.0)], ROLES)
    run(unet, given)
    assert injection.missed == ()
    injection.eject()


def test_an_attention_that_only_calls_the_projections_is_missed_if_its_rows_differ(unet, given, unit) -> None:
    """Forge's replaced attentions call `to_q` and `to_out` and never attn2 itself."""
    site, attention = next(iter(find_attentions(unet).items()))
    call = call_of([(unit, 1.0)], ROLES)
    torch.manual_seed(3)
    x, context = torch.randn(5, 64, 32), given[2]

    class Around(nn.Module):
        def forward(self, latents: Tensor) -> Tensor:
            query, key, value = attention.to_q(x), attention.to_k(context), attention.to_v(context)
            made = torch.nn.functional.scaled_dot_product_attention(query, key, value)
            return attention.to_out(torch.cat([made, made]) if latents.any() else made)

    network = Around()
    injection = Injection(network, {site: attention})
    injection.inject()
    injection.call = call
    try:
        network(torch.zeros(5, 4, 8, 8))
        assert injection.missed == ()
        network(torch.ones(5, 4, 8, 8))
        assert injection.missed == (site,)
    finally:
        injection.eject()


def test_a_call_that_is_interrupted_inside_a_site_misses_nothing(unet, given, unit) -> None:
    site, attention = next(iter(find_attentions(unet).items()))
    injection = Injection(unet, {site: attention})
    injection.inject()
    injection.call = call_of([(unit, 1.0)], ROLES)

    def interrupt(*_: Any) -> None:
        raise RuntimeError("interrupted")

    handle = attention.to_k.register_forward_hook(interrupt)
    with pytest.raises(RuntimeError, match="interrupted"):
        run(unet, given)
    handle.remove()
    assert injection.missed == ()
    run(unet, given)
    assert injection.missed == ()
    injection.eject()


def test_rows_changed_between_the_unet_and_attn2_are_an_error(unet, given, unit) -> None:
    attention = next(iter(find_attentions(unet).values()))
    handle = attention.register_forward_pre_hook(
        lambda _module, args, kwargs: ((args[0][:3],), {"context": kwargs["context"][:3]}), with_kwargs=True
    )
    try:
        with pytest.raises(IPAdapterError, match=r"expected 5 rows in .*attn2, but got 3"):
            with_units(unet, find_attentions(unet), [(unit, 1.0)], ROLES, lambda: run(unet, given))
    finally:
        handle.remove()


def test_the_unets_own_sites_are_found() -> None:
    unet = ldm_unet(context_dim=CONTEXT)
    found = find_attentions(unet)
    assert tuple(found) == sites(SD)
    assert context_dim(found) == CONTEXT
    assert list(widths(found).values()) == [32] * 2 + [64] * 2 + [128] * 5 + [64] * 3 + [32] * 3 + [128]


class Scaled(nn.Module):
    """A block like the one that Kohya's hires fix puts into a U-Net."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.block = block

    def forward(self, x: Tensor, *more: Tensor) -> Tensor:
        return self.block(x, *more)


def test_a_block_that_another_extension_wraps_keeps_its_sites() -> None:
    unet = ldm_unet(context_dim=CONTEXT)
    found = find_attentions(unet)
    for blocks, number in ((unet.input_blocks, 2), (unet.output_blocks, 9), (unet.output_blocks, 8)):
        blocks[number] = Scaled(blocks[number])
    assert find_attentions(unet) == found


class Packed(nn.Module):
    """A 4-bit linear layer like Forge's: packed in one column, with its true shape as an attribute, and no features."""

    def __init__(self, linear: nn.Linear, known: bool) -> None:
        super().__init__()
        self.linear = linear
        self.weight = linear.weight.reshape(-1, 1) if known else linear.weight
        if known:
            self.weight.quant_state = SimpleNamespace(shape=linear.weight.shape)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x)


@pytest.mark.parametrize("packed", [True, False], ids=["4 bits", "GGUF or not used yet"])
def test_quantised_layers_without_features_have_widths_and_work_with_units(given, unit, packed) -> None:
    unet = ldm_unet(context_dim=CONTEXT)
    expected = with_units(unet, find_attentions(unet), [(unit, 1.0)], ROLES, lambda: run(unet, given))
    sizes = widths(find_attentions(unet))
    for attention in find_attentions(unet).values():
        attention.to_q, attention.to_k = (Packed(layer, packed) for layer in (attention.to_q, attention.to_k))
        attention.to_out[0] = Packed(attention.to_out[0], packed)
    attentions = find_attentions(unet)
    assert (widths(attentions), context_dim(attentions)) == (sizes, CONTEXT)
    assert torch.equal(with_units(unet, attentions, [(unit, 1.0)], ROLES, lambda: run(unet, given)), expected)


def named(paths: list[str]) -> nn.Module:
    root = nn.Module()
    for path in paths:
        parent = root
        for name in path.split("."):
            if name not in parent._modules:
                parent.add_module(name, nn.Module())
            parent = parent._modules[name]
    return root


def test_a_pruned_sdxl_is_recognised_with_its_sites() -> None:
    kept = [site for site in sites(SDXL) if site.block != "middle" and site.depth < 4]
    assert list(find_attentions(named([site.path for site in kept]))) == kept
    assert find_attentions(named(["joint_blocks.0.attn"])) == {}

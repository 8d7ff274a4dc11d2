"""FLUX.1: every kind of adapter in a whole narrow network, compared with its authors' or diffusers' own code.

IP_ADAPTER_FLUX_HOSTS names folders of Forge and Forge Neo, whose own networks are then tested too.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from fluxes import (
    CHANNELS,
    DOUBLES,
    HEADS,
    POOLED,
    TEXT,
    WIDTH,
    as_diffusers,
    flux,
    instantx_tensors,
    own_flux,
    web_uis,
    xlabs_tensors,
)
from makers import save, text_of
from PIL import Image
from siglip_model import WIDTH as SIGLIP_WIDTH
from siglip_model import write_siglip
from small_host import FEATURES, Processing, SmallHost, photo, save_files
from torch import Tensor, nn
from torch.nn import functional
from unets import ldm_unet

from lib_ipadapter.base.errors import IPAdapterError
from lib_ipadapter.engine.compatibility import loaded_network, mismatch
from lib_ipadapter.engine.expected_network import PREFIX, network_in_file
from lib_ipadapter.engine.session import Session
from lib_ipadapter.files import model_files
from lib_ipadapter.networks.flux_sites import HEAD_DIM
from lib_ipadapter.port import COND, UNCOND, Row
from lib_ipadapter.weights.bases import SIGLIP

GUIDED = (Row(COND, 0), Row(UNCOND, 0))
"""True CFG; without it, as is usual for FLUX, there is only the conditional row."""

NETWORKS = ("restated", *(folder.parent.name for folder in web_uis()))


@pytest.fixture(scope="module", params=NETWORKS)
def network(request: pytest.FixtureRequest) -> nn.Module:
    folder = next((each for each in web_uis() if each.parent.name == request.param), None)
    return own_flux(folder) if folder else flux()


@pytest.fixture(scope="module")
def plain() -> nn.Module:
    return flux()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    save_files(folder)
    save(xlabs_tensors(FEATURES), folder / "xlabs.safetensors")
    save(xlabs_tensors(FEATURES, tokens=16, seed=5), folder / "xlabs-v2.safetensors")
    return folder


@pytest.fixture(scope="module")
def instantx(folder: Path) -> None:
    """Add InstantX's adapter and its encoder to the files."""
    write_siglip(folder / "siglip.safetensors")
    save(instantx_tensors(SIGLIP_WIDTH, tokens=8), folder / "instantx.bin")


@pytest.fixture(autouse=True)
def narrow_siglip(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the narrow tower be taken for the one that InstantX's adapter needs."""
    monkeypatch.setattr(model_files, "KNOWN_ENCODERS", model_files.KNOWN_ENCODERS - {SIGLIP})


@pytest.fixture
def host(folder: Path, network: nn.Module) -> SmallHost:
    return SmallHost(folder, network)


@pytest.fixture
def alone(folder: Path, plain: nn.Module) -> SmallHost:
    """A host with the restated network, for what does not depend on the web UI's."""
    return SmallHost(folder, plain)


def unit(**more: Any) -> dict[str, Any]:
    return {"model": "xlabs", "images": [photo()], **more}


def given(rows: int, size: tuple[int, int] = (6, 8), different: bool = False) -> dict[str, Tensor]:
    """Return what a network gets in a call; rows are the same unless `different`."""
    generator = torch.Generator().manual_seed(5)
    count = rows if different else 1
    shapes = {"x": (CHANNELS, *size), "context": (7, TEXT), "y": (POOLED,)}
    made = {name: torch.randn(count, *shape, generator=generator) for name, shape in shapes.items()}
    made = {name: tensor.expand(rows, *tensor.shape[1:]) for name, tensor in made.items()}
    return {**made, "timestep": torch.full((rows,), 0.7), "guidance": torch.full((rows,), 3.5)}


def sampled(
    host: SmallHost,
    units: Sequence[dict[str, Any]],
    rows: Sequence[Row] = GUIDED,
    progress: float = 0.0,
    size: tuple[int, int] = (6, 8),
    **more: Any,
) -> Tensor:
    """Return the network's output with the units applied."""
    session = Session(host)
    host.run = None
    session.before_sampling(Processing(), list(units))
    assert not host.refused, host.refused
    if host.run:
        host.run.inject(host.unet)
        host.run.begin_call(rows, progress, size)
    try:
        return host.unet(**given(len(rows), size), **more)
    finally:
        if host.run:
            host.run.eject()


def refused(host: SmallHost, *units: dict[str, Any]) -> str:
    host.refused.clear()
    Session(host).before_generation(Processing(), list(units))
    sentence = " ".join(host.refused)
    host.refused.clear()
    return sentence


def close(made: Tensor, expected: Tensor, relative: float = 1e-5) -> bool:
    return (made - expected).abs().max().item() <= relative * expected.abs().max().item()


def hooks_of(network: nn.Module) -> int:
    return sum(len(each._forward_hooks) + len(each._forward_pre_hooks) for each in network.modules())


def tokens_of(host: SmallHost, asked: dict[str, Any]) -> tuple[Tensor, Tensor]:
    """Return a unit's image tokens for conditional and for unconditional rows."""
    from lib_ipadapter.unit.read_args import read_units

    (read,) = read_units([asked]).values()
    prepared = Session(host).preparation.prepare(read, host.unet)
    unconditional, conditional = prepared.keys_values.image_tokens
    return conditional, unconditional


def diffusers_with_xlabs(host: SmallHost, units: Sequence[tuple[str, dict[str, Any], float]]) -> Tensor:
    """Return diffusers' output with its own processors, for a conditional and an unconditional row."""
    theirs = as_diffusers()
    from diffusers.models.transformers.transformer_flux import FluxIPAdapterAttnProcessor
    from safetensors.torch import load_file

    files = [load_file(host.folder / f"{name}.safetensors") for name, _, _ in units]
    states = [torch.stack(tokens_of(host, asked)) for _, asked, _ in units]
    for i, block in enumerate(theirs.network.transformer_blocks):
        counts = tuple(each.shape[1] for each in states)
        processor = FluxIPAdapterAttnProcessor(WIDTH, states[0].shape[2], counts, [weight for _, _, weight in units])
        for part, linears in (("k", processor.to_k_ip), ("v", processor.to_v_ip)):
            for file, linear in zip(files, linears, strict=True):
                name = f"double_blocks.{i}.processor.ip_adapter_double_stream_{part}_proj"
                linear.weight.data, linear.bias.data = file[f"{name}.weight"], file[f"{name}.bias"]
        block.attn.processor = processor
    with torch.no_grad():
        return theirs(**given(2), joint_attention_kwargs={"ip_hidden_states": states})


def test_the_networks_are_the_same_without_units(network) -> None:
    call = given(3, different=True)
    assert close(network(**call), as_diffusers()(**call))


@pytest.mark.parametrize("weight", [1.0, 0.35, -1.5])
@pytest.mark.parametrize("name", ["xlabs", "xlabs-v2"])
def test_xlabs_equals_diffusers(host, name: str, weight: float) -> None:
    asked = unit(model=name, weight=weight)
    made = sampled(host, [asked])
    assert not close(made, sampled(host, []), 1e-2)
    assert close(made, diffusers_with_xlabs(host, [(name, asked, weight)]))


def test_two_units_equal_two_adapters_in_diffusers(host) -> None:
    one, two = unit(weight=0.7), unit(model="xlabs-v2", images=[photo(2)], weight=-0.4)
    expected = diffusers_with_xlabs(host, [("xlabs", one, 0.7), ("xlabs-v2", two, -0.4)])
    assert close(sampled(host, [one, two]), expected)


def with_instantx(host: SmallHost, asked: dict[str, Any], weight: float) -> Tensor:
    """Return the restated network's output with what InstantX's blocks in Shakker's code add to its attention.

    Source: Shakker-Labs/ComfyUI-IPAdapter-Flux, `IPAFluxAttnProcessor2_0` and `flux/layers.py`.
    """
    states = torch.stack(tokens_of(host, asked))
    layers = instantx_tensors(SIGLIP_WIDTH, tokens=8)
    theirs = flux()
    for i, block in enumerate((*theirs.double_blocks, *theirs.single_blocks)):
        pair = [states @ layers[f"ip_adapter.{i}.{name}.weight"].T for name in ("to_k_ip", "to_v_ip")]
        heads = [each.unflatten(-1, (HEADS, HEAD_DIM)).transpose(1, 2) for each in pair]
        key, value = map(rms, heads)
        block.extra = partial(adapted, key=key, value=value, weight=weight)
    return theirs(**given(2))


def rms(heads: Tensor) -> Tensor:
    return heads / (heads.square().mean(-1, keepdim=True) + 1e-5).sqrt()


def adapted(query: Tensor, key: Tensor, value: Tensor, weight: float) -> Tensor:
    made = functional.scaled_dot_product_attention(query, key, value)
    return weight * made.transpose(1, 2).flatten(2)


@pytest.mark.usefixtures("instantx")
@pytest.mark.parametrize("weight", [1.0, 0.35, -1.5])
def test_instantx_equals_the_authors_blocks(host, weight: float) -> None:
    asked = unit(model="instantx", weight=weight)
    made = sampled(host, [asked])
    assert not close(made, sampled(host, []), 1e-2)
    assert close(made, with_instantx(host, asked, weight))


@pytest.mark.usefixtures("instantx")
def test_instantx_and_xlabs_act_in_one_pass(host) -> None:
    """At the first block, the terms of both kinds of adapters add up."""
    both = [unit(model="instantx"), unit(model="xlabs", layers="0:1")]
    alone = sampled(host, both[:1])
    together = sampled(host, both)
    assert not close(together, alone, 1e-3)
    assert close(together, sampled(host, both[::-1]))
    assert torch.equal(sampled(host, []), sampled(host, []))


@pytest.mark.usefixtures("instantx")
def test_a_region_of_instantx_leaves_the_text_alone(host) -> None:
    """Text has no place in the picture, so a unit with a region does not act on it."""
    first = "single_blocks.0"
    only = {"model": "instantx", "layers": "19:1"}
    whole, part = (added(host, unit(**only, **more), first) for more in ({}, {"region": "left half"}))
    tokens = whole.shape[-2] - 12
    assert whole[..., :tokens, :].any()
    assert not part[..., :tokens, :].any()
    assert part[..., tokens:, :].any()


@pytest.mark.usefixtures("instantx")
def test_fields_without_a_meaning_for_siglip_are_refused(alone) -> None:
    instantx = unit(model="instantx")
    assert "enhance has no effect with instantx.bin" in refused(alone, instantx | {"enhance": 2})
    assert "encoder_size is not possible with siglip.safetensors" in refused(alone, instantx | {"encoder_size": 70})


def test_the_unconditional_row_sees_a_black_picture(alone) -> None:
    """As in XLabs' own code, whatever the setting is."""
    black = text_of(Image.new("RGB", (40, 40)))
    usual = tokens_of(alone, unit())[1]
    assert torch.allclose(usual, tokens_of(alone, unit(images=[black]))[0], atol=1e-5)
    assert torch.equal(usual, tokens_of(alone, unit(images=[photo(2)]))[1])


@pytest.mark.parametrize("rows", [(Row(COND, 0),), (Row(UNCOND, 0),), (Row(UNCOND, 0), Row(COND, 0))])
def test_every_split_of_a_batch_gives_the_same(host, rows) -> None:
    whole = sampled(host, [unit()])
    of_role = {COND: whole[0], UNCOND: whole[1]}
    assert close(sampled(host, [unit()], rows), torch.stack([of_role[row.role] for row in rows]))


def test_after_ejecting_the_network_is_untouched(host) -> None:
    before, hooks = sampled(host, []), hooks_of(host.unet)
    names = {name: set(vars(module)) for name, module in host.unet.named_modules()}
    assert not torch.equal(sampled(host, [unit()]), before)
    assert hooks_of(host.unet) == hooks
    assert {name: set(vars(module)) for name, module in host.unet.named_modules()} == names
    assert torch.equal(sampled(host, []), before)
    assert torch.equal(sampled(host, [unit(end=0.5)], progress=0.6), before)


def stream(output: Any) -> Tensor:
    """Return the picture's stream that a double block returns, or the joint one of a single block."""
    return output[0] if isinstance(output, tuple) else output


def added(host: SmallHost, asked: dict[str, Any], path: str, **more: Any) -> Tensor:
    """Return what a unit adds to the output of the first block where it acts: (rows, tokens, width)."""
    seen: list[Tensor] = []
    module = host.unet.get_submodule(path)
    handles: list[Any] = []

    def watch(*_: Any) -> None:
        """Add the hook in the call, so that it comes after the unit's own."""
        hook = module.register_forward_hook(lambda _module, _args, output: seen.append(stream(output).clone()))
        handles.append(hook)

    outer = host.unet.register_forward_pre_hook(watch)
    try:
        sampled(host, [asked], **more)
        handles.pop().remove()
        sampled(host, [], **more)
    finally:
        outer.remove()
        while handles:
            handles.pop().remove()
    return seen[0] - seen[1]


@pytest.mark.parametrize("size", [(6, 8), (7, 9)])
def test_a_region_is_on_the_grid_of_tokens(host, size) -> None:
    mask = Image.new("L", (64, 64), 0)
    mask.paste(255, (0, 0, 32, 64))
    whole, part = (added(host, unit(**more), "double_blocks.0", size=size) for more in ({}, {"mask": text_of(mask)}))
    rows, columns = (size[0] + 1) // 2, (size[1] + 1) // 2
    expected = torch.tensor([min(max(columns / 2 - i, 0.0), 1.0) for i in range(columns)]).repeat(rows)
    assert torch.allclose(part, whole * expected[:, None], atol=1e-5)


def test_only_the_sampled_pictures_tokens_get_a_term_beside_a_kontext_reference(alone) -> None:
    reference = torch.randn(1, CHANNELS, 4, 4).expand(2, -1, -1, -1)
    term = added(alone, unit(), "double_blocks.0", references=(reference,))
    assert term[:, :12].any(dim=-1).all()
    assert term.shape[1] == 12 + 4
    assert not term[:, 12:].any()
    with_region = sampled(alone, [unit(region="left half")], references=(reference,))
    assert not close(with_region, sampled(alone, [], references=(reference,)), 1e-4)


def test_the_layers_are_the_blocks(alone) -> None:
    third = added(alone, unit(layers="3:1"), "double_blocks.3")
    assert third.any()
    assert not added(alone, unit(layers="3:1"), "double_blocks.2").any()
    assert "names layer 19, but FLUX with XLabs' adapters has layers 0 to 18" in refused(alone, unit(layers="19:1"))


def test_weight_types_for_the_layers_of_a_unet_are_refused(alone) -> None:
    sentence = refused(alone, unit(weight_type="style transfer"))
    assert "weight_type has no meaning for FLUX" in sentence
    assert sampled(alone, [unit(weight_type="ease out")]).isfinite().all()


def test_a_block_whose_norm_is_not_called_is_an_error(alone, monkeypatch) -> None:
    """A later version of a web UI may compute it elsewhere; the unit would silently do nothing."""
    norm = alone.unet.double_blocks[0].img_attn.norm
    monkeypatch.setattr(type(norm), "__call__", lambda self, *args: self.forward(*args))
    with pytest.raises(IPAdapterError, match=r"expected the norm of double_blocks\.0 to be called"):
        sampled(alone, [unit()])
    assert hooks_of(alone.unet) == 0


def test_a_checkpoint_shows_the_same_as_the_loaded_network(tmp_path: Path, plain) -> None:
    path = save({PREFIX + key: tensor for key, tensor in plain.state_dict().items()}, tmp_path / "flux.safetensors")
    found = network_in_file(path)
    assert found == loaded_network(plain)
    assert found.base == "FLUX"


def test_adapters_for_another_network_are_refused(alone, folder: Path) -> None:
    files = Session(alone).preparation.files
    on_flux = mismatch(files.adapter("base"), loaded_network(alone.unet))
    assert "but the loaded checkpoint is FLUX. Choose an adapter made for it" in on_flux
    on_unet = mismatch(files.adapter("xlabs"), loaded_network(ldm_unet(context_dim=24)))
    assert "xlabs.safetensors is for FLUX, but the loaded checkpoint is context width 24, 16 layers" in on_unet
    assert mismatch(files.adapter("xlabs"), loaded_network(alone.unet)) == ""


def test_a_pruned_flux_is_refused(alone) -> None:
    """Its blocks have other numbers than those that the adapter was made for."""
    pruned = flux()
    pruned.double_blocks = pruned.double_blocks[: DOUBLES - 1]
    why = mismatch(Session(alone).preparation.files.adapter("xlabs"), loaded_network(pruned))
    assert "is for FLUX, but the loaded checkpoint is a FLUX with other blocks" in why

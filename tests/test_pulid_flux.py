"""PuLID for FLUX in a whole narrow network, compared with its authors' cross-attention and forward, restated.

IP_ADAPTER_FLUX_HOSTS names folders of Forge and Forge Neo, whose own networks are then tested too.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from fluxes import CHANNELS, HEADS, WIDTH, flux, own_flux, web_uis, xlabs_tensors
from makers import save
from pulid_features import WIDTH as STATE_WIDTH
from pulid_features import MadeEncoder, MadeFaces
from pulid_flux import CONTEXT, pulid_flux_tensors
from small_host import FEATURES, Processing, SmallHost, photo, save_files
from test_flux import GUIDED, added, close, given, hooks_of, refused, sampled
from torch import Tensor, nn
from torch.nn import functional

from lib_ipadapter.engine.session import Session
from lib_ipadapter.networks.flux_sites import HEAD_DIM, PULID
from lib_ipadapter.port import COND, UNCOND, Row
from lib_ipadapter.unit.read_args import read_units
from lib_ipadapter.weights.adapter_file import open_adapter

SEEDS = {"pulid": 0, "pulid-other": 7}
NETWORKS = ("restated", *(folder.parent.name for folder in web_uis()))


class PerceiverAttentionCA(nn.Module):
    """The authors' cross-attention (ToTheBeginning/PuLID, `pulid/encoders_transformer.py`), restated."""

    def __init__(self, tensors: dict[str, Tensor]) -> None:
        super().__init__()
        self.tensors = tensors

    def norm(self, name: str, x: Tensor) -> Tensor:
        weight, bias = self.tensors[f"{name}.weight"], self.tensors[f"{name}.bias"]
        return functional.layer_norm(x, (len(weight),), weight, bias)

    def forward(self, identity: Tensor, picture: Tensor) -> Tensor:
        q = self.norm("norm2", picture) @ self.tensors["to_q.weight"].T
        k, v = (self.norm("norm1", identity) @ self.tensors["to_kv.weight"].T).chunk(2, dim=-1)
        q, k, v = (each.unflatten(-1, (-1, HEAD_DIM)).transpose(1, 2) for each in (q, k, v))
        scale = 1 / math.sqrt(math.sqrt(HEAD_DIM))
        weights = ((q * scale) @ (k * scale).transpose(-2, -1)).softmax(dim=-1)
        return (weights @ v).transpose(1, 2).flatten(2) @ self.tensors["to_out.weight"].T


@pytest.fixture(scope="module", params=NETWORKS)
def network(request: pytest.FixtureRequest) -> nn.Module:
    folder = next((each for each in web_uis() if each.parent.name == request.param), None)
    return own_flux(folder) if folder else flux()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    save_files(folder)
    for name, seed in SEEDS.items():
        save(pulid_flux_tensors(STATE_WIDTH, seed), folder / f"{name}.safetensors")
    save(xlabs_tensors(FEATURES), folder / "xlabs.safetensors")
    return folder


@pytest.fixture(autouse=True)
def made_front_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every session find a made face and made features in each photo."""
    begin = Session.__init__

    def begin_with(session: Session, *args: Any) -> None:
        begin(session, *args)
        preparation: Any = session.preparation
        find, encoder = preparation.files.encoder_for, MadeEncoder()
        preparation.faces = MadeFaces()
        preparation.files.encoder_for = lambda adapter, *more: (
            encoder if adapter.recognised.family.portrait else find(adapter, *more)
        )

    monkeypatch.setattr(Session, "__init__", begin_with)


@pytest.fixture
def host(folder: Path, network: nn.Module) -> SmallHost:
    return SmallHost(folder, network)


@pytest.fixture
def alone(folder: Path) -> SmallHost:
    return SmallHost(folder, flux())


def unit(**more: Any) -> dict[str, Any]:
    return {"model": "pulid", "images": [photo()], **more}


def tokens_of(host: SmallHost, asked: dict[str, Any]) -> Tensor:
    """Return a unit's image tokens for a conditional and an unconditional row."""
    (read,) = read_units([asked]).values()
    prepared = Session(host).preparation.prepare(read, host.unet)
    unconditional, conditional = prepared.keys_values.image_tokens
    return torch.stack([conditional, unconditional])


def layers_of(model: str) -> list[PerceiverAttentionCA]:
    tensors = pulid_flux_tensors(STATE_WIDTH, SEEDS[model])
    each = [f"pulid_ca.{i}." for i in range(20)]
    return [
        PerceiverAttentionCA({name.removeprefix(own): t for name, t in tensors.items() if name.startswith(own)})
        for own in each
    ]


def with_pulid(host: SmallHost, units: Sequence[tuple[dict[str, Any], float]]) -> Tensor:
    """Return the restated network's output with what the authors' forward adds (`flux/model.py`)."""
    theirs = flux()
    each = [(layers_of(asked["model"]), tokens_of(host, asked), weight) for asked, weight in units]

    def add(index: int, picture: Tensor) -> Tensor:
        return picture + sum(weight * layers[index](identity, picture) for layers, identity, weight in each)

    def after_double(index: int) -> Any:
        return lambda _module, _args, output: (add(index, output[0]), output[1])

    def after_single(index: int, text: int) -> Any:
        return lambda _module, _args, x: torch.cat((x[:, :text], add(index, x[:, text:])), 1)

    call = given(2)
    for i, block in enumerate(theirs.double_blocks):
        if i % 2 == 0:
            block.register_forward_hook(after_double(i // 2))
    for i, block in enumerate(theirs.single_blocks):
        if i % 4 == 0:
            block.register_forward_hook(after_single(10 + i // 4, call["context"].shape[1]))
    with torch.no_grad():
        return theirs(**call)


@pytest.mark.parametrize("weight", [1.0, 0.35, -0.7])
def test_it_equals_the_authors_forward(host, weight: float) -> None:
    asked = unit(weight=weight)
    made = sampled(host, [asked])
    assert not close(made, sampled(host, []), 1e-2)
    assert close(made, with_pulid(host, [(asked, weight)]))


def test_two_files_act_each_with_its_own_queries(host) -> None:
    one, two = unit(weight=0.7), unit(model="pulid-other", images=[photo(2)], weight=0.4)
    assert close(sampled(host, [one, two]), with_pulid(host, [(one, 0.7), (two, 0.4)]))


def test_units_of_several_kinds_add_up_after_a_block(alone) -> None:
    pulid, xlabs = unit(layers="0:1"), {"model": "xlabs", "images": [photo(2)], "layers": "0:1"}
    both = added_by(alone, [pulid, xlabs])
    assert torch.allclose(both, added_by(alone, [pulid]) + added_by(alone, [xlabs]), atol=1e-5)


def added_by(host: SmallHost, units: Sequence[dict[str, Any]]) -> Tensor:
    """Return what units add to the picture's stream after the first block."""
    seen: list[Tensor] = []
    block = host.unet.get_submodule("double_blocks.1")
    watch = block.register_forward_pre_hook(lambda _m, _a, more: seen.append(more["img"].clone()), with_kwargs=True)
    try:
        sampled(host, units)
        sampled(host, [])
    finally:
        watch.remove()
    return seen[0] - seen[1]


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


def test_a_region_is_on_the_grid_of_tokens_and_leaves_the_text_alone(alone) -> None:
    """In the first single block, where text comes before the picture's 12 tokens."""
    only = {"layers": "10:1"}
    whole, part = (added(alone, unit(**only, **more), "single_blocks.0") for more in ({}, {"region": "left half"}))
    tokens = whole.shape[1] - 12
    assert not whole[:, :tokens].any()
    expected = torch.tensor([1.0, 1.0, 0.0, 0.0]).repeat(3)
    assert torch.allclose(part[:, tokens:], whole[:, tokens:] * expected[:, None], atol=1e-5)


def test_only_the_sampled_pictures_tokens_get_a_term_beside_a_kontext_reference(alone) -> None:
    reference = torch.randn(1, CHANNELS, 4, 4).expand(2, -1, -1, -1)
    term = added(alone, unit(layers="10:1"), "single_blocks.0", references=(reference,))
    assert term[:, -16:-4].any(dim=-1).all()
    assert not term[:, -4:].any()


def test_weight_per_layer_and_curve_act(alone) -> None:
    plain = sampled(alone, [])
    assert not added(alone, unit(layers="3:1"), "double_blocks.4").any()
    assert added(alone, unit(layers="3:1"), "double_blocks.6").any()
    assert torch.equal(sampled(alone, [unit(curve="0:0, 1:1")], progress=0.0), plain)
    half = sampled(alone, [unit(curve="0:0.5, 1:0.5")])
    assert close(half, sampled(alone, [unit(weight=0.5)]))
    assert "names layer 20, but FLUX with PuLID has layers 0 to 19" in refused(alone, unit(layers="20:1"))


def test_several_photos_are_read_together(alone) -> None:
    together = sampled(alone, [unit(images=[photo(1), photo(2)])])
    assert not close(together, sampled(alone, [unit(images=[photo(1)])]), 1e-3)
    assert close(together, with_pulid(alone, [(unit(images=[photo(1), photo(2)]), 1.0)]))


def test_a_negative_reference_takes_the_unconditional_rows(alone) -> None:
    usual = sampled(alone, [unit()])
    negative = sampled(alone, [unit(negative_images=[photo(3)])])
    assert torch.equal(usual[0], negative[0])
    assert not close(usual[1], negative[1], 1e-3)


def test_the_layers_are_on_the_device_only_while_sampling(alone) -> None:
    assert bytes_of(alone, [unit()]) == [0, LAYER_BYTES + KEYS_VALUES_BYTES, 0]


def test_units_with_one_file_share_its_layers(alone) -> None:
    one, two = unit(weight=0.7), unit(images=[photo(2)], weight=0.4)
    assert close(sampled(alone, [one, two]), with_pulid(alone, [(one, 0.7), (two, 0.4)]))
    assert bytes_of(alone, [one, two])[1] == LAYER_BYTES + 2 * KEYS_VALUES_BYTES


LAYER_BYTES = 20 * (2 * WIDTH * CONTEXT + 2 * WIDTH) * 4
KEYS_VALUES_BYTES = 20 * 2 * 2 * 12 * CONTEXT * 4
"""Of one unit, for conditional and unconditional rows."""


def bytes_of(host: SmallHost, units: Sequence[dict[str, Any]]) -> list[int]:
    """Return the bytes on the device before the first call of the network, after it, and after ejecting."""
    Session(host).before_sampling(Processing(), list(units))
    run, seen = host.run, list[int]()
    run.inject(host.unet)
    seen.append(run.bytes)
    run.begin_call(GUIDED, 0.0, (6, 8))
    host.unet(**given(2))
    seen.append(run.bytes)
    run.eject()
    return [*seen, run.bytes]


def test_the_published_form_is_recognised(folder: Path) -> None:
    adapter = open_adapter(folder / "pulid.safetensors")
    assert adapter.recognised.family.name == "pulid-flux"
    assert adapter.layout is PULID
    assert not adapter.reason
    assert HEADS * HEAD_DIM == WIDTH


def test_a_file_with_a_missing_layer_is_refused(tmp_path: Path) -> None:
    tensors = pulid_flux_tensors(STATE_WIDTH)
    del tensors["pulid_ca.4.to_out.weight"]
    adapter = open_adapter(save(tensors, tmp_path / "pulid.safetensors"))
    assert "to_out" in adapter.reason

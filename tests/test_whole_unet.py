"""Whole U-Nets with all 16 or 70 sites, compared with the authors' processors and with diffusers."""

from itertools import pairwise
from pathlib import Path

import pytest
import torch
from makers import adapter_tensors, nested
from torch import Tensor, nn
from unets import as_diffusers, authors_processors, diffusers_attentions, diffusers_sdxl, ldm_unet, with_units

from lib_ipadapter.engine.tokens import KeysValues, keys_and_values, project
from lib_ipadapter.networks.unet_modules import find_attentions
from lib_ipadapter.networks.unet_sites import SD, SDXL
from lib_ipadapter.weights.adapter_file import AdapterFile, checked_adapter
from lib_ipadapter.weights.recognition import recognise

pytest.importorskip("diffusers", reason="diffusers, an oracle, is not installed at this end of the versions")

CPU = torch.device("cpu")
ROLES = (0, 0, 1, 1)


def as_file(tensors: dict[str, Tensor]) -> AdapterFile:
    shapes = {key: tuple(tensor.shape) for key, tensor in tensors.items()}
    return checked_adapter(Path("a.bin"), recognise(shapes), shapes, ())


def ours(tensors: dict[str, Tensor], layout, cond: Tensor, uncond: Tensor) -> KeysValues:
    tokens = project(as_file(tensors), tensors, torch.cat([uncond, cond]))
    return keys_and_values(tensors, layout, tokens, CPU)


def close(made: Tensor, expected: Tensor, relative: float = 1e-5) -> bool:
    return (made - expected).abs().max().item() <= relative * expected.abs().max().item()


@pytest.fixture(scope="module")
def sd() -> tuple[nn.Module, nn.Module]:
    """The same U-Net with SD1.5's layout in ldm's code, which web UIs run, and in diffusers', which oracles run."""
    unet = ldm_unet()
    return unet, as_diffusers(unet)


@pytest.fixture(scope="module")
def given() -> tuple[Tensor, Tensor, Tensor]:
    """Latents, time steps and text context of two rows under the prompt and two under the negative prompt."""
    torch.manual_seed(3)
    return torch.randn(4, 4, 16, 24), torch.tensor([500, 500, 500, 500]), torch.randn(4, 77, 768)


def features(family: str, images: int = 1) -> tuple[Tensor, Tensor]:
    torch.manual_seed(4)
    states = () if family == "base" else (17,)
    uncond = torch.zeros(1, *states, 64) if family == "base" else torch.randn(1, *states, 64)
    return torch.randn(images, *states, 64), uncond


def tensors_of(family: str, layout=SD, **more) -> dict[str, Tensor]:
    size = {"widths": (32, 64, 128), "context_dim": 768, "tokens": 16 if family == "plus" else 4} | more
    return adapter_tensors(family, layout, **size)


def through_diffusers(unet: nn.Module, tensors, cond, uncond, weight, given, **more) -> Tensor:
    """Return diffusers' output with its loader and processors; each reference is one row, uncond first."""
    before = dict(unet.attn_processors)
    unet._load_ip_adapter_weights([nested(tensors)])
    for processor in unet.attn_processors.values():
        if hasattr(processor, "scale"):
            processor.scale = [weight]
    uncond = uncond.expand(len(cond), *uncond.shape[1:])
    embeds = torch.stack([cond, cond, uncond, uncond])  # (rows, references, ...)
    more = {key: dict(value) for key, value in more.items()}
    more.setdefault("added_cond_kwargs", {})["image_embeds"] = [embeds]
    latents, steps, context = given
    made = unet(latents, steps, context, **more).sample
    unet.encoder_hid_proj, unet.config.encoder_hid_dim_type = None, None  # its other attentions would be counted below
    unet.set_attn_processor(before)
    return made


def test_ldm_and_diffusers_agree_without_an_adapter(sd, given) -> None:
    latents, steps, context = given
    assert close(sd[0](latents, steps, context), sd[1](latents, steps, context).sample)


@pytest.mark.parametrize("weight", [1.0, 0.35, -1.5])
@pytest.mark.parametrize("family", ["base", "plus"])
def test_sd_with_an_adapter_equals_the_authors(sd, given, family: str, weight: float) -> None:
    tensors, (cond, uncond) = tensors_of(family), features(family)
    latents, steps, context = given
    unet, theirs = sd
    made = with_units(
        unet,
        find_attentions(unet),
        [(ours(tensors, SD, cond, uncond), weight)],
        ROLES,
        lambda: unet(latents, steps, context),
    )
    tokens = project(as_file(tensors), tensors, torch.cat([cond, uncond]))
    before = dict(theirs.attn_processors)
    layers = {key: tensor for key, tensor in tensors.items() if key.startswith("ip_adapter.")}
    authors_processors(theirs, tokens.shape[1], layers, weight)
    rows = torch.cat([context, tokens[list(ROLES)]], dim=1)
    expected = theirs(latents, steps, rows).sample
    theirs.set_attn_processor(before)
    assert not close(made, unet(latents, steps, context), 1e-2)
    assert close(made, expected)


@pytest.mark.parametrize("images", [1, 3])
@pytest.mark.parametrize("family", ["base", "plus", "full-face"])
def test_sd_with_an_adapter_equals_diffusers(sd, given, family: str, images: int) -> None:
    tensors, (cond, uncond) = tensors_of(family), features(family, images)
    latents, steps, context = given
    made = with_units(
        sd[0],
        find_attentions(sd[0]),
        [(ours(tensors, SD, cond, uncond), 0.8)],
        ROLES,
        lambda: sd[0](latents, steps, context),
    )
    assert close(made, through_diffusers(sd[1], tensors, cond, uncond, 0.8, given))


@pytest.mark.parametrize("family", ["base", "plus"])
def test_sdxl_with_an_adapter_equals_diffusers_at_all_70_sites(given, family: str) -> None:
    unet = diffusers_sdxl()
    tensors = tensors_of(family, SDXL, widths=(64, 128), context_dim=64)
    cond, uncond = features(family)
    latents, steps = given[:2]
    context = torch.randn(4, 77, 64)
    attentions = diffusers_attentions(unet, SDXL)
    assert len(attentions) == 70
    keys_values = ours(tensors, SDXL, cond, uncond)
    run = lambda: unet(latents, steps, context).sample  # noqa: E731
    plain, made = run(), with_units(unet, attentions, [(keys_values, 0.8)], ROLES, run)
    assert not close(made, plain, 1e-2)
    assert close(made, through_diffusers(unet, tensors, cond, uncond, 0.8, (latents, steps, context)))


def test_two_units_equal_two_adapters_in_diffusers(sd, given) -> None:
    latents, steps, context = given
    families = {"base": 0.7, "plus": -0.4}
    made_of = {family: (tensors_of(family, seed=len(family)), *features(family)) for family in families}
    units = [(ours(tensors, SD, cond, uncond), families[f]) for f, (tensors, cond, uncond) in made_of.items()]
    made = with_units(sd[0], find_attentions(sd[0]), units, ROLES, lambda: sd[0](latents, steps, context))
    before = dict(sd[1].attn_processors)
    sd[1]._load_ip_adapter_weights([nested(tensors) for tensors, _, _ in made_of.values()])
    for processor in sd[1].attn_processors.values():
        if hasattr(processor, "scale"):
            processor.scale = list(families.values())
    embeds = [torch.stack([cond, cond, uncond, uncond]) for _, cond, uncond in made_of.values()]
    expected = sd[1](latents, steps, context, added_cond_kwargs={"image_embeds": embeds}).sample
    sd[1].encoder_hid_proj, sd[1].config.encoder_hid_dim_type = None, None
    sd[1].set_attn_processor(before)
    assert close(made, expected)


def test_swapping_keys_and_values_of_two_similar_sites_changes_the_output(sd, given) -> None:
    """Otherwise the comparisons above could miss a wrong order of sites."""
    latents, steps, context = given
    keys_values = ours(tensors_of("base"), SD, *features("base"))

    def output(of_site) -> Tensor:
        units = [(KeysValues(of_site, torch.zeros(1, 4, 1)), 1.0)]
        return with_units(sd[0], find_attentions(sd[0]), units, ROLES, lambda: sd[0](latents, steps, context))

    right = output(keys_values.of_site)
    order = list(keys_values.of_site)
    for first, second in pairwise(order):
        swapped = dict(keys_values.of_site)
        swapped[first], swapped[second] = swapped[second], swapped[first]
        if swapped[first][0].shape == swapped[second][0].shape:
            assert not close(output(swapped), right, 1e-4), (first, second)


def test_sd2_with_an_adapter_equals_the_authors() -> None:
    unet = ldm_unet(context_dim=64, head_channels=8, use_linear_in_transformer=True)
    tensors = tensors_of("base", context_dim=64)
    cond, uncond = features("base")
    torch.manual_seed(5)
    latents, steps, context = torch.randn(4, 4, 16, 16), torch.tensor([7, 7, 7, 7]), torch.randn(4, 77, 64)
    keys_values = ours(tensors, SD, cond, uncond)
    made = with_units(unet, find_attentions(unet), [(keys_values, 1.0)], ROLES, lambda: unet(latents, steps, context))
    from diffusers import UNet2DConditionModel
    from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint

    theirs = UNet2DConditionModel(
        block_out_channels=(32, 64, 128, 128),
        cross_attention_dim=64,
        attention_head_dim=(4, 8, 16, 16),
        use_linear_projection=True,
    ).eval()
    state = {f"model.diffusion_model.{name}": tensor for name, tensor in unet.state_dict().items()}
    theirs.load_state_dict(convert_ldm_unet_checkpoint(state, dict(theirs.config)))
    with torch.no_grad():
        expected = through_diffusers(theirs, tensors, cond, uncond, 1.0, (latents, steps, context))
    assert close(made, expected)

"""Narrow U-Nets with all their sites, in ldm's and in diffusers' code, and how the oracles load adapters into them."""

from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace

import torch
from torch import Tensor, nn

from lib_ipadapter.engine.tokens import KeysValues
from lib_ipadapter.networks.attention import Bank, Term, make_bank
from lib_ipadapter.networks.unet_injection import DenoiserCall, Injection
from lib_ipadapter.networks.unet_sites import Layout, Site, sites

DIFFUSERS_BLOCKS = {
    "SD": {
        **{("input", n): f"down_blocks.{(n - 1) // 3}.attentions.{(n - 1) % 3}" for n in (1, 2, 4, 5, 7, 8)},
        ("middle", 0): "mid_block.attentions.0",
        **{("output", n): f"up_blocks.{n // 3}.attentions.{n % 3}" for n in range(3, 12)},
    },
    "SDXL": {
        **{("input", n): f"down_blocks.{(n - 1) // 3}.attentions.{(n - 1) % 3}" for n in (4, 5, 7, 8)},
        ("middle", 0): "mid_block.attentions.0",
        **{("output", n): f"up_blocks.{n // 3}.attentions.{n % 3}" for n in range(6)},
    },
}
"""diffusers' name of each spatial transformer, from the tables of diffusers' own single-file converter."""


def shuffle_zeros(unet: nn.Module, seed: int = 0) -> nn.Module:
    """Give zero-initialised layers random weights; otherwise cross-attention would have no effect."""
    torch.manual_seed(seed)
    for parameter in unet.parameters():
        if not parameter.any():
            nn.init.normal_(parameter, std=0.05)
    return unet.eval().requires_grad_(False)


def ldm_unet(context_dim: int = 768, channels: int = 32, heads: int = 8, head_channels: int = -1, **more) -> nn.Module:
    """Return ldm's real U-Net with SD1's layout (SD2's with `head_channels`), all 16 sites, `channels` wide."""
    from ldm.modules.diffusionmodules.openaimodel import UNetModel

    torch.manual_seed(1)
    return shuffle_zeros(
        UNetModel(
            image_size=32,
            in_channels=more.pop("in_channels", 4),
            out_channels=4,
            model_channels=channels,
            attention_resolutions=[4, 2, 1],
            num_res_blocks=2,
            channel_mult=[1, 2, 4, 4],
            num_heads=heads if head_channels == -1 else -1,
            num_head_channels=head_channels,
            use_spatial_transformer=True,
            context_dim=context_dim,
            use_checkpoint=False,
            legacy=False,
            **more,
        )
    )


def diffusers_sd(context_dim: int = 768, channels: int = 32, heads: int = 8) -> nn.Module:
    from diffusers import UNet2DConditionModel

    torch.manual_seed(1)
    return shuffle_zeros(
        UNet2DConditionModel(
            block_out_channels=(channels, 2 * channels, 4 * channels, 4 * channels),
            cross_attention_dim=context_dim,
            attention_head_dim=heads,
            norm_num_groups=32,
        )
    )


def diffusers_sdxl(context_dim: int = 64, channels: int = 32) -> nn.Module:
    """Return an SDXL U-Net with its 70 sites, `channels` wide at the top."""
    from diffusers import UNet2DConditionModel

    torch.manual_seed(1)
    return shuffle_zeros(
        UNet2DConditionModel(
            block_out_channels=(channels, 2 * channels, 4 * channels),
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
            transformer_layers_per_block=(1, 2, 10),
            cross_attention_dim=context_dim,
            attention_head_dim=(1, 2, 4),
            use_linear_projection=True,
            norm_num_groups=32,
        )
    )


def diffusers_attentions(unet: nn.Module, layout: Layout) -> dict[Site, nn.Module]:
    """Return the cross-attentions of a diffusers U-Net by site."""
    return {
        site: unet.get_submodule(
            f"{DIFFUSERS_BLOCKS[layout.name][site.block, site.number]}.transformer_blocks.{site.depth}.attn2"
        )
        for site in sites(layout)
    }


class AsLdm(nn.Module):
    """A diffusers U-Net with ldm's names: its cross-attentions have the web UIs' paths, and its call is the same."""

    def __init__(self, unet: nn.Module, layout: Layout) -> None:
        super().__init__()
        object.__setattr__(self, "unet", unet)
        for site, attention in diffusers_attentions(unet, layout).items():
            place: nn.Module = self
            *folders, name = site.path.split(".")
            for folder in folders:
                if folder not in place._modules:
                    place.add_module(folder, nn.Module())
                place = place._modules[folder]
            place.add_module(name, attention)

    def forward(self, latents: Tensor, steps: Tensor, context: Tensor) -> Tensor:
        return self.unet(latents, steps, context).sample


def as_diffusers(unet: nn.Module, channels: int = 32, context_dim: int = 768, heads: int = 8) -> nn.Module:
    """Return diffusers' U-Net with the weights of an ldm one, translated by diffusers' own converter."""
    from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint

    there = diffusers_sd(context_dim, channels, heads)
    state = {f"model.diffusion_model.{name}": tensor for name, tensor in unet.state_dict().items()}
    there.load_state_dict(convert_ldm_unet_checkpoint(state, dict(there.config)))
    return there


def call_of(units: Sequence[tuple[KeysValues, float]], row_kinds: Sequence[int]) -> DenoiserCall:
    """Return a call with the banks of `units`; all references of a unit share one softmax.

    The first set of keys and values is the unconditional one.
    """

    def term(keys_values: KeysValues, site: Site, weight: float) -> Term:
        keys, values = keys_values.of_site[site]
        unconditional = [0] * (len(keys) - 1)
        pairs = [torch.stack([each[1:].flatten(0, 1), each[unconditional].flatten(0, 1)]) for each in (keys, values)]
        return Term(pairs[0], pairs[1], weight)

    def bank(site: Site, heads: int, query: Tensor, _size: object) -> Bank:
        return make_bank([term(keys_values, site, weight) for keys_values, weight in units], heads, query)

    return DenoiserCall(tuple(row_kinds), bank)


def with_units(
    unet: nn.Module,
    attentions: Mapping[Site, nn.Module],
    units: Sequence[tuple[KeysValues, float]],
    row_kinds: Sequence[int],
    run: Callable[[], Tensor],
) -> Tensor:
    """Return what `run` returns with the units injected."""
    injection = Injection(unet, attentions)
    injection.inject()
    injection.call = call_of(units, row_kinds)
    try:
        return run()
    finally:
        injection.eject()


def authors_processors(unet: nn.Module, tokens: int, layers: Mapping[str, Tensor], scale: float) -> None:
    """Put the processors of IP-Adapter's authors on a diffusers U-Net and load an adapter as their code does."""
    import diffusers.pipelines.controlnet as pipelines
    from diffusers.models.controlnets.multicontrolnet import MultiControlNetModel

    pipelines.MultiControlNetModel = MultiControlNetModel  # where the authors' package of 2023 looks for it
    from ip_adapter.ip_adapter import IPAdapter

    theirs = IPAdapter.__new__(IPAdapter)
    theirs.device, theirs.num_tokens = "cpu", tokens
    theirs.pipe = SimpleNamespace(unet=unet)
    theirs.set_ip_adapter()
    modules = nn.ModuleList(unet.attn_processors.values())
    modules.to(next(unet.parameters()).dtype)  # their code makes them in half precision
    modules.load_state_dict({key.removeprefix("ip_adapter."): tensor for key, tensor in layers.items()})
    theirs.set_scale(scale)

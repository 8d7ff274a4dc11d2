"""FLUX.1's network for tests: narrow, but with all its blocks, under the names that every checkpoint has.

`flux` is the restated network, and `own_flux` a web UI's own class, where IP_ADAPTER_FLUX_HOSTS names the folders of
Forge and Forge Neo. `as_diffusers` gives diffusers the same weights.
"""

import importlib.util
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from makers import projector_tensors
from torch import Tensor, nn
from torch.nn import functional

from lib_ipadapter.networks.flux_sites import DOUBLES, SINGLES
from lib_ipadapter.weights.projectors import FaceProjector, LinearProjector

sys.path.append(str(Path(__file__).resolve().parent.parent / "benchmarks"))

from flux_network import AXES, HEAD_DIM, MLP, Flux, FluxShape, patches, picture_of

NARROW = FluxShape(heads=2, text=24, pooled=16, channels=4)
HEADS, TEXT, POOLED, CHANNELS, WIDTH = NARROW.heads, NARROW.text, NARROW.pooled, NARROW.channels, NARROW.width

SIZES: dict[str, Any] = {
    "in_channels": CHANNELS,
    "vec_in_dim": POOLED,
    "context_in_dim": TEXT,
    "hidden_size": WIDTH,
    "mlp_ratio": MLP,
    "num_heads": HEADS,
    "depth": DOUBLES,
    "depth_single_blocks": SINGLES,
    "axes_dim": list(AXES),
    "theta": 10000,
    "qkv_bias": True,
    "guidance_embed": True,
}


def randomised(network: nn.Module, seed: int = 0) -> nn.Module:
    """Give every parameter small random values that do not depend on the parameters' order."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in sorted(network.named_parameters()):
        scale = (0.3 if "mod" in name else 1.0) * parameter.shape[-1] ** -0.5 if parameter.dim() > 1 else 0.1
        parameter.data = torch.randn(parameter.shape, generator=generator) * scale
        if name.endswith(("_norm.scale", "_norm.weight")):
            parameter.data += 1.0
    return network.eval().requires_grad_(False)


def flux() -> nn.Module:
    return randomised(Flux(NARROW))


def web_uis() -> list[Path]:
    """Return the folders of the web UIs of the Forge family whose own FLUX is tested too."""
    return [Path(folder) for folder in os.environ.get("IP_ADAPTER_FLUX_HOSTS", "").split(os.pathsep) if folder]


def _attend(q: Tensor, k: Tensor, v: Tensor, heads: int, **_: Any) -> Tensor:
    return functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)


def _apply_rope(q: Tensor, k: Tensor, pe: Tensor) -> tuple[Tensor, Tensor]:
    def of(x: Tensor) -> Tensor:
        pairs = x.reshape(*x.shape[:-1], -1, 1, 2)
        return (pe[..., 0] * pairs[..., 0] + pe[..., 1] * pairs[..., 1]).reshape(x.shape)

    return of(q), of(k)


def _pad(x: Tensor, _size: Any) -> Tensor:
    return functional.pad(x, (0, x.shape[-1] % 2, 0, x.shape[-2] % 2), mode="circular")


@contextmanager
def _backend() -> Iterator[ModuleType]:
    """Stand in for the parts of a web UI that its FLUX imports, and that need all of it."""
    made = {
        "backend": {},
        "backend.attention": {"attention_function": _attend},
        "backend.utils": {
            "fp16_fix": lambda x: x,
            "tensor2parameter": lambda x: nn.Parameter(x, requires_grad=False),
            "pad_to_patch_size": _pad,
        },
        "backend.memory_management": {
            "is_device_mps": lambda _: False,
            "is_intel_xpu": lambda: False,
            "is_directml_enabled": lambda: False,
        },
        "backend.args": {"dynamic_args": type("Args", (), {"ref_latents": None})},
        "comfy_kitchen": {"apply_rope": _apply_rope, "apply_rope1": None},
    }
    before = {name: sys.modules.get(name) for name in made}
    for name, names in made.items():
        module = sys.modules[name] = ModuleType(name)
        vars(module).update(names)
    sys.modules["backend"].memory_management = sys.modules["backend.memory_management"]
    try:
        yield sys.modules["backend.args"]
    finally:
        for name, module in before.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module


def own_flux(web_ui: Path) -> nn.Module:
    """Return a web UI's own network with the weights of `flux`."""
    path = web_ui / "backend" / "nn" / "flux.py"
    spec = importlib.util.spec_from_file_location(f"flux_of_{abs(hash(path))}", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    with _backend():
        spec.loader.exec_module(module)
    made = module.IntegratedFluxTransformer2DModel
    more = {"out_channels": CHANNELS, "patch_size": 2} if "patch_size" in made.__init__.__annotations__ else {}
    network = made(**SIZES, **more).eval().requires_grad_(False)
    state = flux().state_dict()
    if "double_blocks.0.img_attn.norm.query_norm.weight" in network.state_dict():  # Forge Neo renames them as it loads
        state = {name.replace("_norm.scale", "_norm.weight"): tensor for name, tensor in state.items()}
    network.load_state_dict(state)
    return network


PARTS = {
    "time_in": "time_text_embed.timestep_embedder",
    "guidance_in": "time_text_embed.guidance_embedder",
    "vector_in": "time_text_embed.text_embedder",
    "in_layer": "linear_1",
    "out_layer": "linear_2",
    "txt_in": "context_embedder",
    "img_in": "x_embedder",
    "double_blocks": "transformer_blocks",
    "single_blocks": "single_transformer_blocks",
    "img_mod.lin": "norm1.linear",
    "txt_mod.lin": "norm1_context.linear",
    "modulation.lin": "norm.linear",
    "img_attn.norm.query_norm.scale": "attn.norm_q.weight",
    "img_attn.norm.key_norm.scale": "attn.norm_k.weight",
    "txt_attn.norm.query_norm.scale": "attn.norm_added_q.weight",
    "txt_attn.norm.key_norm.scale": "attn.norm_added_k.weight",
    "norm.query_norm.scale": "attn.norm_q.weight",
    "norm.key_norm.scale": "attn.norm_k.weight",
    "img_mlp.0": "ff.net.0.proj",
    "img_mlp.2": "ff.net.2",
    "txt_mlp.0": "ff_context.net.0.proj",
    "txt_mlp.2": "ff_context.net.2",
    "img_attn.proj": "attn.to_out.0",
    "txt_attn.proj": "attn.to_add_out",
    "linear2": "proj_out",
    "final_layer.linear": "proj_out",
    "final_layer.adaLN_modulation.1": "norm_out.linear",
}
"""Parts of names in a checkpoint, and diffusers' for them (`convert_flux_transformer_checkpoint_to_diffusers`, which is
written for the full width alone)."""

SPLIT = {
    "img_attn.qkv": ("attn.to_q", "attn.to_k", "attn.to_v"),
    "txt_attn.qkv": ("attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj"),
    "linear1": ("attn.to_q", "attn.to_k", "attn.to_v", "proj_mlp"),
}
"""Layers that diffusers has in several."""


def _diffusers_names(state: dict[str, Tensor]) -> dict[str, Tensor]:
    made = {}
    for name, tensor in state.items():
        joined = next((part for part in SPLIT if f".{part}." in name), "")
        if joined:
            parts = [WIDTH] * 3 + [MLP * WIDTH] * (joined == "linear1")
            for theirs, rows in zip(SPLIT[joined], tensor.split(parts), strict=True):
                made[name.replace(joined, theirs)] = rows
        elif "adaLN" in name:
            made[name] = torch.cat(tensor.chunk(2)[::-1])  # shift and scale change places
        else:
            made[name] = tensor
    for part, theirs in PARTS.items():
        made = {re.sub(rf"(^|\.){re.escape(part)}(?=\.|$)", rf"\1{theirs}", name): each for name, each in made.items()}
    return made


class AsFlux(nn.Module):
    """diffusers' network, called as `Flux` is."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor, timestep: Tensor, context: Tensor, y: Tensor, guidance: Tensor, **more: Any) -> Tensor:
        height, width = ((side + 1) // 2 for side in x.shape[-2:])
        places = torch.cartesian_prod(torch.zeros(1), torch.arange(float(height)), torch.arange(float(width)))
        made = self.network(
            patches(x),
            encoder_hidden_states=context,
            pooled_projections=y,
            timestep=timestep,
            guidance=guidance,
            img_ids=places,
            txt_ids=torch.zeros(context.shape[1], 3),
            **more,
        ).sample
        return picture_of(made, height, width)


def as_diffusers() -> nn.Module:
    """Return diffusers' network with the weights of `flux`."""
    pytest.importorskip("diffusers", reason="diffusers, an oracle, is not installed at this end of the versions")
    from diffusers import FluxTransformer2DModel

    there = FluxTransformer2DModel(
        in_channels=4 * CHANNELS,
        num_layers=DOUBLES,
        num_single_layers=SINGLES,
        attention_head_dim=HEAD_DIM,
        num_attention_heads=HEADS,
        joint_attention_dim=TEXT,
        pooled_projection_dim=POOLED,
        guidance_embeds=True,
        axes_dims_rope=AXES,
    )
    there.load_state_dict(_diffusers_names(dict(flux().state_dict())))
    return AsFlux(there.eval().requires_grad_(False))


def layers_of(count: int, context_dim: int, biases: bool, seed: int = 0) -> dict[str, Tensor]:
    """Return random keys and values of each block under canonical keys; all blocks differ."""
    generator = torch.Generator().manual_seed(seed)
    made = {}
    for i in range(count):
        for name in ("to_k_ip", "to_v_ip"):
            weight = torch.randn(WIDTH, context_dim, generator=generator) * (1 + 0.1 * (i % 7)) * context_dim**-0.5
            made[f"ip_adapter.{i}.{name}.weight"] = weight
            if biases:
                made[f"ip_adapter.{i}.{name}.bias"] = torch.randn(WIDTH, generator=generator) * 0.1
    return made


def instantx_tensors(features: int, tokens: int = 4, context_dim: int = 32, seed: int = 0) -> dict[str, Tensor]:
    """Return a random adapter of InstantX's under its published keys."""
    projector = projector_tensors(FaceProjector(features, tokens, context_dim), seed)
    return projector | layers_of(DOUBLES + SINGLES, context_dim, False, seed)


def xlabs_tensors(features: int, tokens: int = 4, context_dim: int = 32, seed: int = 0) -> dict[str, Tensor]:
    """Return a random adapter of XLabs' under its published keys."""
    projector = projector_tensors(LinearProjector(features, tokens, context_dim), seed)
    made = {name.replace("image_proj", "ip_adapter_proj_model"): tensor for name, tensor in projector.items()}
    for name, tensor in layers_of(DOUBLES, context_dim, True, seed).items():
        _, number, layer, kind = name.split(".")
        published = f"ip_adapter_double_stream_{layer.removeprefix('to_')[0]}_proj.{kind}"
        made[f"double_blocks.{number}.processor.{published}"] = tensor
    return made

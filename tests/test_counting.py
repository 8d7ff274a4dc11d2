"""docs/performance.md has the tables that benchmarks/counting.py makes, and the U-Nets have the stated operations."""

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

ROOT = Path(__file__).resolve().parent.parent
sys.path.append(str(ROOT / "benchmarks"))

import counting  # noqa: E402 after its folder is on the path

SD: dict[str, Any] = {"cross_attention_dim": 768}
SDXL: dict[str, Any] = {
    "block_out_channels": (320, 640, 1280),
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "transformer_layers_per_block": (1, 2, 10),
    "attention_head_dim": (5, 10, 20),
    "cross_attention_dim": 2048,
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 2816,
}
"""Settings of diffusers' U-Net that differ from its defaults."""


def test_the_page_has_the_tables_of_the_script() -> None:
    page = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
    for table in (counting.counted(), counting.floors()):
        assert "\n".join(table) in page


def test_what_is_added_grows_with_tokens_and_what_is_moved_with_terms() -> None:
    for network in counting.NETWORKS:
        assert counting.operations(network, (16,)) == 4 * counting.operations(network, (4,))
        assert counting.moved(network, (16,)) == counting.moved(network, (4,))
        assert counting.moved(network, (4, 16)) == 2 * counting.moved(network, (4,))


@pytest.mark.parametrize(("network", "settings"), [*zip(counting.NETWORKS, (SD, SDXL), strict=True)])
def test_a_unet_has_the_stated_operations(network: counting.Network, settings: dict[str, Any]) -> None:
    diffusers = pytest.importorskip("diffusers", reason="diffusers, an oracle, is not installed at this end")
    with torch.device("meta"):
        unet = diffusers.UNet2DConditionModel(**settings)
        latent = torch.empty(1, 4, network.latent, network.latent)
        text = torch.empty(1, 77, settings["cross_attention_dim"])
        more = {"text_embeds": torch.empty(1, 1280), "time_ids": torch.empty(1, 6)}
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            unet(latent, torch.empty(1), text, added_cond_kwargs=more)
    assert counter.get_total_flops() == pytest.approx(network.operations, rel=0.001)

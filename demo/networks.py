"""The networks of the small model: the layouts of Stable Diffusion 1 and CLIP, at smaller sizes.

U-Net and autoencoder are the real `ldm` classes. The two CLIP towers are written out, so nothing here depends on
the version of transformers; their parameters have the names that it uses.
"""

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional

from .tokenizer import TOKENS
from .widening import begin_with_means, widen

CONTEXT = 64
"""Width of the text context."""
EMBED = 64
"""Width of CLIP's image and text embeddings."""
LATENT = 4
FACTOR = 8
"""Pixels along each side of a latent's cell."""

UNET = {
    "image_size": 8,
    "in_channels": LATENT,
    "out_channels": LATENT,
    "model_channels": 64,
    "attention_resolutions": [4, 2, 1],
    "num_res_blocks": 2,
    "channel_mult": [1, 1, 1, 1],
    "num_heads": 2,
    "use_spatial_transformer": True,
    "transformer_depth": 1,
    "context_dim": CONTEXT,
    "use_checkpoint": False,
    "legacy": False,
}
"""Stable Diffusion 1's topology with all 16 cross-attentions; only widths differ.

Norms have 32 groups. With 32 channels they would remove each channel's mean, and with it the colour of a plain area.
"""

AUTOENCODER = {
    "double_z": True,
    "z_channels": LATENT,
    "resolution": 64,
    "in_channels": 3,
    "out_ch": 3,
    "ch": 96,
    "ch_mult": [1, 1, 1, 1],
    "num_res_blocks": 0,
    "attn_resolutions": [],
    "dropout": 0.0,
}

TEXT = {"width": CONTEXT, "heads": 2, "mlp": 128, "layers": 2}
VISION = {"width": 128, "heads": 2, "mlp": 256, "layers": 3}
PATCH = 8


def make_unet() -> nn.Module:
    from ldm.modules.diffusionmodules.openaimodel import UNetModel

    return UNetModel(**UNET)


class Autoencoder(nn.Module):
    """Pixels in -1..1 to latents and back; has the parameters of ldm's AutoencoderKL, but not its training code."""

    def __init__(self, channels: int = AUTOENCODER["ch"]) -> None:
        from ldm.modules.diffusionmodules.model import Decoder, Encoder

        super().__init__()
        self.encoder = Encoder(**AUTOENCODER | {"ch": channels})
        self.decoder = Decoder(**AUTOENCODER | {"ch": channels})
        self.quant_conv = nn.Conv2d(2 * LATENT, 2 * LATENT, 1)
        self.post_quant_conv = nn.Conv2d(LATENT, LATENT, 1)

    def encode(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and log variance of the latents: (pictures, 4, size / 8, size / 8) each."""
        mean, log_variance = self.quant_conv(self.encoder(pixels)).chunk(2, 1)
        return mean, log_variance.clamp(-30, 20)

    def decode(self, latents: Tensor) -> Tensor:
        return self.decoder(self.post_quant_conv(latents))


PLAIN_CHANNELS = AUTOENCODER["ch"] // 3
"""Channels of the autoencoder while it is trained; `widening` says why."""


def plain_autoencoder() -> Autoencoder:
    """Return the autoencoder as it is trained: narrow, without norms and attention."""
    network = Autoencoder(PLAIN_CHANNELS)
    for half in (network.encoder, network.decoder):
        half.mid.attn_1 = nn.Identity()
        half.norm_out = nn.Identity()
        for block in half.modules():
            if hasattr(block, "norm1"):
                block.norm1 = block.norm2 = nn.Identity()
                nn.init.zeros_(block.conv2.weight)
    begin_with_means(network)
    return network


def widened(plain: Autoencoder) -> Autoencoder:
    """Return ldm's own autoencoder with the weights to compute what `plain` does, to a part in a thousand."""
    wide = Autoencoder()
    widen(plain, wide)
    return wide


class Attention(nn.Module):
    """CLIP's self-attention. (rows, tokens, width) -> the same"""

    def __init__(self, width: int, heads: int, causal: bool) -> None:
        super().__init__()
        self.heads = heads
        self.causal = causal
        self.q_proj = nn.Linear(width, width)
        self.k_proj = nn.Linear(width, width)
        self.v_proj = nn.Linear(width, width)
        self.out_proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (
            rearrange(project(x), "rows tokens (heads dim) -> rows heads tokens dim", heads=self.heads)
            for project in (self.q_proj, self.k_proj, self.v_proj)
        )
        attended = functional.scaled_dot_product_attention(q, k, v, is_causal=self.causal)
        return self.out_proj(rearrange(attended, "rows heads tokens dim -> rows tokens (heads dim)"))


class FeedForward(nn.Module):
    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, inner)
        self.fc2 = nn.Linear(inner, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(functional.gelu(self.fc1(x)))


class Layer(nn.Module):
    def __init__(self, width: int, heads: int, mlp: int, causal: bool) -> None:
        super().__init__()
        self.self_attn = Attention(width, heads, causal)
        self.layer_norm1 = nn.LayerNorm(width)
        self.mlp = FeedForward(width, mlp)
        self.layer_norm2 = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.self_attn(self.layer_norm1(x))
        return x + self.mlp(self.layer_norm2(x))


def _layers(width: int, heads: int, mlp: int, layers: int, causal: bool) -> nn.Module:
    return nn.ModuleDict({"layers": nn.ModuleList(Layer(width, heads, mlp, causal) for _ in range(layers))})


class TextModel(nn.Module):
    """CLIP's text tower. (rows, 77) token numbers -> (rows, 77, width), after the final norm"""

    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        width = TEXT["width"]
        self.embeddings = nn.ModuleDict(
            {"token_embedding": nn.Embedding(vocabulary, width), "position_embedding": nn.Embedding(TOKENS, width)}
        )
        for embedding in self.embeddings.values():
            nn.init.normal_(embedding.weight, std=0.1)
        self.encoder = _layers(**TEXT, causal=True)
        self.final_layer_norm = nn.LayerNorm(width)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.embeddings["token_embedding"](tokens) + self.embeddings["position_embedding"].weight
        for layer in self.encoder["layers"]:
            x = layer(x)
        return self.final_layer_norm(x)


class VisionEmbeddings(nn.Module):
    """Patches and the class token, with their positions. (pictures, 3, size, size) -> (pictures, states, width)"""

    def __init__(self, size: int, width: int) -> None:
        super().__init__()
        self.class_embedding = nn.Parameter(torch.randn(width) * width**-0.5)
        self.patch_embedding = nn.Conv2d(3, width, PATCH, PATCH, bias=False)
        self.position_embedding = nn.Embedding((size // PATCH) ** 2 + 1, width)
        nn.init.normal_(self.position_embedding.weight, std=0.1)

    def forward(self, pixels: Tensor) -> Tensor:
        patches = rearrange(self.patch_embedding(pixels), "pictures width y x -> pictures (y x) width")
        first = self.class_embedding.expand(len(pixels), 1, -1)
        return torch.cat([first, patches], 1) + self.position_embedding.weight


class VisionModel(nn.Module):
    """CLIP's vision tower. Returns the pooled class token (pictures, width) and the second-to-last layer's output."""

    def __init__(self, size: int) -> None:
        super().__init__()
        width = VISION["width"]
        self.embeddings = VisionEmbeddings(size, width)
        self.pre_layrnorm = nn.LayerNorm(width)
        self.encoder = _layers(**VISION, causal=False)
        self.post_layernorm = nn.LayerNorm(width)

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        x = self.pre_layrnorm(self.embeddings(pixels))
        *before, last = self.encoder["layers"]
        for layer in before:
            x = layer(x)
        return self.post_layernorm(last(x)[:, 0]), x


class TextTower(nn.Module):
    """What Stable Diffusion conditions on; `text_projection` is only for training and not part of the checkpoint."""

    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        self.text_model = TextModel(vocabulary)
        self.text_projection = nn.Linear(TEXT["width"], EMBED, bias=False)

    def forward(self, tokens: Tensor, end: int) -> Tensor:
        """Return the embedding at the first end token of each row: (rows, 64)."""
        states = self.text_model(tokens)
        return self.text_projection(states[torch.arange(len(tokens)), (tokens == end).int().argmax(1)])


class VisionTower(nn.Module):
    """(pictures, 3, size, size), normalised -> image embeddings (pictures, 64) and hidden states"""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.vision_model = VisionModel(size)
        self.visual_projection = nn.Linear(VISION["width"], EMBED, bias=False)

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        pooled, hidden = self.vision_model(pixels)
        return self.visual_projection(pooled), hidden

"""How the small model's adapters are trained: what they see, their networks, and how they join the U-Net."""

import random
from collections.abc import Callable
from dataclasses import dataclass

import torch
from einops import rearrange
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from lib_ipadapter.networks.unet_sites import SD, sites
from lib_ipadapter.weights.projectors import LinearProjector, Resampler

from .networks import CONTEXT, EMBED, VISION, VisionTower

Sight = Callable[[Image.Image, random.Random], Image.Image]


def see_part(picture: Image.Image, dice: random.Random) -> Image.Image:
    """Return a square part of a picture, at least two fifths as wide, rotated and mirrored at random.

    Colours stay and the form does not, so the adapter learns to leave the form to the text, which names it.
    """
    side = round(picture.width * dice.uniform(0.4, 1.0))
    left, upper = dice.randint(0, picture.width - side), dice.randint(0, picture.height - side)
    part = picture.crop((left, upper, left + side, upper + side)).resize(picture.size, Image.Resampling.BICUBIC)
    turned = part.rotate(90 * dice.randrange(4))
    return turned.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if dice.random() < 0.5 else turned


def see_whole(picture: Image.Image, dice: random.Random) -> Image.Image:
    """Return the picture itself, as in the authors' training."""
    return picture


def embedding(tower: VisionTower, pixels: Tensor) -> Tensor:
    return tower(pixels)[0]


def hidden_states(tower: VisionTower, pixels: Tensor) -> Tensor:
    return tower(pixels)[1]


def zero_embedding(tower: VisionTower, size: int) -> Tensor:
    return torch.zeros(EMBED)


def zero_picture(tower: VisionTower, size: int) -> Tensor:
    """Return the hidden states of the authors' unconditional picture, zeros after normalisation."""
    with torch.no_grad():
        return hidden_states(tower, torch.zeros(1, 3, size, size))[0]


@dataclass(frozen=True)
class Plan:
    """How one adapter is trained."""

    projector: Callable[[], nn.Module]
    see: Sight
    features: Callable[[VisionTower, Tensor], Tensor]
    nothing: Callable[[VisionTower, int], Tensor]
    """Features of a reference that is left out."""
    words: tuple[int, ...]
    """Each token starts as a word: that word's place in "a red circle on white", where the start token is 0."""
    word_steps: int
    """Training steps that make the tokens start as words, before the U-Net is used."""
    steps: int
    batch: int
    peak: float
    """Highest learning rate."""


COLOUR, SHAPE, GROUND = 2, 3, 5
"""Places of words, as in `Plan.words`."""

ADAPTERS = {
    "base": Plan(
        projector=lambda: LinearProjector(EMBED, 4, CONTEXT),
        see=see_part,
        features=embedding,
        nothing=zero_embedding,
        words=(COLOUR, GROUND) * 2,
        word_steps=800,
        steps=300,
        batch=32,
        peak=5e-4,
    ),
    "plus": Plan(
        projector=lambda: Resampler(VISION["width"], 16, 64, 1, CONTEXT, 2),
        see=see_whole,
        features=hidden_states,
        nothing=zero_picture,
        words=(COLOUR, GROUND, SHAPE, SHAPE) * 4,
        word_steps=250,
        steps=300,
        batch=32,
        peak=5e-4,
    ),
}


class Adapter(nn.Module):
    """An adapter with the parameter names of its file; keys and values start as the text's."""

    def __init__(self, projector: nn.Module, unet: nn.Module) -> None:
        super().__init__()
        self.image_proj = projector
        if isinstance(projector, Resampler):
            nn.init.normal_(projector.latents, std=projector.latents.shape[-1] ** -0.5)
        attentions = {site: unet.get_submodule(site.path) for site in sites(SD)}
        self.ip_adapter = nn.ModuleDict(
            {
                site.key: nn.ModuleDict({"to_k_ip": _copy(attention.to_k), "to_v_ip": _copy(attention.to_v)})
                for site, attention in attentions.items()
            }
        )


def _copy(linear: nn.Linear) -> nn.Linear:
    copied = nn.Linear(linear.in_features, linear.out_features, bias=False)
    copied.load_state_dict(linear.state_dict())
    return copied


class Trainee:
    """An adapter on a U-Net, with a reference for each row and with gradients, which the library does not need."""

    def __init__(self, unet: nn.Module, adapter: Adapter) -> None:
        self._unet, self._adapter = unet, adapter
        self._tokens: Tensor | None = None
        for site in sites(SD):
            self._join(unet.get_submodule(site.path), adapter.ip_adapter[site.key])

    def _join(self, attention: nn.Module, pair: nn.Module) -> None:
        """Add the image attention to the input of the output projection."""
        queries: list[Tensor] = []

        def keep(_module: nn.Module, _args: tuple[Tensor, ...], query: Tensor) -> None:
            queries.append(query)

        def add(_module: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            q, k, v = (
                rearrange(x, "rows tokens (heads dim) -> rows heads tokens dim", heads=attention.heads)
                for x in (queries.pop(), pair["to_k_ip"](self._tokens), pair["to_v_ip"](self._tokens))
            )
            image = functional.scaled_dot_product_attention(q, k, v)
            return (args[0] + rearrange(image, "rows heads tokens dim -> rows tokens (heads dim)"),)

        attention.to_q.register_forward_hook(keep)
        attention.to_out[0].register_forward_pre_hook(add)

    def __call__(self, noisy: Tensor, times: Tensor, context: Tensor, features: Tensor) -> Tensor:
        """Return the U-Net's output, with the features of one reference for each row."""
        self._tokens = self._adapter.image_proj(features)
        return self._unet(noisy, times, context)

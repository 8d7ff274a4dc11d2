"""Enhance: encodes a large reference's squares for more detail, and averages their features to those of one picture.

Based on ComfyUI_IPAdapter_plus's CLIP vision enhancer (`utils.encode_image_masked`), with three differences. The
reference is made square before it is cut, so no part is lost. The whole and the squares are also mixed for a single
reference, which becomes two references there. Image embeddings are averaged, which are treated as pictures there.
"""

from collections.abc import Sequence

import torch
from einops import rearrange, reduce
from torch import Tensor

from .clip_vision import Features


def squares_of(pixels: Tensor, count: int) -> list[Tensor]:
    """Return a square picture (3, count * size, count * size) as its count² squares, row by row.

    Each is (3, size, size), with values in 0..1.
    """
    return list(rearrange(pixels, "c (row h) (column w) -> (row column) c h w", row=count, column=count))


def enhanced(whole: Features, squares: Sequence[Features], count: int, ratio: float) -> Features:
    """Return a picture's features mixed with those of its count² squares; `ratio` (0..1) is the picture's share."""
    hidden = _pooled(torch.cat([square.hidden for square in squares]), count)
    embed = torch.cat([square.embed for square in squares]).mean(dim=0, keepdim=True)
    return Features(torch.lerp(embed, whole.embed, ratio), torch.lerp(hidden, whole.hidden, ratio))


def _pooled(hidden: Tensor, count: int) -> Tensor:
    """Average the squares' patches to the patches of one picture: (squares, states, width) -> (1, states, width)."""
    side = round((hidden.shape[1] - 1) ** 0.5)
    finer = rearrange(
        hidden[:, 1:], "(row column) (y x) w -> (row y) (column x) w", row=count, column=count, y=side, x=side
    )
    places = reduce(finer, "(y fine_y) (x fine_x) w -> 1 (y x) w", "mean", fine_y=count, fine_x=count)
    return torch.cat([hidden[:, :1].mean(dim=0, keepdim=True), places], dim=1)

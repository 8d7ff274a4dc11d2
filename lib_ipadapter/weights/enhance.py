"""More of a large reference's detail: its squares' features, averaged back to those of one picture.

The idea is ComfyUI_IPAdapter_plus's CLIP vision enhancer (`utils.encode_image_masked`). It differs in three ways: the
reference is made square before it is cut, so that nothing between the squares is lost; the whole and the squares are
mixed for one reference as for several, where theirs makes two references of one; and image embeddings are averaged,
where theirs lays them out as if they were pictures.
"""

from collections.abc import Sequence

import torch
from einops import rearrange, reduce
from torch import Tensor

from .clip_vision import Features


def squares_of(pixels: Tensor, count: int) -> list[Tensor]:
    """Return the pixels of a square picture (3, count * size, count * size) as its count² squares, row by row.

    Each is (3, size, size), with values in 0..1.
    """
    return list(rearrange(pixels, "c (row h) (column w) -> (row column) c h w", row=count, column=count))


def enhanced(whole: Features, squares: Sequence[Features], count: int, ratio: float) -> Features:
    """Return the features of a picture mixed with those of its count² squares; `ratio` (0..1) is the picture's part."""
    hidden = _pooled(torch.cat([square.hidden for square in squares]), count)
    embed = torch.cat([square.embed for square in squares]).mean(dim=0, keepdim=True)
    return Features(torch.lerp(embed, whole.embed, ratio), torch.lerp(hidden, whole.hidden, ratio))


def _pooled(hidden: Tensor, count: int) -> Tensor:
    """Return each place's mean over the finer places that it covers: (squares, states, width) -> (1, states, width)."""
    side = round((hidden.shape[1] - 1) ** 0.5)
    finer = rearrange(
        hidden[:, 1:], "(row column) (y x) w -> (row y) (column x) w", row=count, column=count, y=side, x=side
    )
    places = reduce(finer, "(y fine_y) (x fine_x) w -> 1 (y x) w", "mean", fine_y=count, fine_x=count)
    return torch.cat([hidden[:, :1].mean(dim=0, keepdim=True), places], dim=1)

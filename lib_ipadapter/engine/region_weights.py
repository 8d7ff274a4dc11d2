"""Region weights: masks and boxes resampled to the query positions of a site.

A U-Net downsamples with stride 2 and padding 1, so each level has ceil(n / 2) rows and columns of the level before.
Deriving the grid from the square root of the number of positions is wrong, or even transposed, at many sizes.
"""

import math
from collections.abc import Sequence

import torch
from PIL import Image
from torch import Tensor

from ..base.boxes import Box, Size
from ..unit.region_text import Area


def grid_of(latent: Size, level: int, queries: int) -> Size:
    """Return the rows and columns of a site's query positions, for a latent image of this size.

    Where another extension changes the size inside the U-Net, so that `queries` does not match, the grid with that many
    positions and the nearest aspect ratio is returned.
    """
    halved = [latent]
    while max(halved[-1]) > 1:
        halved.append(((halved[-1][0] + 1) // 2, (halved[-1][1] + 1) // 2))
    own = halved[min(level, len(halved) - 1)]
    fitting = [size for size in (own, *halved) if size[0] * size[1] == queries]
    return fitting[0] if fitting else _nearest(queries, latent[0] / latent[1])


def _nearest(queries: int, aspect: float) -> Size:
    heights = [height for height in range(1, queries + 1) if queries % height == 0]
    height = min(heights, key=lambda height: abs(math.log(height * height / queries / aspect)))
    return height, queries // height


def covers(grid: Size, latent: Size) -> bool:
    """Return whether a grid has the aspect ratio of the whole latent image, up to rounding.

    Otherwise another extension drops query positions, as token merging does, or passes only a part of them.
    """
    (rows, columns), (height, width) = grid, latent
    return abs(rows * width - columns * height) <= max(height, width)


def of_mask(mask: Image.Image, box: Box, grid: Size) -> Tensor:
    """Return the part of a mask inside `box`, averaged over each position of a grid: (rows * columns,), 0..1.

    `mask` has one channel of floats from 0 to 1. A pixel that overlaps two positions counts partly in each.
    """
    left, upper, right, lower = box
    pixels = torch.frombuffer(bytearray(mask.tobytes()), dtype=torch.float32).view(mask.height, mask.width).double()
    rows, columns = _shares(upper, lower, grid[0], mask.height), _shares(left, right, grid[1], mask.width)
    return (rows @ pixels @ columns.T).flatten().float().clamp(0.0, 1.0)


def _shares(first: float, last: float, count: int, pixels: int) -> Tensor:
    """Return each pixel's share in each of `count` positions between two fractions: (count, pixels)."""
    edges = (first + (last - first) * torch.arange(count + 1, dtype=torch.float64) / count) * pixels
    left, right = edges[:-1, None], edges[1:, None]
    pixel = torch.arange(pixels)
    covered = (torch.minimum(right, pixel + 1) - torch.maximum(left, pixel)).clamp(min=0.0)
    return covered / (right - left)


def of_area(area: Area, box: Box, grid: Size) -> Tensor:
    """Return an area's weight at each position of a grid over `box`, averaged per position: (rows * columns,), 0..1."""
    left, upper, right, lower = area.box
    rows = _between(upper, lower, area.feather, (box[1], box[3]), grid[0])
    columns = _between(left, right, area.feather, (box[0], box[2]), grid[1])
    return torch.outer(rows, columns).flatten()


def _between(first: float, last: float, feather: float, span: tuple[float, float], count: int) -> Tensor:
    """Return the weight of a feathered interval, averaged over each of `count` positions of `span`: (count,)."""
    edges = span[0] + (span[1] - span[0]) * torch.arange(count + 1, dtype=torch.float64) / count
    up = edges if first <= 0 else _ramp(edges - first, feather)
    down = torch.zeros_like(edges) if last >= 1 else _ramp(edges - last, feather)
    means = (up - down).diff() * count / (span[1] - span[0])
    return means.round(decimals=9).float()  # so that rounding errors do not leave a tiny weight outside


def _ramp(beyond: Tensor, feather: float) -> Tensor:
    """Return the integral, up to each point, of a ramp from 0 to 1 that is centred at 0 and `feather` wide."""
    if not feather:
        return beyond.clamp(min=0.0)
    risen = (beyond + feather / 2).clamp(0.0, feather)
    return risen**2 / (2 * feather) + (beyond - feather / 2).clamp(min=0.0)


def of_boxes(boxes: Sequence[Box], index: int, grid: Size) -> Tensor:
    """Return the weight of box `index` at each position, shared equally where boxes overlap: (rows * columns,)."""
    covered = torch.stack([_covered(box, grid) for box in boxes])
    return covered[index] / covered.sum(dim=0).clamp(min=1.0)


def _covered(box: Box, grid: Size) -> Tensor:
    """Return the fraction of each position that a box covers."""
    left, upper, right, lower = box
    rows, columns = _overlap(upper, lower, grid[0]), _overlap(left, right, grid[1])
    return torch.outer(rows, columns).flatten()


def _overlap(first: float, last: float, count: int) -> Tensor:
    edges = torch.arange(count + 1) / count
    return (edges[1:].clamp(max=last) - edges[:-1].clamp(min=first)).clamp(min=0.0) * count

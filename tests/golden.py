"""The generator of the golden values: every array is reproducible from a stream number.

The values were produced in float64 from the authors' own modules with arrays of this generator.
"""

from collections.abc import Mapping

import torch
from torch import Tensor


def stream(number: int, *shape: int) -> Tensor:
    """Return the uniform numbers -0.5..0.5 of a stream, in float64."""
    k = torch.arange(int(torch.tensor(shape).prod()), dtype=torch.int64)
    mask = 0xFFFFFFFF
    s = (k * 0x9E3779B1 + number * 0x85EBCA77 + 0x12345) & mask
    s = s ^ (s >> 16)
    s = (s * 0x45D9F3B) & mask
    s = s ^ (s >> 16)
    return (s.double() / 2**32 - 0.5).view(shape)


def weights(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """Return weights for the sorted keys: 0.2 u of stream j, and 1 + 0.2 u for the weights of norms."""
    made = {}
    for number, key in enumerate(sorted(shapes)):
        shape = tuple(shapes[key])
        norm = len(shape) == 1 and key.endswith("weight")
        made[key] = 0.2 * stream(number, *shape) + (1.0 if norm else 0.0)
    return made


def checksum(values: Tensor) -> float:
    return float((values.double().flatten() * stream(999, values.numel())).sum())

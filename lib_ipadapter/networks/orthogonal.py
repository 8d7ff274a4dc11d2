"""PuLID's attention: what image tokens add to the text attention, less what only repeats it.

The part of the image attention i that points along the text attention s, over all queries and for each channel, is
p = (sum s i / sum s s) s. What remains, i - p, changes the text attention as little as possible. Fidelity keeps as much
of p at each query as its attention to the first tokens is large. Source: ToTheBeginning/PuLID,
`pulid/attention_processor.py` (IDAttnProcessor2_0) and the modes in `app.py`; its ports average over the queries where
the authors have one number for each.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Method:
    """How much of what image tokens add is left."""

    zeros: int
    """Number of tokens of zeros that are attended besides, which weaken the others."""
    first: int = 0
    """Number of tokens whose share of the attention is the part of p that is kept; 0 keeps nothing of it."""


METHODS: Mapping[str, Method | None] = {"fidelity": Method(8, first=5), "style": Method(16), "neutral": None}
"""The options of the field `method`, as ComfyUI's node calls them; None is ordinary image attention."""

SMALLEST = 1e-30
"""Lower limit of a divisor, for channels in which the text attention is 0 everywhere."""


def orthogonal_attention(text: Tensor, query: Tensor, keys: Tensor, values: Tensor, method: Method) -> Tensor:
    """Return what image tokens add to the text attention at each query, in the precision of `text`, float32 or more.

    `text` is the text attention with merged heads, (rows, queries, heads * dim); `query` (rows, heads, queries, dim);
    `keys` and `values` (rows, heads, tokens, dim), the keys scaled by dim ** -0.5. Tokens include those of zeros. Needs
    all queries of the picture.
    """
    with full_precision():
        logits = query.to(text.dtype) @ keys.to(text.dtype).transpose(-2, -1)  # (rows, heads, queries, tokens)
        image = (
            (logits.softmax(dim=-1) @ values.to(text.dtype)).transpose(1, 2).flatten(2)
        )  # (rows, queries, heads * dim)
        along = (text * image).sum(dim=1, keepdim=True) / (text * text).sum(dim=1, keepdim=True).clamp(min=SMALLEST)
        if not method.first:
            return image - along * text
        unscaled = (logits * keys.shape[-1] ** 0.5).softmax(dim=-1)
        kept = unscaled[..., : method.first].sum(dim=-1).mean(dim=1)[..., None]  # (rows, queries, 1)
        return image + (kept - 1.0) * along * text


@contextmanager
def full_precision() -> Generator[None, None, None]:
    """Switch off a host's autocast, which would round products of float32 tensors to half precision."""
    import torch

    if not torch.is_autocast_enabled():
        yield
        return
    with torch.autocast("cuda", enabled=False):
        yield

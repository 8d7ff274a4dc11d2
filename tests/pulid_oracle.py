"""A second, plain implementation of PuLID's attention for diffusers' U-Net, and made files and features for it."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

ZEROS = {"fidelity": 8, "style": 16, "neutral": 0}


class PlainProcessor:
    """One cross-attention with PuLID: text attention, then what the identity adds, then the output projection."""

    def __init__(self, to_k: Tensor, to_v: Tensor, identity: Tensor, weight: float, method: str) -> None:
        self.to_k, self.to_v, self.weight, self.method = to_k, to_v, weight, method
        self.identity = identity
        """Image tokens of each row: (rows, tokens, context dim)."""

    def __call__(self, attn: Any, hidden_states: Tensor, encoder_hidden_states: Tensor, *_: Any, **__: Any) -> Tensor:
        zeros = torch.zeros(len(self.identity), ZEROS[self.method], self.identity.shape[-1])
        tokens = torch.cat([self.identity, zeros], dim=1)
        q = heads_of(attn.to_q(hidden_states), attn.heads)
        k, v, ik, iv = (
            heads_of(each, attn.heads)
            for each in (
                attn.to_k(encoder_hidden_states),
                attn.to_v(encoder_hidden_states),
                tokens @ self.to_k.T,
                tokens @ self.to_v.T,
            )
        )
        scale = q.shape[-1] ** -0.5
        text = merged((q @ k.mT * scale).softmax(-1) @ v)
        image = merged((q @ ik.mT * scale).softmax(-1) @ iv)
        projection = (text * image).sum(1, keepdim=True) / (text * text).sum(1, keepdim=True) * text
        if self.method == "style":
            image = image - projection
        if self.method == "fidelity":
            share = (q @ ik.mT).softmax(-1).mean(1)[..., :5].sum(-1, keepdim=True)
            image = image + (share - 1) * projection
        return attn.to_out[0](text + self.weight * image)


def heads_of(tensor: Tensor, heads: int) -> Tensor:
    return tensor.unflatten(-1, (heads, -1)).transpose(1, 2)


def merged(tensor: Tensor) -> Tensor:
    return tensor.transpose(1, 2).flatten(2)


def with_pulid(unet: nn.Module, tensors: Mapping[str, Tensor], identity: Tensor, weight: float, method: str) -> None:
    """Put the plain processors on all cross-attentions of a diffusers U-Net, in the files' order of layers."""
    made = dict(unet.attn_processors)
    for number, name in enumerate(made):
        if name.endswith("attn2.processor"):
            to_k, to_v = (tensors[f"ip_adapter.{number}.to_{part}_ip.weight"] for part in "kv")
            made[name] = PlainProcessor(to_k, to_v, identity, weight, method)
    unet.set_attn_processor(made)

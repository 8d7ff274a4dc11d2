"""PuLID's image projection networks: a face embedding and EVA's features → image tokens.

Parameter names are the files' keys after `image_proj.`. Both take the face embedding (photos, 512), EVA's normalised
image embedding (photos, 768), and the hidden states of `SCALES` of EVA's blocks (photos, states, width).

Sources: ToTheBeginning/PuLID, `pulid/encoders.py` (IDEncoder) and `pulid/encoders_transformer.py` (IDFormer).
"""

import torch
from torch import Tensor, nn

from .projectors import HEAD_DIM, PerceiverAttention, feed_forward
from .shapes import Shapes

SCALES = 5
"""Number of hidden states that both networks take, from shallow to deep."""


def deep_mlp(width: int, inner: int, out: int) -> nn.Sequential:
    """Return three linear layers, with a norm and a leaky ReLU after each of the first two."""
    return nn.Sequential(
        nn.Linear(width, inner),
        nn.LayerNorm(inner),
        nn.LeakyReLU(),
        nn.Linear(inner, inner),
        nn.LayerNorm(inner),
        nn.LeakyReLU(),
        nn.Linear(inner, out),
    )


class IDEncoder(nn.Module):
    """PuLID v1: tokens of the identity, then one token of each hidden state.

    (photos, 512), (photos, 768) and five (photos, states, width) -> (photos, tokens + 5, context dim)
    """

    def __init__(self, identity: int, inner: int, tokens: int, width: int, context_dim: int) -> None:
        super().__init__()
        self.context_dim = context_dim
        self.body = deep_mlp(identity, inner, tokens * context_dim)
        for scale in range(SCALES):
            self.add_module(f"mapping_{scale}", deep_mlp(width, inner, context_dim))
            self.add_module(f"mapping_patch_{scale}", deep_mlp(width, inner, context_dim))

    @classmethod
    def of_shapes(cls, shapes: Shapes) -> "IDEncoder":
        inner, identity = shapes["image_proj.body.0.weight"]
        (context_dim,) = shapes["image_proj.mapping_0.6.bias"]
        tokens = shapes["image_proj.body.6.weight"][0] // context_dim
        return cls(identity, inner, tokens, shapes["image_proj.mapping_0.0.weight"][1], context_dim)

    def forward(self, faces: Tensor, embeds: Tensor, *states: Tensor) -> Tensor:
        tokens = self.body(torch.cat([faces, embeds], dim=-1)).unflatten(-1, (-1, self.context_dim))
        return torch.cat([tokens, *(self._token(scale, each) for scale, each in enumerate(states))], dim=1)

    def _token(self, scale: int, states: Tensor) -> Tensor:
        """Return the token of a hidden state, whose first entry is the class token: (photos, 1, context dim)."""
        of_class, of_patch = self.get_submodule(f"mapping_{scale}"), self.get_submodule(f"mapping_patch_{scale}")
        return of_class(states[:, :1]) + of_patch(states[:, 1:]).mean(dim=1, keepdim=True)


class IDFormer(nn.Module):
    """PuLID v1.1: learned latents and tokens of the identity attend the hidden states, from shallow to deep.

    Several photos of a set are read together: (sets, photos, 512) and (sets, photos, 768) have an axis more, and the
    hidden states of all photos are concatenated: five (sets, photos * states, width). -> (sets, latents, context dim)
    """

    def __init__(
        self, identity: int, tokens: int, latents: int, inner: int, heads: int, width: int, context_dim: int, depth: int
    ) -> None:
        super().__init__()
        self.inner = inner
        self.latents = nn.Parameter(torch.empty(1, latents, inner))
        self.proj_out = nn.Parameter(torch.empty(inner, context_dim))
        self.layers = nn.ModuleList(
            nn.ModuleList([PerceiverAttention(inner, heads), feed_forward(inner)]) for _ in range(depth)
        )
        self.id_embedding_mapping = deep_mlp(identity, inner, tokens * inner)
        for scale in range(SCALES):
            self.add_module(f"mapping_{scale}", deep_mlp(width, inner, inner))

    @classmethod
    def of_shapes(cls, shapes: Shapes) -> "IDFormer":
        _, latents, inner = shapes["image_proj.latents"]
        identity = shapes["image_proj.id_embedding_mapping.0.weight"][1]
        tokens = shapes["image_proj.id_embedding_mapping.6.weight"][0] // inner
        heads = shapes["image_proj.layers.0.0.to_q.weight"][0] // HEAD_DIM
        width, context_dim = shapes["image_proj.mapping_0.0.weight"][1], shapes["image_proj.proj_out"][1]
        layers = sum(key.startswith("image_proj.layers.") and key.endswith(".0.to_q.weight") for key in shapes)
        return cls(identity, tokens, latents, inner, heads, width, context_dim, layers // SCALES * SCALES)

    def forward(self, faces: Tensor, embeds: Tensor, *states: Tensor) -> Tensor:
        identity = self.id_embedding_mapping(torch.cat([faces, embeds], dim=-1))
        identity = identity.reshape(len(identity), -1, self.inner)  # (sets, tokens of all photos, inner)
        latents = torch.cat([self.latents.expand(len(identity), -1, -1), identity], dim=1)
        each = len(self.layers) // SCALES
        for scale, given in enumerate(states):
            seen = torch.cat([identity, self.get_submodule(f"mapping_{scale}")(given)], dim=1)
            for attention, feed in self.layers[scale * each : (scale + 1) * each]:  # pyright: ignore
                latents = latents + attention(seen, latents)
                latents = latents + feed(latents)
        return latents[:, : self.latents.shape[1]] @ self.proj_out

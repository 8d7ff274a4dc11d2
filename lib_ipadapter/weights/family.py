"""The record of an adapter family: one row of the table in `families`, with everything specific to it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from torch import nn

from ..networks.layout import Layout
from .shapes import Shapes
from .site_layers import PLAIN, SiteLayers

EMBED, HIDDEN, FACE, FACE_AND_HIDDEN, OTHER = "embed", "hidden", "face", "face and hidden", "other"
"""Input of a projector: CLIP's image embedding, its second last hidden states, a face embedding, a face embedding and
hidden states, or features that no encoder here provides."""

NORMED, RAW = "normed", "raw"
"""Whether a projector takes face embeddings normalised to length 1, or as the recognition model returns them."""

BUFFALO, ANTELOPE = "buffalo_l", "antelopev2"
"""insightface's model packs, whose face embeddings differ."""

UNET, FLUX, SD35 = "U-Net", "FLUX", "SD3.5"
"""Networks that adapters are made for. A U-Net's base model follows from its context width and number of layers."""


class ProjectorClass(Protocol):
    """The class of an image-projection network."""

    def of_shapes(self, shapes: Shapes) -> nn.Module:
        """Return the network for weights of these shapes, by canonical key."""
        ...


@dataclass(frozen=True)
class Variant:
    """One of several kinds of files that have the same keys and shapes, but run differently."""

    name: str
    title: str
    words: tuple[str, ...]
    """Parts of the names of such files; only letters and digits are compared."""
    settings: tuple[str, ...] = ()
    """Fields of a unit that its projector takes as arguments."""
    pack: str = ""
    """The face model pack that it was trained with, if not the family's."""
    projector: ProjectorClass | None = None
    """Its projector, if not the family's."""
    controlnet: bool = False
    """Whether it comes with a ControlNet that takes its image tokens in place of text."""


@dataclass(frozen=True)
class Family:
    """One kind of adapter: how its files are recognised, what it needs, and its projector.

    `fits`, `tokens` and `width` get the shapes of `tensors`, by the same names.
    """

    name: str
    title: str
    """Its name with an article, for sentences: "This file is …"."""
    marks: tuple[str, ...]
    """Canonical keys that every such file has; `*` matches any part of a key."""
    tensors: Mapping[str, int]
    """The projector's tensors that show its sizes, with their number of axes."""
    tokens: Callable[[Shapes], int]
    """Number of image tokens per reference."""
    takes: str
    """Input of the projector, for example `EMBED`."""
    width: Callable[[Shapes], int] = lambda _: 0
    """Width of the features that the projector takes from the image encoder; 0 if it takes none."""
    fits: Callable[[Shapes], bool] = lambda _: True
    """A condition on the shapes, where other families have the same marks."""
    encoder: str = ""
    """The image encoder, where it does not follow from `takes` and `width`."""
    network: str = UNET
    layout: Layout | None = None
    """The sites where it acts, where they do not follow from the number of layers."""
    base: str = ""
    """The base model, where it does not follow from the network and the layers."""
    layer_keys: tuple[str, ...] = ("to_k_ip", "to_v_ip")
    """Names of the linear layers at each site. The input width of the first is that of the text context."""
    layers: SiteLayers = PLAIN
    """What its layers are at each site."""
    output: str = ""
    """One of `tensors` whose last axis is the width of the image tokens, which is checked against the text context;
    empty for none."""
    projector: ProjectorClass | None = None
    """The projector's class; None for families that are recognised but not supported yet."""
    variants: tuple[Variant, ...] = ()
    """Possible variants; the first is assumed if neither the name nor the hash of a file is known. Hashes are in the
    catalogue of published files."""
    fields: tuple[str, ...] = ()
    """Fields of a unit that only some families use, this one among them."""
    face_embedding: str = ""
    """How the projector takes a face embedding, `NORMED` or `RAW`; empty if it takes none."""
    pack: str = BUFFALO
    """The face model pack that it was trained with, if it takes face embeddings."""
    unconditional: str = ""
    """The picture encoded for unconditional rows, "mean" or "black", where its authors' differs from the usual; an
    image embedding is usually zero there."""
    portrait: bool = False
    """Whether its image encoder gets the face as facexlib cuts it out, grey on white, instead of the aligned face."""
    together: bool = False
    """Whether the projector reads all references that share a softmax in one call."""
    kept_of_others: int = 0
    """Tokens that are kept of each further reference that shares a softmax with a first one; 0 keeps all."""

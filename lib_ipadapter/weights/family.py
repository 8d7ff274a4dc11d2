"""What a family of adapters is: one row of the table in `families`, with everything that is particular to it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from torch import nn

from .shapes import Shapes

EMBED, HIDDEN, FACE, FACE_AND_HIDDEN, OTHER = "embed", "hidden", "face", "face and hidden", "other"
"""What a projector takes: CLIP's image embedding, its second last hidden states, a face embedding, a face embedding and
hidden states, or features that no encoder here returns."""

NORMED, RAW = "normed", "raw"
"""How a face embedding enters a projector: divided by its length, or as the recognition model returns it."""

BUFFALO, ANTELOPE = "buffalo_l", "antelopev2"
"""insightface's model packs, whose face embeddings differ."""

UNET, FLUX, SD35 = "U-Net", "FLUX", "SD3.5"
"""Networks that adapters are made for. A U-Net's base model follows from its context width and number of layers."""


class ProjectorClass(Protocol):
    """The class of an image-projection network."""

    def of_shapes(self, shapes: Shapes) -> nn.Module:
        """Return the network whose weights have these shapes, by their canonical keys."""
        ...


@dataclass(frozen=True)
class Variant:
    """One of several kinds of files that have the same keys and shapes, but are run differently."""

    name: str
    title: str
    words: tuple[str, ...]
    """Parts of such files' names, of which only letters and digits are compared."""
    digests: tuple[str, ...]
    """SHA-256 of the published files."""
    settings: tuple[str, ...] = ()
    """Fields of a unit that its projector takes."""
    pack: str = ""
    """The face models that it was trained with, where they are not its family's."""
    projector: ProjectorClass | None = None
    """Its projector, where it is not its family's."""
    controlnet: bool = False
    """Whether it comes with a ControlNet that sees its image tokens in the place of the text."""


@dataclass(frozen=True)
class Family:
    """One kind of adapter: how a file of it is recognised, what it needs, and what runs it.

    `fits`, `tokens` and `width` are given the shapes of `tensors`, by the names that stand there.
    """

    name: str
    title: str
    """As it stands in a sentence: "This file is …"."""
    marks: tuple[str, ...]
    """Canonical keys that every such file has; `*` stands for any part of a key."""
    tensors: Mapping[str, int]
    """The projector's tensors whose shapes show its sizes, and how many axes each has."""
    tokens: Callable[[Shapes], int]
    """Image tokens of one reference."""
    takes: str
    """What the projector takes, `EMBED` for example."""
    width: Callable[[Shapes], int] = lambda _: 0
    """Width of what the projector takes from the image encoder; 0 where it takes nothing from one."""
    fits: Callable[[Shapes], bool] = lambda _: True
    """What must hold for the shapes, where other families have the same marks."""
    encoder: str = ""
    """The image encoder, where it does not follow from what the projector takes and its width."""
    network: str = UNET
    base: str = ""
    """The base model, where it does not follow from the network and the layers."""
    layer_keys: tuple[str, ...] = ("to_k_ip", "to_v_ip")
    """Names of the linear layers at each site. The first one's columns are as many as the text context is wide."""
    output_norm: str = ""
    """Which of `tensors` is the projector's last norm, as long as the text context is wide, where that is checked."""
    projector: ProjectorClass | None = None
    """What makes the image tokens; None where such files are recognised, but cannot run yet."""
    variants: tuple[Variant, ...] = ()
    """What a file may be in particular; the first is assumed where neither its name nor its hash is known."""
    fields: tuple[str, ...] = ()
    """Fields of a unit that have a meaning for some families only, this one among them."""
    face_embedding: str = ""
    """How a face embedding enters the projector, where one does."""
    pack: str = BUFFALO
    """The face models that it was trained with, if it takes face embeddings."""

"""How alike faces are to the recognition model whose vectors an adapter sees: a cosine. It identifies nobody."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from ..base.boxes import Box
from ..engine.region_weights import of_area, of_mask
from ..engine.token_plan import PreparedReference, TokenPlan
from ..faces.insightface_models import Face
from ..unit.unit import Unit

LOW = 0.28
"""Cosine below which insightface's own example no longer takes two faces for one person's, whatever their pose
(deepinsight/insightface, `web-demos/src_recognition/main.py`)."""

INSIDE = 0.5
"""Part of a face that a region must hold for the face to be its unit's."""


class Likeness(NamedTuple):
    """How alike a face in a picture that was made is to a unit's references."""

    face: int
    """Its number in the picture, the largest first."""
    box: tuple[float, float, float, float]
    """Left, upper, right and lower edge in pixels."""
    reference: int
    """The unit's reference that it is most like, counted from 1."""
    cosine: float
    """To that one, -1 to 1."""


def cosines(first: Sequence[Face], second: Sequence[Face]) -> np.ndarray:
    """Return how alike each face is to each other one, -1 to 1: (first, second)."""
    return _normed(first) @ _normed(second).T


def _normed(faces: Sequence[Face]) -> np.ndarray:
    vectors = np.array([face.embedding for face in faces])
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def likenesses(
    unit: Unit, plan: TokenPlan, made: Sequence[Face], size: tuple[int, int], picture: int
) -> Iterator[Likeness]:
    """Yield how alike each face is, in a picture of `size` pixels, that stands where the unit acts.

    `picture` is its number among all that the generation makes, by which `unfold` has chosen one reference. A face is
    compared with those references in whose region it stands.
    """
    given = list(enumerate(plan.references, 1))
    if unit.unfold:
        given = given[picture % len(given) :][:1]
    for number, face in enumerate(made):
        box = _part_of_picture(face, size)
        if box[0] == box[2] or box[1] == box[3]:  # in the margin with which a close-up was looked at
            continue
        alike = [
            (float(cosines([face], reference.faces).max()), which)
            for which, reference in given
            if _acts_on(box, plan, reference)
        ]
        if alike:
            cosine, reference = max(alike)
            yield Likeness(number, face.box, reference, cosine)


def _part_of_picture(face: Face, size: tuple[int, int]) -> Box:
    """Return the part of a face's box that is in the picture, as fractions of that."""
    left, upper, right, lower = (
        min(max(edge / side, 0.0), 1.0) for edge, side in zip(face.box, (*size, *size), strict=True)
    )
    return left, upper, right, lower


def _acts_on(box: Box, plan: TokenPlan, reference: PreparedReference) -> bool:
    """Return whether a reference acts on a part of the picture."""
    held = [of_mask(mask, box, (1, 1)) for mask in (plan.mask, reference.mask) if mask]
    held += [of_area(area, box, (1, 1)) for area in (plan.area, reference.area) if area]
    return all(part.item() >= INSIDE for part in held)

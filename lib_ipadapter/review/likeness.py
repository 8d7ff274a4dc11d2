"""Cosine similarity of faces, by the recognition model whose embeddings the adapter uses. It identifies nobody."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from ..base.boxes import Box
from ..engine.region_weights import of_area, of_mask
from ..engine.token_plan import PreparedReference, TokenPlan
from ..faces.insightface_models import Face
from ..unit.unit import Unit

LOW = 0.28
"""Cosine below which insightface's own example no longer treats two faces as the same person, whatever their pose
(deepinsight/insightface, `web-demos/src_recognition/main.py`)."""

INSIDE = 0.5
"""Fraction of a face that must be inside a unit's region for the face to belong to the unit."""


class Likeness(NamedTuple):
    """How closely a face in a generated picture matches a unit's references."""

    face: int
    """Its number in the picture, the largest first."""
    box: tuple[float, float, float, float]
    """Left, upper, right and lower edge in pixels."""
    reference: int
    """The unit's reference that it matches best, counted from 1."""
    cosine: float
    """Similarity to that reference, -1 to 1."""


def cosines(first: Sequence[Face], second: Sequence[Face]) -> np.ndarray:
    """Return the cosine similarity, -1 to 1, of every pair of faces: (first, second)."""
    return _normed(first) @ _normed(second).T


def _normed(faces: Sequence[Face]) -> np.ndarray:
    vectors = np.array([face.embedding for face in faces])
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def likenesses(
    unit: Unit, plan: TokenPlan, made: Sequence[Face], size: tuple[int, int], picture: int
) -> Iterator[Likeness]:
    """Yield the likeness of each face inside the unit's region, in a picture of `size` pixels.

    `picture` is the picture's number in the generation, which selects its reference under `unfold`. A face is compared
    with the references whose region it is in.
    """
    given = list(enumerate(plan.references, 1))
    if unit.unfold:
        given = given[picture % len(given) :][:1]
    for number, face in enumerate(made):
        box = _part_of_picture(face, size)
        if box[0] == box[2] or box[1] == box[3]:  # in the margin that detection adds around close-ups
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
    """Return a face's box cut to the picture, as fractions of the picture."""
    left, upper, right, lower = (
        min(max(edge / side, 0.0), 1.0) for edge, side in zip(face.box, (*size, *size), strict=True)
    )
    return left, upper, right, lower


def _acts_on(box: Box, plan: TokenPlan, reference: PreparedReference) -> bool:
    """Return whether a reference covers a part of the picture."""
    held = [of_mask(mask, box, (1, 1)) for mask in (plan.mask, reference.mask) if mask]
    held += [of_area(area, box, (1, 1)) for area in (plan.area, reference.area) if area]
    return all(part.item() >= INSIDE for part in held)

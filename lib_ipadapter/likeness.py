"""How alike faces are to the recognition model whose vectors an adapter sees: a cosine. It identifies nobody."""

from collections.abc import Sequence

import numpy as np

from .faces import Face

LOW = 0.28
"""Cosine below which insightface's own example no longer takes two faces for one person's, whatever their pose
(deepinsight/insightface, `web-demos/src_recognition/main.py`); what adapters make of a face is seldom above 0.7."""


def cosines(first: Sequence[Face], second: Sequence[Face]) -> np.ndarray:
    """Return how alike each face is to each other one, -1 to 1: (first, second)."""
    return _normed(first) @ _normed(second).T


def _normed(faces: Sequence[Face]) -> np.ndarray:
    vectors = np.array([face.vector for face in faces])
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

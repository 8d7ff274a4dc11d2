"""Shapes of a file's tensors, by name, which are enough to recognise a file and build its network."""

from collections.abc import Mapping

Shape = tuple[int, ...]
Shapes = Mapping[str, Shape]

"""The shapes of a file's tensors, by name: all that is needed to recognise a file and to build its network."""

from collections.abc import Mapping

Shape = tuple[int, ...]
Shapes = Mapping[str, Shape]

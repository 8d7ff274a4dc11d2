"""When a unit takes part: the options of the fields `pass` and `inner`, and what each means."""

from collections.abc import Mapping

PASSES: Mapping[str, tuple[bool, ...]] = {"both": (False, True), "base": (False,), "hires": (True,)}
"""Whether the pass may be the second one of hires fix."""

INNER: Mapping[str, tuple[bool, ...]] = {"all": (False, True), "picture only": (False,), "inner only": (True,)}
"""Whether the generation may be one that ADetailer makes within another."""

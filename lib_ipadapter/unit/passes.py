"""In which passes a unit is active: the options of the fields `pass` and `inner`, and what each means."""

from collections.abc import Mapping

PASSES: Mapping[str, tuple[bool, ...]] = {"both": (False, True), "base": (False,), "hires": (True,)}
"""Option -> allowed values of `hires`: whether a pass is the second pass of hires fix."""

INNER: Mapping[str, tuple[bool, ...]] = {"all": (False, True), "picture only": (False,), "inner only": (True,)}
"""Option -> allowed values of `inner`: whether a generation is made by ADetailer within another."""

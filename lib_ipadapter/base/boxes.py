"""Sizes, and boxes as fractions of a picture."""

Size = tuple[int, int]
"""Height and width."""

Box = tuple[float, float, float, float]
"""Left, upper, right and lower edge, as fractions of a picture's width and height."""

WHOLE: Box = (0.0, 0.0, 1.0, 1.0)
"""The whole picture."""

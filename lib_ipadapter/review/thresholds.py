"""What measures of a reference should be, and what to say where they are not."""

import math
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Threshold:
    """The range of a measure in which there is nothing to say."""

    measure: str
    least: float
    most: float
    advice: str
    """With the measure, less its sign, to fill in."""
    reason: str
    """Why just there. The pictures are 13 photographs and paintings of people, animals and things, with 11 faces."""


THRESHOLDS = (
    Threshold(
        "face_width",
        80,
        math.inf,
        "The face is {:.0f} pixels wide: use a closer picture.",
        "Of the 112 pixels that the recognition model sees a face has about 84: arcface's template has the eyes 35 "
        "apart. A smaller one is enlarged, and what is not in it cannot be seen.",
    ),
    Threshold(
        "turn",
        -30,
        30,
        "The head is turned aside by {:.0f} degrees: use a picture from the front.",
        "At 30 degrees the far half of a face, taken for a cylinder, is a third as wide as the near half: "
        "1 - sin 30° over 1 + sin 30°.",
    ),
    Threshold(
        "nod",
        -30,
        30,
        "The head is tipped by {:.0f} degrees: use a picture taken at the height of the eyes.",
        "As for the turn.",
    ),
    Threshold(
        "sharpness",
        0.35,
        1,
        "It is blurred at the size that is seen: use a sharper or a larger picture.",
        "All pictures at 224 pixels and all faces at 112 have 0.44 and more; blurred by 1 % of the side (a face: 2 %), "
        "or enlarged from 48 pixels (a face: 24), 0.31 and less.",
    ),
    Threshold(
        "contrast",
        0.1,
        0.5,
        "It has little contrast: use a picture with better light.",
        "The pictures have 0.12 to 0.34; with three tenths of their contrast, 0.04 to 0.10.",
    ),
    Threshold(
        "compression",
        40,
        100,
        "It is a JPEG of quality {:.0f}, and its blocks are seen: use a picture that is less compressed.",
        "At 40 blocks stand out of all pictures: their blockiness, 1.0 to 1.4 as they are, is then 1.4 to 2.2.",
    ),
    Threshold(
        "blockiness",
        0,
        1.7,
        "It shows the blocks of strong compression: use a picture that is less compressed.",
        "The pictures have 1.0 to 1.4; as JPEGs of quality 50 one of them is above 1.7, of quality 30 half of them, "
        "of quality 10 all, with 2.0 to 5.3.",
    ),
    Threshold(
        "enlarged",
        0,
        1,
        "It is enlarged {:.1f} times to the square that the encoder sees: use a larger picture.",
        "Above 1 pixels are made up.",
    ),
    Threshold(
        "lost",
        0,
        0.34,
        "The crop leaves out {:.0%} of it: set crop to pad, or cut the picture.",
        "The longest pictures that cameras make are 3 by 2, of which a third is left out.",
    ),
    Threshold(
        "squashed",
        0,
        0.34,
        "It is squashed by {:.0%}: set crop to pad, or cut the picture.",
        "As for what is left out.",
    ),
)


def advice_on(measures: Mapping[str, float]) -> list[str]:
    """Return a sentence for each measure that is not what it should be."""
    return [
        row.advice.format(abs(measures[row.measure]))
        for row in THRESHOLDS
        if row.measure in measures and not row.least <= measures[row.measure] <= row.most
    ]

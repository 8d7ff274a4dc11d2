"""The acceptable range of each reference metric, and the advice for values outside it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Threshold:
    """The range of a metric that needs no advice."""

    measure: str
    least: float
    most: float
    advice: str
    """A sentence with a placeholder for the metric's absolute value."""
    reason: str
    """Why the limit is where it is. Measured on 13 photographs and paintings of people, animals and objects, with 11
    faces."""


THRESHOLDS = (
    Threshold(
        "face_width",
        80,
        math.inf,
        "The face is only {:.0f} pixels wide: use a closer picture.",
        "A face fills about 84 of the 112 pixels that the recognition model sees, because arcface's template puts the "
        "eyes 35 pixels apart. A smaller face is upscaled, which adds no detail.",
    ),
    Threshold(
        "turn",
        -30,
        30,
        "The head is turned {:.0f} degrees to the side: use a picture from the front.",
        "With the head modelled as a cylinder turned by 30 degrees, the far half of the face looks a third as wide as "
        "the near half: (1 - sin 30°) / (1 + sin 30°).",
    ),
    Threshold(
        "nod",
        -30,
        30,
        "The head is tilted up or down by {:.0f} degrees: use a picture taken at eye level.",
        "The same limit as for the turn.",
    ),
    Threshold(
        "sharpness",
        0.35,
        1,
        "It looks blurry at the size that the model sees: use a sharper or larger picture.",
        "All pictures at 224 pixels and all faces at 112 score 0.44 or more. Blurred by 1 % of the side (faces: 2 %), "
        "or upscaled from 48 pixels (faces: 24), they score 0.31 or less.",
    ),
    Threshold(
        "contrast",
        0.1,
        0.5,
        "It has low contrast: use a picture with better lighting.",
        "The pictures score 0.12 to 0.34; with their contrast reduced to 30 %, 0.04 to 0.10.",
    ),
    Threshold(
        "compression",
        40,
        100,
        "It is a JPEG of quality {:.0f} with visible artefacts: use a less compressed picture.",
        "At quality 40, blocks show in all pictures: their blockiness rises from 1.0 to 1.4 to 1.4 to 2.2.",
    ),
    Threshold(
        "blockiness",
        0,
        1.7,
        "It has visible compression artefacts: use a less compressed picture.",
        "The pictures score 1.0 to 1.4. Saved as JPEG, one is above 1.7 at quality 50, half of them at quality 30, and "
        "all at quality 10, with 2.0 to 5.3.",
    ),
    Threshold(
        "shading",
        0.2,
        1,
        "It looks like a drawing, but this adapter reads the face of a photo: use a photo, or Plus Face.",
        "The share of pixels that change gently. Twenty photographs score 0.22 or more, those of people 0.36 or more; "
        "flat drawings and lines score up to 0.03, and up to 0.19 as JPEG of quality 40.",
    ),
    Threshold(
        "enlarged",
        0,
        1,
        "It is upscaled {:.1f} times to the size that the encoder needs: use a larger picture.",
        "Above 1, pixels have to be interpolated.",
    ),
    Threshold(
        "lost",
        0,
        0.34,
        "The crop cuts off {:.0%} of it: set Crop to pad, or crop the picture yourself.",
        "The usual formats of cameras go up to 3:2, of which a square crop cuts off a third.",
    ),
    Threshold(
        "squashed",
        0,
        0.34,
        "It is squashed by {:.0%}: set Crop to pad, or crop the picture yourself.",
        "The same limit as for cropping.",
    ),
)


def advice_on(measures: Mapping[str, float]) -> list[str]:
    """Return a sentence for each metric outside its range."""
    return [
        row.advice.format(abs(measures[row.measure]))
        for row in THRESHOLDS
        if row.measure in measures and not row.least <= measures[row.measure] <= row.most
    ]

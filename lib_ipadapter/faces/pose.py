"""How a head is turned, from the five points of its face."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

Point = tuple[float, float]

MEAN_FACE = (
    (-0.2658, -0.3172, -0.3148),
    (0.2658, -0.3172, -0.3148),
    (0.0, -0.1426, -0.5987),
    (-0.2098, 0.2382, -0.3777),
    (0.2098, 0.2382, -0.3777),
)
"""The five points of a mean face that looks into the camera: x to the picture's right, y down, z away from the camera.

Source: insightface, `data/objects/meanshape_68.pkl`, the shape that its own head pose is measured against: the eyes are
the means of six points each (36 to 47 of iBUG's 68), the nose's tip is point 30, the mouth's corners are 48 and 54;
both halves averaged."""

FOCAL = 10.0
"""Focal length over the radius of the five points in the picture: a photo from about two metres with a portrait lens.
Between five times and endless, the angles that come of it differ by less than three degrees."""


@dataclass(frozen=True)
class Pose:
    """Angles in degrees, as one sees the face in the picture."""

    turn: float
    """To the picture's right; negative to its left."""
    nod: float
    """Downwards; negative upwards."""
    tilt: float
    """Clockwise."""


def pose_of(points: Sequence[Point]) -> Pose:
    """Return how the head is turned whose eyes, nose and mouth's corners these five points are.

    The camera is taken to look straight at the face, wherever that stands in the picture. Source: SQPnP (Terzakis and
    Lourakis 2020) as OpenCV has it.
    """
    import cv2

    seen = np.asarray(points, dtype=np.float64)
    seen = seen - seen.mean(axis=0)
    seen /= math.sqrt((seen**2).sum(axis=1).mean())
    face = np.asarray(MEAN_FACE)
    camera = np.diag([FOCAL, FOCAL, 1.0])
    _, rotation, _ = cv2.solvePnP(face - face.mean(axis=0), seen[:, None], camera, None, flags=cv2.SOLVEPNP_SQPNP)
    return _angles(cv2.Rodrigues(rotation)[0])


def _angles(rotation: np.ndarray) -> Pose:
    """Return the angles of a rotation that nods first, then turns, then tilts."""
    turn = math.asin(min(1.0, max(-1.0, rotation[2, 0])))  # the other way round, for z points away from the camera
    nod = math.atan2(rotation[2, 1], rotation[2, 2])
    tilt = math.atan2(rotation[1, 0], rotation[0, 0])
    return Pose(math.degrees(turn), math.degrees(nod), math.degrees(tilt))

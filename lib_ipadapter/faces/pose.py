"""Head pose from a face's five key points."""

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

Source: insightface, `data/objects/meanshape_68.pkl`, the reference shape of its own pose estimate. Each eye is the mean
of six of iBUG's 68 points (36 to 47), the tip of the nose is point 30, the corners of the mouth are 48 and 54. The two
halves are averaged to be symmetric."""

FOCAL = 10.0
"""Focal length in units of the RMS radius of the five points: a photo from about two metres with a portrait lens. From
5 to infinity, the estimated angles differ by less than three degrees."""


@dataclass(frozen=True)
class Pose:
    """Head angles in degrees, as seen in the picture."""

    turn: float
    """Yaw: positive to the picture's right."""
    nod: float
    """Pitch: positive downwards."""
    tilt: float
    """Roll: positive clockwise."""


def pose_of(points: Sequence[Point]) -> Pose:
    """Return the head pose for a face's five points (eyes, nose, corners of the mouth), in pixels.

    Assumes that the camera points straight at the face, wherever it is in the picture. Solved by OpenCV's SQPnP
    (Terzakis and Lourakis 2020).
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
    """Return the angles of a rotation that applies pitch first, then yaw, then roll."""
    turn = math.asin(min(1.0, max(-1.0, rotation[2, 0])))  # sign flipped, because z points away from the camera
    nod = math.atan2(rotation[2, 1], rotation[2, 2])
    tilt = math.atan2(rotation[1, 0], rotation[0, 0])
    return Pose(math.degrees(turn), math.degrees(nod), math.degrees(tilt))

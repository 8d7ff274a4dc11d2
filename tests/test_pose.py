"""The pose of a head, compared with known rotations of a face by scipy and this test's projection."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("cv2", reason="opencv is not installed at this end of the versions")
rotations = pytest.importorskip("scipy.spatial.transform", reason="scipy turns the face")

from lib_ipadapter.faces.pose import MEAN_FACE, Pose, pose_of  # noqa: E402

FACE = np.asarray(MEAN_FACE)


def projected(turn: float, nod: float, tilt: float, distance: float = 20.0, at=(300.0, 200.0), size: float = 150.0):
    """Return the mean face's five points as a camera sees them from a distance in units of the face."""
    # about the picture's axes, in this order: nod, turn (to the right for negative angles), tilt
    turned = rotations.Rotation.from_euler("xyz", (nod, -turn, tilt), degrees=True).apply(FACE - FACE.mean(axis=0))
    depth = distance + turned[:, 2:]
    return turned[:, :2] / depth * distance * size + at


def angles(pose: Pose) -> tuple[float, float, float]:
    return pose.turn, pose.nod, pose.tilt


ANGLES = st.tuples(st.floats(-60, 60), st.floats(-40, 40), st.floats(-90, 90))


@settings(deadline=None, max_examples=60)
@given(ANGLES, st.floats(5, 1000), st.floats(10, 500), st.tuples(st.floats(0, 2000), st.floats(0, 2000)))
def test_known_rotations_are_found_at_any_place_and_with_any_lens(turned, distance, size, at) -> None:
    found = angles(pose_of(projected(*turned, distance, at, size)))
    assert found == pytest.approx(turned, abs=3.5)  # degrees: the focal length is not known


def test_signs_are_those_of_the_face_as_seen() -> None:
    def nose_from_eyes(points):
        return points[2] - (points[0] + points[1]) / 2

    straight = nose_from_eyes(projected(0, 0, 0))
    right, down = projected(30, 0, 0), projected(0, 30, 0)
    assert nose_from_eyes(right)[0] > straight[0] + 10
    assert nose_from_eyes(down)[1] > straight[1] + 10
    assert pose_of(right).turn == pytest.approx(30, abs=3)
    assert pose_of(down).nod == pytest.approx(30, abs=3)
    clockwise = projected(0, 0, 20)
    assert clockwise[1][1] > clockwise[0][1]  # the eye on the right is lower
    assert pose_of(clockwise).tilt == pytest.approx(20, abs=1)


def test_small_errors_of_the_points_change_the_angles_little() -> None:
    noise = np.random.default_rng(0)
    for turned in ((0, 0, 0), (25, 10, 0), (-45, 0, 10)):
        points = projected(*turned)
        wrong = [angles(pose_of(points + noise.normal(0, 0.01 * 150, (5, 2)))) for _ in range(50)]
        assert np.abs(np.asarray(wrong) - turned).mean(axis=0).max() < 4


def test_points_on_a_line_have_finite_angles() -> None:
    assert np.isfinite(angles(pose_of([(float(x), 0.0) for x in range(5)]))).all()


def test_the_mean_face_equals_insightfaces() -> None:
    pytest.importorskip("insightface")
    from insightface.data import get_object

    shape = np.asarray(get_object("meanshape_68.pkl"), dtype=np.float64)
    five = np.stack([shape[36:42].mean(axis=0), shape[42:48].mean(axis=0), shape[30], shape[48], shape[54]])
    five -= [five[:2, 0].mean(), 0, 0]
    halves = five, five[[1, 0, 2, 4, 3]] * [-1, 1, 1]
    mean = np.mean(halves, axis=0) * [1, 1, -1]
    mean[2, 0] = 0  # the nose
    assert pytest.approx(mean, abs=1e-4) == FACE

import cv2
import numpy as np
import pytest

from trackssl.config import Mining
from trackssl.mining.motion import camera_homography, dense_flow, point_motion
from trackssl.mining.surf import interest_points


def scene(seed: int, height: int = 240, width: int = 320) -> np.ndarray:
    """Soft random texture, grey."""
    noise = np.random.default_rng(seed).integers(0, 256, (height, width)).astype(np.float32)
    soft = cv2.GaussianBlur(noise, (0, 0), 4)
    return cv2.normalize(soft, None, 20, 235, cv2.NORM_MINMAX).astype(np.uint8)


def two_frames(camera: tuple[float, float], share: float) -> tuple[np.ndarray, np.ndarray, slice]:
    """A square object that goes 5 px to the right, over a background that the camera shifts."""
    wide, thing = scene(1, 320, 400), scene(2)
    shift = np.float32([[1, 0, camera[0]], [0, 1, camera[1]]])
    first = wide[40:280, 40:360].copy()
    second = cv2.warpAffine(wide, shift, wide.shape[::-1])[40:280, 40:360].copy()
    side = int((share * first.size) ** 0.5)
    first[10 : 10 + side, 30 : 30 + side] = thing[:side, :side]
    second[10 : 10 + side, 35 : 35 + side] = thing[:side, :side]
    return first, second, side


@pytest.mark.parametrize("flow", ["dis", "farneback"])
@pytest.mark.parametrize("camera", [(0, 0), (-3.3, -2.4), (-7, 4)])
@pytest.mark.parametrize("share", [0.1, 0.4, 0.52])
def test_only_the_object_moves_whatever_the_camera_does(flow, camera, share):
    first, second, side = two_frames(camera, share)
    points = interest_points(first)
    moving = point_motion(first, second, points, Mining(flow=flow)) > 0.5
    x, y = points[:, 0] - 30, points[:, 1] - 10
    inside = np.minimum(np.minimum(x, side - x), np.minimum(y, side - y))  # px from its outline
    assert moving[inside > 8].mean() > 0.9
    assert moving[inside < -16].mean() < 0.1


def test_the_motion_is_the_objects_own_in_px():
    first, second, side = two_frames((-7, 4), 0.3)
    middle = np.array([[30 + side / 2, 10 + side / 2]], np.float32)
    assert point_motion(first, second, middle, Mining())[0] == pytest.approx(
        np.hypot(12, 4), abs=0.5
    )


def test_a_still_scene_does_not_move():
    points = interest_points(scene(1))
    assert point_motion(scene(1), scene(1), points, Mining()).max() < 0.05


def test_no_points_have_no_motion():
    assert point_motion(scene(1), scene(1), np.empty((0, 4), np.float32), Mining()).shape == (0,)


def test_few_matches_fit_no_camera():
    before = np.random.default_rng(0).uniform(0, 200, (50, 2)).astype(np.float32)
    np.testing.assert_array_equal(camera_homography(before, before + 3), np.eye(3))


def test_matches_that_agree_on_nothing_fit_no_camera():
    random = np.random.default_rng(0)
    before, after = random.uniform(0, 9_000, (2, 60, 2)).astype(np.float32)
    np.testing.assert_array_equal(camera_homography(before, after), np.eye(3))


def test_an_unknown_flow_is_refused():
    with pytest.raises(ValueError, match="farneback"):
        dense_flow(scene(1), scene(1), "lucas")

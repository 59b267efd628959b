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


@pytest.mark.parametrize("flow", ["dis", "farneback"])
def test_noise_on_a_still_scene_does_not_move_it(flow):
    noise = np.random.default_rng(3).integers(-2, 3, scene(1).shape)
    points = interest_points(scene(1))
    motion = point_motion(scene(1), (scene(1) + noise).astype(np.uint8), points, Mining(flow=flow))
    assert np.mean(motion > 0.5) < 0.02


def test_no_points_have_no_motion():
    assert point_motion(scene(1), scene(1), np.empty((0, 4), np.float32), Mining()).shape == (0,)


def test_few_matches_fit_no_camera():
    before = np.random.default_rng(0).uniform(0, 200, (14, 2)).astype(np.float32)
    np.testing.assert_array_equal(camera_homography(before, before + 3), np.eye(3))


def test_matches_that_agree_on_nothing_fit_no_camera():
    random = np.random.default_rng(0)
    before, after = random.uniform(0, 9_000, (2, 60, 2)).astype(np.float32)
    np.testing.assert_array_equal(camera_homography(before, after), np.eye(3))


@pytest.mark.parametrize("seed", range(5))
def test_the_camera_is_found_under_an_object_that_moves_almost_alike(seed):
    random = np.random.default_rng(seed)
    truth = np.array([[1, 0.004, -3], [-0.004, 1, 2], [1e-5, -5e-6, 1]])
    before = random.uniform(0, [600, 448], (900, 2)).astype(np.float32)
    after = cv2.perspectiveTransform(before[:, None], truth)[:, 0]
    after += random.normal(0, 0.1, after.shape).astype(np.float32)
    on_object = np.abs(before - [300, 224]).max(axis=1) < 190
    after[on_object] += np.float32([1.2, 0])
    rim = np.abs(before / [600, 448] - 0.5).max(axis=1) > 0.375
    grid = np.float32([(x, y) for x in (0, 300, 599) for y in (0, 224, 447)])[:, None]
    found = camera_homography(before, after, rim)
    apart = cv2.perspectiveTransform(grid, found) - cv2.perspectiveTransform(grid, truth)
    assert np.abs(apart).max() < 0.3


@pytest.mark.parametrize("flow", ["dis", "farneback"])
def test_a_repeated_frame_does_not_move_at_all(flow):
    points = interest_points(scene(1))
    assert not point_motion(scene(1), scene(1).copy(), points, Mining(flow=flow)).any()


@pytest.mark.parametrize("flow", ["dis", "farneback"])
def test_flat_frames_do_not_move(flow):
    flat = np.full((240, 320), 80, np.uint8)
    points = np.array([[5, 5], [319, 239]], np.float32)
    assert point_motion(flat, flat + 9, points, Mining(flow=flow)).max() < 0.05


@pytest.mark.parametrize("flow", ["dis", "farneback"])
@pytest.mark.parametrize("shape", [(1, 1), (5, 7), (15, 400), (16, 16), (17, 90), (64, 64)])
def test_tiny_frames_do_no_harm(flow, shape):
    first, second = scene(1)[: shape[0], : shape[1]], scene(2)[: shape[0], : shape[1]]
    first, second = (cv2.resize(frame, shape[::-1]) for frame in (first, second))
    points = np.array([[0, 0], [shape[1] - 1, shape[0] - 1], [shape[1], -2]], np.float32)
    assert not np.isnan(point_motion(first, second, points, Mining(flow=flow))).any()


@pytest.mark.parametrize("size", [(160, 120), (320, 240), (600, 448)])
def test_the_result_depends_neither_on_other_points_nor_on_what_was_asked_before(size):
    first, second = (cv2.resize(frame, size) for frame in two_frames((-3.3, -2.4), 0.4)[:2])
    points = interest_points(first)
    motion = point_motion(first, second, points, Mining())
    cv2.setRNGSeed(5)
    for other in ((20, 16), (160, 120), (320, 240), (600, 448)):
        point_motion(cv2.resize(second, other), cv2.resize(first, other), points, Mining())
    np.testing.assert_array_equal(point_motion(first, second, points, Mining()), motion)
    np.testing.assert_array_equal(point_motion(first, second, points[7:8], Mining()), motion[7:8])


def test_people_do_not_count_as_the_camera():
    wide, crowd = scene(1, 240, 320), scene(2, 240, 340)
    first, second = wide.copy(), wide.copy()
    first[:, 60:] = crowd[:, 60:320]
    second[:, 60:] = crowd[:, 57:317]
    at = np.array([[200, 120], [25, 120]], np.float32)  # in the crowd, and beside it
    everyone = np.array([[56, 0, 320, 240]], np.float32)
    assert (point_motion(first, second, at, Mining()) > 0.5).tolist() == [False, True]
    masked = point_motion(first, second, at, Mining(), everyone)
    assert (masked > 0.5).tolist() == [True, False]


def test_an_unknown_flow_is_refused():
    with pytest.raises(ValueError, match="farneback"):
        dense_flow(scene(1), scene(1), "lucas")


def test_where_nothing_explains_the_frames_edge_all_points_move():
    """As under water: each part of the picture goes another way."""
    first = two_frames((0, 0), 0.0)[0]
    y, x = np.mgrid[: first.shape[0], : first.shape[1]].astype(np.float32)
    shift = 4 * np.sin(y / 14), 4 * np.sin(x / 17)
    second = cv2.remap(first, x + shift[0], y + shift[1], cv2.INTER_LINEAR)
    points = np.array([[50, 50], [100, 80]], np.float32)
    assert np.isinf(point_motion(first, second, points, Mining())).all()
    assert np.isfinite(point_motion(first, np.roll(first, 3, 1), points, Mining())).all()

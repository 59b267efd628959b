from pathlib import Path

import cv2
import numpy as np
import pytest

from trackssl.config import Intrinsics, Nyuv2
from trackssl.datasets.nyuv2 import NyuFile, NyuIndex, read_truth
from trackssl.normals.from_depth import normals_from_depth
from trackssl.normals.metrics import angles

CAMERA = Intrinsics()


def plane_depth(normal: np.ndarray, distance: float) -> np.ndarray:
    x = (np.arange(640) - CAMERA.cx) / CAMERA.fx + np.zeros((480, 1))
    y = ((np.arange(480) - CAMERA.cy) / CAMERA.fy)[:, None] + np.zeros(640)
    return (-distance / (normal[0] * x + normal[1] * y + normal[2])).astype(np.float32)


def test_a_plane_has_one_normal_towards_the_camera() -> None:
    normal = np.array([0.3, -0.5, -1]) / np.linalg.norm([0.3, -0.5, -1])
    found = normals_from_depth(plane_depth(normal, 2.0), CAMERA, 15, 0.03)
    assert np.isfinite(found).all()
    assert angles(found, np.broadcast_to(normal, found.shape)).max() < 0.1


def test_normals_do_not_mix_across_a_step_or_an_edge() -> None:
    """Two walls that meet in a corner, and a near board: right up to two pixels from the edge."""
    walls = [np.array([0.6, 0, -0.8]), np.array([-0.6, 0, -0.8])]
    depths = [plane_depth(wall, 2.5) for wall in walls]
    depth = np.minimum(*depths)  # a convex room corner seen from within
    truth = np.where((depths[0] <= depths[1])[..., None], walls[0], walls[1])
    depth[200:300, 100:200] = 1.0
    truth[200:300, 100:200] = [0, 0, -1]
    edge = cv2.morphologyEx(depth, cv2.MORPH_GRADIENT, np.ones((5, 5), np.uint8)) > 0.1
    found = normals_from_depth(depth, CAMERA, 15, 0.03)
    far = ~edge & np.isfinite(found[..., 0])
    errors = angles(found[far], truth[far])
    assert far.mean() > 0.9
    assert np.quantile(errors, 0.95) < 3


def test_unknown_depth_has_no_normal() -> None:
    depth = plane_depth(np.array([0, 0, -1.0]), 2)
    depth[100:200, 100:200] = 0
    found = normals_from_depth(depth, CAMERA, 15, 0.03)
    assert (np.isnan(found[..., 0]) == (depth == 0)).all()


def test_noise_far_away_is_averaged() -> None:
    """A wall 3 m away in a Kinect's steps of depth: within 3 degrees."""
    normal = np.array([0.5, 0, -1]) / np.linalg.norm([0.5, 0, -1])
    inverse = 1 / plane_depth(normal, 3)
    noisy = inverse + np.random.default_rng(0).normal(0, 0.0009, inverse.shape)
    depth = (1 / (np.round(noisy / 0.0029) * 0.0029)).astype(np.float32)
    found = normals_from_depth(depth, CAMERA, 15, 0.03)
    errors = angles(np.broadcast_to(normal, found.shape), found)
    assert len(errors) > 0.95 * depth.size
    assert np.median(errors) < 3


def test_drawn_rooms_are_within_three_degrees(data: Nyuv2, index: NyuIndex) -> None:
    with NyuFile(Path(data.mat)) as frames:
        for number in sorted(index.splits["train"] + index.splits["test"]):
            found = normals_from_depth(frames.depth(number), data.camera, 15, 0.03)
            truth = read_truth(Path(data.normals or ""), number)
            known = np.isfinite(found[..., 0])
            assert known.mean() > 0.8
            assert np.median(angles(truth[known], found[known])) < 3


@pytest.mark.real_data
def test_real_frames_stand_on_one_floor_and_have_upright_walls(real_data: Path) -> None:
    """Of a real room: nearly all depth has a normal, it faces the camera, and the large surfaces
    are at right angles to each other: most normals lie near three axes, whatever the camera's pose.
    """
    rays = np.stack(
        [
            *np.meshgrid((np.arange(640) - 320) / 585, (np.arange(480) - 240) / 585),
            np.ones((480, 640)),
        ],
        axis=2,
    )
    camera = Intrinsics(fx=585, fy=585, cx=320, cy=240)
    for frame in (0, 600):
        stem = real_data / "rgbd" / f"frame-{frame:06d}"
        depth = cv2.imread(f"{stem}.depth.png", cv2.IMREAD_UNCHANGED).astype(np.float32) / 1000
        depth[depth > 10] = 0
        found = normals_from_depth(depth, camera, 15, 0.03)
        known = np.isfinite(found[..., 0])
        assert known.sum() > 0.93 * (depth > 0).sum()
        assert ((found * rays).sum(2)[known] < 0).mean() > 0.999
        sample = found[known][::50].astype(np.float64)
        # The direction most pixels share, then how many lie along it or at a right angle to it.
        near = np.abs(sample @ sample.T) > np.cos(np.radians(10))
        main = sample[near.sum(1).argmax()]
        cosine = np.abs(sample @ main)
        upright = (cosine > np.cos(np.radians(12))) | (cosine < np.sin(np.radians(12)))
        assert upright.mean() > 0.6  # .23 if directions were random

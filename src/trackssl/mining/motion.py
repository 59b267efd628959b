"""How far each interest point moves once the camera's motion is taken out.

As in improved dense trajectories (Wang & Schmid, ICCV 2013) the camera is a homography, fitted to
the flow by RANSAC. Deviations: DIS flow by default, faster than Farneback's and more exact;
the homography's displacement is taken from the flow, where IDT warps the second frame and measures
the flow again; and the frame's edge tells the camera's motion from a large object's.
"""

from functools import cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from trackssl.config import Mining

CELL_PX = 16  # a sample a cell: interest points alone crowd on what is rich in texture
MIN_CORNER_SHARE = 0.001  # of the strongest: flow drifts where nothing is to be seen
RIM_SHARE = 1 / 8  # of a side: the frame's edge, which shows the background
RIM_LEAD = 1.25  # by which another motion must explain more of the edge than a stronger one
RANSAC_PX = 1.0  # these three are the IDT release's
MIN_MATCHES = 50
MIN_INLIERS = 25

Grey = NDArray[np.uint8]
Floats = NDArray[np.float32]


def point_motion(previous: Grey, current: Grey, points: Floats, settings: Mining) -> Floats:
    """Length of each point's motion between two grey frames (H, W) uint8, less the camera's.

    `points` (N, >=2) float32 begin with x, y in `previous` -> (N,) float32, in pixels.
    """
    flow = dense_flow(previous, current, settings.flow)
    corners = _spread_corners(previous)
    samples = np.concatenate([corners, points[:, :2].astype(np.float32)])
    x, y = samples.round().astype(int).T
    moved = samples + flow[y, x]
    inside = np.abs(samples / previous.shape[::-1] - 0.5).max(axis=1) < 0.5 - RIM_SHARE
    rim = ~inside & (np.arange(len(samples)) < len(corners))  # one vote a cell
    stays = _mapped(samples, camera_homography(samples, moved, rim))
    return np.linalg.norm(moved - stays, axis=1)[len(corners) :].astype(np.float32)


def dense_flow(previous: Grey, current: Grey, method: str = "dis") -> Floats:
    """Optical flow between two grey frames (H, W) uint8 -> (H, W, 2) float32 x, y in pixels.

    Raises ValueError when the method is neither "dis" nor "farneback".
    """
    if method == "dis":
        return _dis().calc(previous, current, None)
    if method == "farneback":  # the settings of the IDT release
        return cv2.calcOpticalFlowFarneback(  # type: ignore[call-overload]
            previous, current, None, 0.5, 5, 10, 2, 7, 1.5, cv2.OPTFLOW_FARNEBACK_GAUSSIAN
        )
    raise ValueError(f"flow is 'dis' or 'farneback', not '{method}'")


def camera_homography(
    before: Floats, after: Floats, rim: NDArray[np.bool_] | None = None
) -> NDArray[np.float64]:
    """Robust homography of matches (N, 2) -> (3, 3); the identity when too few agree on one.

    `rim` (N,) marks matches near the frame's edge. The camera's is the strongest motion, unless the
    second strongest or standing still explains clearly more of them: a large object may hold most
    matches, or nearly all before a flat wall, but seldom the edge.
    """
    if rim is None:
        rim = np.ones(len(before), bool)
    motions: list[NDArray[np.float64]] = []
    left = np.ones(len(before), bool)
    while len(motions) < 2 and np.count_nonzero(left) > MIN_MATCHES:
        found, inliers = cv2.findHomography(before[left], after[left], cv2.RANSAC, RANSAC_PX)
        if found is None or np.count_nonzero(inliers) <= MIN_INLIERS:
            break
        motions.append(np.asarray(found, np.float64))
        left[left] = inliers.ravel() == 0
    camera, votes = np.eye(3), -1
    for motion in (*motions, np.eye(3)):
        agree = np.linalg.norm(_mapped(before, motion) - after, axis=1) < RANSAC_PX
        count = int((agree & rim).sum())
        if count > RIM_LEAD * votes:
            camera, votes = motion, count
    return camera


def _mapped(points: Floats, homography: NDArray) -> Floats:
    """Points (N, 2) under a homography, for any N."""
    if not len(points):
        return points
    return np.asarray(cv2.perspectiveTransform(points[:, None], homography)[:, 0], np.float32)


def _spread_corners(grey: Grey) -> Floats:
    """The strongest corner of each cell that has one, (H, W) -> (N, 2) float32 x, y in pixels."""
    strength = cv2.cornerMinEigenVal(grey, 3)
    rows, columns = grey.shape[0] // CELL_PX, grey.shape[1] // CELL_PX
    tiled = strength[: rows * CELL_PX, : columns * CELL_PX].reshape(rows, CELL_PX, columns, CELL_PX)
    cells = tiled.transpose(0, 2, 1, 3).reshape(rows, columns, CELL_PX * CELL_PX)
    y, x = np.divmod(cells.argmax(2), CELL_PX)
    y += np.arange(rows)[:, None] * CELL_PX
    x += np.arange(columns) * CELL_PX
    textured = cells.max(2) > MIN_CORNER_SHARE * strength.max()
    return np.stack([x[textured], y[textured]], axis=1).astype(np.float32)


@cache
def _dis() -> Any:
    cv2.setNumThreads(1)  # its result depends on the number of threads, and jobs share machines
    return cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)

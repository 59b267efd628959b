"""How far each interest point moves once the camera's motion is taken out.

As in improved dense trajectories (IDT; Wang & Schmid, ICCV 2013) the camera is a homography, fitted
robustly to the flow. Deviations: DIS flow (Kroeger et al., ECCV 2016) by default, faster and more
exact than Farneback's; the homography's displacement is taken from the flow, where IDT warps the
second frame and measures the flow again; corners spread over the frame take the place of matched
SURF points; and the frame's edge tells the camera's motion from a large object's.
"""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from trackssl.config import Mining

CELL_PX = 16  # a sample a cell: interest points crowd on objects, which are rich in texture
MIN_CORNER_SHARE = 0.001  # of the strongest: flow drifts where nothing is to be seen
RIM_SHARE = 1 / 8  # of a side: the frame's edge, which shows the background
RIM_LEAD = 1.25  # by which another motion must explain more of the edge than a simpler one
HOMOGRAPHY_LEAD = 1.05  # the same, of a homography over the similarity that it grew from
AGREE_PX = 0.5  # IDT's 1 px lets one fit swallow the background and a slow object
REFINE_PX = (1.0, 0.5, 0.5)
MIN_INLIERS = 15
MIN_SUPPORT = 0.35  # of the edge's samples: what the camera's motion must explain to be known
MIN_SIDE_PX = 16  # of a frame whose flow can be measured

Grey = NDArray[np.uint8]
Floats = NDArray[np.float32]
Flags = NDArray[np.bool_]
Homography = NDArray[np.float64]


def point_motion(
    previous: Grey, current: Grey, points: Floats, settings: Mining, people: Floats | None = None
) -> Floats:
    """Length of each point's motion between two grey frames (H, W) uint8, less the camera's.

    `points` (N, >=2) float32 begin with x, y in `previous` -> (N,) float32, in pixels. `people`
    (M, 4) x0, y0, x1, y1 of `previous` are left out of the camera's estimation, as in IDT. The
    points do not change each other's result. Equal frames, and frames under 16 px, do not move.
    Where nothing explains a third of the frame's edge (water, a close-up, blur) the camera is
    not known, and all points move by infinity: the rule on what moves with the camera rejects them.
    """
    if min(previous.shape) < MIN_SIDE_PX or np.array_equal(previous, current):
        return np.zeros(len(points), np.float32)
    flow = dense_flow(previous, current, settings.flow)
    samples = _spread_corners(previous)
    if people is not None:
        samples = samples[~_covered(samples, people)]
    rim = np.abs(samples / previous.shape[::-1] - 0.5).max(axis=1) >= 0.5 - RIM_SHARE
    targets = _moved(samples, flow)
    camera = camera_homography(samples, targets, rim)
    explained = np.linalg.norm(_mapped(samples, camera) - targets, axis=1)[rim] < AGREE_PX
    if rim.any() and explained.mean() < MIN_SUPPORT:
        return np.full(len(points), np.inf, np.float32)
    places = points[:, :2].astype(np.float32)
    return np.linalg.norm(_moved(places, flow) - _mapped(places, camera), axis=1)


def dense_flow(previous: Grey, current: Grey, method: str = "dis") -> Floats:
    """Optical flow between two grey frames (H, W) uint8 -> (H, W, 2) float32 x, y in pixels.

    Raises ValueError when the method is neither "dis" nor "farneback".
    """
    if method == "dis":
        return _dis(min(previous.shape)).calc(previous, current, None)
    if method == "farneback":  # the settings of the IDT release
        return cv2.calcOpticalFlowFarneback(  # type: ignore[call-overload]
            previous, current, None, 0.5, 5, 10, 2, 7, 1.5, cv2.OPTFLOW_FARNEBACK_GAUSSIAN
        )
    raise ValueError(f"flow is 'dis' or 'farneback', not '{method}'")


def camera_homography(before: Floats, after: Floats, rim: Flags | None = None) -> Homography:
    """Robust homography of matches (N, 2) -> (3, 3); the identity when too few agree on one.

    `rim` (N,) marks matches near the frame's edge, which vote: a large object may hold most
    matches, but seldom the edge. Candidates are standing still and the two strongest motions, each
    as a similarity (two matches fix it, so RANSAC seldom mixes two motions in one) and as the
    homography that this grows into. A simpler candidate stays unless another one leads clearly.
    """
    if rim is None:
        rim = np.ones(len(before), bool)

    def agreeing(motion: Homography) -> Flags:
        return np.linalg.norm(_mapped(before, motion) - after, axis=1) < AGREE_PX

    def votes(motion: Homography) -> int:
        return int((agreeing(motion) & rim).sum())

    camera = np.eye(3)
    most = votes(camera)
    left = np.ones(len(before), bool)
    for _ in range(2):
        found = _similarity(before[left], after[left])
        if found is None:
            break
        motion, count = found, votes(found)
        grown = _grown(before, after, found)
        if grown is not None and (grown_count := votes(grown)) > HOMOGRAPHY_LEAD * count:
            motion, count = grown, grown_count
        if count > RIM_LEAD * most:
            camera, most = motion, count
        left &= ~agreeing(found if grown is None else grown)
    return camera


def _similarity(before: Floats, after: Floats) -> Homography | None:
    """Turn, zoom and shift by RANSAC; OpenCV's draws begin anew at each call."""
    if len(before) < MIN_INLIERS:
        return None
    found, inliers = cv2.estimateAffinePartial2D(
        before, after, method=cv2.RANSAC, ransacReprojThreshold=AGREE_PX
    )
    if found is None or np.count_nonzero(inliers) < MIN_INLIERS:
        return None
    return np.vstack([found, [0, 0, 1]])


def _grown(before: Floats, after: Floats, motion: Homography) -> Homography | None:
    """Least-squares homography of what agrees with a motion, again and again, ever closer."""
    for near_px in REFINE_PX:
        near = np.linalg.norm(_mapped(before, motion) - after, axis=1) < near_px
        if np.count_nonzero(near) < MIN_INLIERS:
            return None
        found, _ = cv2.findHomography(before[near], after[near], 0)
        if found is None:
            return None
        motion = np.asarray(found, np.float64)
    return motion


def _moved(points: Floats, flow: Floats) -> Floats:
    """Points (N, 2) where the flow takes them; those outside of the frame by its nearest pixel."""
    x, y = np.clip(points.round().astype(int), 0, (flow.shape[1] - 1, flow.shape[0] - 1)).T
    return points + flow[y, x]


def _mapped(points: Floats, homography: Homography) -> Floats:
    """Points (N, 2) under a homography, for any N."""
    if not len(points):
        return points
    return np.asarray(cv2.perspectiveTransform(points[:, None], homography)[:, 0], np.float32)


def _covered(points: Floats, boxes: Floats) -> Flags:
    """Which points (N, 2) lie in one of the boxes (M, 4) -> (N,)."""
    at = points[:, None]
    inside = np.all((at >= boxes[:, :2]) & (at < boxes[:, 2:]), axis=2)
    return np.asarray(inside.any(axis=1), np.bool_)


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


def _dis(side_px: int) -> Any:
    """DIS for a pair of frames whose shorter side is this.

    At the paper's 448 px this is OpenCV's preset "fast". Its scale is kept up with the frame's, and
    the smoothing that it ends with, whose reach is fixed, would wipe out what is small in less
    than 200 px. One for each pair: a small frame changes its settings for good.
    """
    cv2.setNumThreads(1)  # its result depends on the number of threads, and jobs share machines
    flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    flow.setFinestScale(2 if side_px >= 400 else 1)
    flow.setVariationalRefinementIterations(5 if side_px >= 200 else 0)
    return flow

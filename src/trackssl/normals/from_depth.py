"""Normals from depth by local planes, for frames that come without ground truth."""

from itertools import product

import cv2
import numpy as np
from numpy.typing import NDArray

from trackssl.config import Intrinsics
from trackssl.datasets.nyuv2 import Field

_MIN_SHARE = 0.5  # of a window's pixels that must have depth
_NOISE = 1e-8  # variance of inverse depth (1 / m^2) below which fits count as equally good
_SHARPNESS = 4  # how much a better fit weighs
_EPSILON = 1e-12


def normals_from_depth(
    depth: NDArray[np.float32], camera: Intrinsics, window_px: int, max_error: float
) -> Field:
    """Normals of a depth map (H, W) in metres, 0 for unknown -> (H, W, 3) float32, NaN for none.

    Over a plane, inverse depth is linear in the pixel's place, and a Kinect's noise is about the
    same everywhere. So a plane is fitted to the inverse depth of each square window by least
    squares, from box sums. A pixel takes the mean plane of the nine windows, shifted by half a
    side, that hold it; each weighs by how well it fits, so near a step of depth or an edge of two
    walls those on the pixel's own side decide. It has no normal where no such window has depth in
    half of its pixels, or where it is off its plane by more than the share `max_error` of its
    distance.
    """
    height, width = depth.shape
    half = window_px // 2
    known = (depth > 0).astype(np.float64)
    inverse = np.divide(1, depth, out=np.zeros((height, width)), where=depth > 0)
    x = (np.arange(width) - camera.cx) / camera.fx + np.zeros((height, 1))
    y = ((np.arange(height) - camera.cy) / camera.fy)[:, None] + np.zeros(width)
    planes, error = _fit(x, y, inverse, known, 2 * half + 1)

    places = [
        np.ix_(
            np.clip(np.arange(height) + dy, 0, height - 1),
            np.clip(np.arange(width) + dx, 0, width - 1),
        )
        for dy, dx in product((-half, 0, half), repeat=2)
    ]
    best = np.min([error[at] for at in places], axis=0)
    best = np.where(np.isfinite(best), best, 0)
    total = np.zeros((height, width))
    chosen = np.zeros((height, width, 3))
    for at in places:
        weight = ((best + _NOISE) / (error[at] + _NOISE)) ** _SHARPNESS
        total += weight
        chosen += weight[..., None] * planes[at]
    chosen /= np.where(total > 0, total, np.nan)[..., None]
    a, b, c = np.moveaxis(chosen, 2, 0)
    off = np.abs(a * x + b * y + c - inverse) > max_error * inverse
    length = np.where((known == 0) | off, np.nan, np.sqrt(a * a + b * b + c * c))
    return (-chosen / length[..., None]).astype(np.float32)  # towards the camera


def _fit(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    inverse: NDArray[np.float64],
    known: NDArray[np.float64],
    side: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Planes of the windows around all pixels: (H, W, 3) a, b, c of inverse = a x + b y + c, and
    their mean squared errors (H, W), infinite where too little is known.
    """

    def mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
        window = (side, side)
        return np.asarray(
            cv2.boxFilter(values * known, -1, window, borderType=cv2.BORDER_CONSTANT), np.float64
        )

    share = mean(known)
    weight = np.maximum(share, _EPSILON)
    mx, my, md = mean(x) / weight, mean(y) / weight, mean(inverse) / weight
    xx, yy, xy = (
        mean(p) / weight - q for p, q in ((x * x, mx * mx), (y * y, my * my), (x * y, mx * my))
    )
    xd, yd = mean(x * inverse) / weight - mx * md, mean(y * inverse) / weight - my * md
    dd = mean(inverse * inverse) / weight - md * md
    determinant = xx * yy - xy * xy
    spread = np.maximum(determinant, _EPSILON**2)
    a = (yy * xd - xy * yd) / spread
    b = (xx * yd - xy * xd) / spread
    error = np.maximum(dd - a * xd - b * yd, 0)
    flat = determinant > 1e-3 * (xx + yy) ** 2  # not all in one line
    error = np.where((share >= _MIN_SHARE) & flat, error, np.inf)
    return np.stack([a, b, md - a * mx - b * my], axis=2), error

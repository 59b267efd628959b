"""Tracking by a kernelised correlation filter (Henriques et al., TPAMI 2015), around OpenCV's.

OpenCV's has colour names in place of HOG, works in whole pixels, has no scale search and shows no
confidence; the score here is our own. What is inside may change, the class stays.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from trackssl.images import Image
from trackssl.pairs.store import Box

THUMBNAIL_PX = 32  # sides of what the score compares


class Tracker:
    """Follows the target in `box` (x, y, w, h in pixels) from the BGR frame (H, W, 3) uint8 on.

        tracker = Tracker(frames[0], (100, 50, 64, 48))
        found = tracker.update(frames[1])  # (box, score), or None when the target is lost

    The box keeps its size; its sides are at least a pixel, and some of it lies in the frame.
    """

    def __init__(self, frame: Image, box: Box) -> None:
        self._look = _thumbnail(frame, box)
        # A side with large prime factors makes the Fourier transform slow, so the filter gets the
        # nearest good size around the same middle.
        inner_w, inner_h = _good_side(box[2]), _good_side(box[3])
        self._border_px = max(inner_w, inner_h) // 2
        inner_x = round(box[0] + (box[2] - inner_w) / 2) + self._border_px
        inner_y = round(box[1] + (box[3] - inner_h) / 2) + self._border_px
        self._offset = (box[0] - inner_x, box[1] - inner_y)
        self._size = (box[2], box[3])
        self._filter = cv2.TrackerKCF.create()
        wide = self._with_border(frame)
        self._filter.init(wide, (inner_x, inner_y, inner_w, inner_h))
        self._filter.update(wide)  # `init` keeps the box only; the first update learns

    def update(self, frame: Image) -> tuple[Box, float] | None:
        """The box in the next frame, and how well it correlates with the last one, -1..1."""
        found, (x, y, _, _) = self._filter.update(self._with_border(frame))
        if not found:
            return None
        box = (x + self._offset[0], y + self._offset[1], *self._size)
        look = _thumbnail(frame, box)
        score, self._look = correlation(self._look, look), look
        return box, score

    def _with_border(self, frame: Image) -> Image:
        """The frame widened: OpenCV's would hold a box at its edge while the target leaves."""
        px = self._border_px
        wide = cv2.copyMakeBorder(frame, px, px, px, px, cv2.BORDER_REPLICATE)
        return np.asarray(wide, np.uint8)


def correlation(a: NDArray[np.floating], b: NDArray[np.floating]) -> float:
    """Zero-mean normalised correlation of two arrays of one shape, -1..1; 0 where one is flat."""
    a, b = a - a.mean(), b - b.mean()
    norm = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float((a * b).sum()) / norm if norm > 0 else 0.0


def _thumbnail(frame: Image, box: Box) -> NDArray[np.float32]:
    """What lies in the box, small and grey, (32, 32); beyond the frame its edge is repeated."""
    x, y, w, h = box
    patch = cv2.getRectSubPix(frame, (round(w), round(h)), (x + (w - 1) / 2, y + (h - 1) / 2))
    grey = cv2.cvtColor(patch, cv2.COLOR_BGR2GRAY)
    small = cv2.resize(grey, (THUMBNAIL_PX, THUMBNAIL_PX), interpolation=cv2.INTER_AREA)
    return small.astype(np.float32)


def _good_side(side: float) -> int:
    """The whole number nearest to `side` that has no prime factor but 2, 3 and 5."""
    below = above = max(round(side), 1)
    while cv2.getOptimalDFTSize(below) != below:
        below -= 1
    above = cv2.getOptimalDFTSize(above)
    return below if side - below <= above - side else above

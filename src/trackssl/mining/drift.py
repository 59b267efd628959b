"""Whether a track went along with what moves: a filter may hold on to the background instead.

Ours, not the paper's. KCF sees more than the box, and where the target is loose (a window around
moving points) the still part of it can win, with a high response. So the points for which the
window was chosen are followed on their own, by Lucas and Kanade's flow, and must end in the box.
"""

from collections.abc import Sequence
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from trackssl.mining.kcf import Features, at_resolution, halvings_of
from trackssl.pairs.store import Box

EVERY_FRAMES = 3  # flow is taken over so many frames at once
RETURN_PX = 1.0  # a point that flow does not bring back to its place is given up
MIN_POINTS = 3
_FLOW = {"winSize": (15, 15), "maxLevel": 3}

Floats = NDArray[np.float32]


def points_kept(
    frames: Sequence[Features], points: Sequence[tuple[float, float]], last_box: Box
) -> float | None:
    """Share of points (x, y) of the first frame that lie in the box of the last, 0..1.

    Of those that can be followed; None when these are fewer than three, which tell nothing. Flow is
    taken at the resolution at which KCF tracks a box of this size.
    """
    halvings = halvings_of(last_box)
    greys = [at_resolution(frame, halvings).grey for frame in frames]
    places = np.array(points, np.float32).reshape(-1, 2) / np.float32(1 << halvings)
    for before, after in pairwise([*range(0, len(greys) - 1, EVERY_FRAMES), len(greys) - 1]):
        if len(places) < MIN_POINTS:
            return None
        places = _followed(greys[before], greys[after], places)
    if len(places) < MIN_POINTS:
        return None
    x, y, w, h = last_box
    places = places * (1 << halvings)
    inside = (places >= (x, y)) & (places < (x + w, y + h))
    return float(inside.all(axis=1).mean())


def _followed(before: NDArray[np.uint8], after: NDArray[np.uint8], places: Floats) -> Floats:
    there, found, _ = cv2.calcOpticalFlowPyrLK(before, after, places, None, **_FLOW)  # type: ignore
    back, _, _ = cv2.calcOpticalFlowPyrLK(after, before, there, None, **_FLOW)  # type: ignore
    returns = np.linalg.norm(back - places, axis=1) < RETURN_PX
    return np.asarray(there[returns & (found.ravel() == 1)], np.float32)

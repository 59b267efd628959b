"""Cuts, which no track may cross, and frames that only repeat the one before them.

Both are properties of the file, not of the scene, and the paper does not speak of them. A cut shows
on thumbnails: no small shift of what was there before explains what is there now. Repeats (drawings
held for two or three frames, telecine, a rate made constant) show at full size and by comparison
alone: how much coding changes a frame that is shown again differs by a factor of ten between files.
"""

from collections.abc import Sequence
from itertools import pairwise

import cv2
import numpy as np
from numba import njit
from numpy.typing import NDArray

Grey = NDArray[np.uint8]

THUMBNAIL_PX = 48  # the thumbnail's shorter side is below
BLOCK_PX = 6  # of a thumbnail
REACH_PX = 3  # shifts tried, of a thumbnail: 48 px of a frame of 448 x 600
NOISE = 2.0  # grey levels; texture below is not looked at
LEAST_CHANGE, MOST_CHANGE = 0.65, 0.85  # nothing below is a cut, everything above is
LEAD = 0.25  # by which a cut between the two changes more than what is beside it
MOST_REPEATS = 3  # drawings are held for two to four frames
LEAP = 3.0  # steady motion at most doubles a difference from one frame to the next


def thumbnail(grey: Grey) -> Grey:
    """A grey frame (H, W) uint8, halved until its shorter side is below 48 px."""
    while min(grey.shape) >= THUMBNAIL_PX:
        height, width = grey.shape[0] // 2, grey.shape[1] // 2
        even = grey[: 2 * height, : 2 * width]
        grey = cv2.resize(even, (width, height), interpolation=cv2.INTER_AREA)  # type: ignore
    return grey


def change(before: Grey, after: Grey) -> float:
    """How much of two thumbnails (h, w) no shift of a block explains, 0..1 and a little more.

    Blocks are compared less their mean, so that light that comes or goes changes little. Motion
    stays below .7 unless it is very fast, nearly every cut to another scene is above .85.
    """
    unmoved = _change(before, after, 0)
    # Below, it is no cut and hides none beside it, so the search would alter nothing.
    return unmoved if unmoved < LEAST_CHANGE - LEAD else _change(before, after, REACH_PX)


def cuts(thumbnails: Sequence[Grey]) -> list[int]:
    """Numbers of the frames that begin another shot, from the thumbnails of consecutive frames.

    A single odd frame after which the scene goes on (a flash, a fault) begins none. Found are hard
    cuts and fades through black of half a second; not found are dissolves, nor jumps before a fixed
    camera, whose background goes on. Motion of more than 48 px a frame may pass for a cut.
    """
    changes = [0.0, *(change(a, b) for a, b in pairwise(thumbnails)), 0.0]
    return [k for k in range(1, len(thumbnails)) if _is_cut(thumbnails, changes, k)]


def _is_cut(thumbnails: Sequence[Grey], changes: Sequence[float], k: int) -> bool:
    around = max(changes[k - 1], changes[k + 1])
    limit = min(max(LEAST_CHANGE, around + LEAD), MOST_CHANGE)
    if changes[k] <= limit:
        return False
    ends = [(k - 1, k + 1), (k - 2, k)]  # around k, or k - 1, when that is a single odd frame
    inside = [(a, b) for a, b in ends if a >= 0 and b < len(thumbnails)]
    return all(change(thumbnails[a], thumbnails[b]) > changes[k] - LEAD for a, b in inside)


def first_new(greys: Sequence[Grey]) -> int:
    """Number of the first of these grey frames (H, W) uint8 that does not repeat the very first.

    1 where all goes on evenly, moving or not, so a frozen picture is not told from a still scene;
    no more than four frames are looked at. A slow small object is no repeat: what differs grows
    steadily there, and by a leap where a frame was only shown again.
    """
    last = 1.0  # a grey level, so that no leap begins at nothing
    for k, grey in enumerate(greys[1 : MOST_REPEATS + 2], 1):
        difference = np.asarray(cv2.absdiff(greys[0], grey), np.uint8)
        differs = float(thumbnail(difference).max())
        if k > 1 and differs > LEAP * last:
            return k
        last = max(differs, 1.0)
    return 1


def _change(before: Grey, after: Grey, reach: int) -> float:
    new, all_new = _residual(before, after, reach)
    old, all_old = _residual(after, before, reach)
    return float(np.sqrt((new + old) / (all_new + all_old + 2 * after.size * NOISE**2)))


@njit(cache=True, nogil=True)
def _residual(before: Grey, after: Grey, reach: int) -> tuple[float, float]:
    """Squares of what the best shift of each block of `after` leaves, and of its texture."""
    height, width = after.shape
    rows, columns = height // BLOCK_PX, width // BLOCK_PX
    area = BLOCK_PX * BLOCK_PX
    best = np.full((rows, columns), np.inf)
    sums = np.empty(columns * BLOCK_PX, np.int32)
    squares = np.empty(columns * BLOCK_PX, np.int32)
    left = texture = 0.0
    for row in range(rows):
        top = row * BLOCK_PX
        for dy in range(-reach, reach + 1):
            if top + dy < 0 or top + dy + BLOCK_PX > height:
                continue
            for dx in range(-reach, reach + 1):
                first = max(0, -dx)
                last = min(len(sums), width - dx)
                sums[:] = 0
                squares[:] = 0
                for y in range(top, top + BLOCK_PX):
                    new, old = after[y, first:last], before[y + dy, first + dx : last + dx]
                    for x in range(len(new)):
                        d = np.int32(new[x]) - np.int32(old[x])
                        sums[x] += d
                        squares[x] += d * d
                for column in range(columns):
                    x0 = column * BLOCK_PX
                    if x0 < first or x0 + BLOCK_PX > last:
                        continue
                    s = q = 0
                    for x in range(x0 - first, x0 - first + BLOCK_PX):
                        s += sums[x]
                        q += squares[x]
                    best[row, column] = min(best[row, column], q - s * s / area)
    for row in range(rows):
        for column in range(columns):
            s = q = 0
            for y in range(row * BLOCK_PX, (row + 1) * BLOCK_PX):
                for x in range(column * BLOCK_PX, (column + 1) * BLOCK_PX):
                    v = int(after[y, x])
                    s += v
                    q += v * v
            texture += q - s * s / area
            left += best[row, column]
    return left, texture

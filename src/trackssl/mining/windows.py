"""The windows that hold the most moving points (paper, sec. 4), found exactly."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

FURTHER_SHARE = 0.5  # of the first window's points: what a further one must hold


def best_windows(
    points: NDArray[np.floating],
    patch_px: int,
    height: int,
    width: int,
    most: int = 1,
    max_overlap: float = 0.3,
) -> list[tuple[int, int, int]]:
    """Square windows with the most points (N, >=2) of x, y -> up to `most` (x, y, count).

    x, y are the top left, in pixels. Greedily: the fullest window (the paper takes this one only),
    then the fullest of those whose intersection over union with each one before is at most
    `max_overlap`, while it holds at least half as many points as the first. No points, no window.

    Every whole-pixel position inside a frame of height x width is a candidate; the paper states no
    stride. Of equally full windows the one is taken whose middle lies nearest to the mean of its
    own points, then the topmost, then the leftmost. Points outside of the frame do not count.

    Raises ValueError when the window does not fit into the frame.
    """
    if not 0 < patch_px <= min(height, width):
        raise ValueError(f"no window of {patch_px} px fits into {height} x {width}")
    x, y = np.floor(points[:, :2].T).astype(np.int64)
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    sums = _sums(x[inside], y[inside], height, width)
    chosen = np.empty((0, 2), np.int64)
    windows: list[tuple[int, int, int]] = []
    while len(windows) < most:
        left, top, count = _fullest(sums, patch_px, chosen, max_overlap)
        if count == 0 or (windows and count < FURTHER_SHARE * windows[0][2]):
            break
        windows.append((left, top, count))
        chosen = np.vstack([chosen, [left, top]])
    return windows


@njit(cache=True, nogil=True)
def _sums(x, y, height, width):
    """Of all points above and left: how many, sum of x, sum of y -> (H + 1, W + 1, 3) int32."""
    sums = np.zeros((height + 1, width + 1, 3), np.int32)
    for i in range(len(x)):
        at = sums[y[i] + 1, x[i] + 1]
        at[0] += 1
        at[1] += x[i]
        at[2] += y[i]
    for row in range(1, height + 1):
        count, sum_x, sum_y = np.int32(0), np.int32(0), np.int32(0)
        for column in range(1, width + 1):
            at, above = sums[row, column], sums[row - 1, column]
            count += at[0]
            sum_x += at[1]
            sum_y += at[2]
            at[0], at[1], at[2] = above[0] + count, above[1] + sum_x, above[2] + sum_y
    return sums


@njit(cache=True, nogil=True)
def _fullest(sums, side, chosen, max_overlap):
    """x, y and count of the best window that is none of the `chosen` (M, 2) nor overlaps them."""
    best_x, best_y, most, best_off = 0, 0, 0, 0
    for row in range(sums.shape[0] - side):
        for column in range(sums.shape[1] - side):
            a, b = sums[row, column], sums[row, column + side]
            c, d = sums[row + side, column], sums[row + side, column + side]
            count = d[0] - b[0] - c[0] + a[0]
            if count < most or count == 0 or _taken(column, row, side, chosen, max_overlap):
                continue
            # Twice the distance, times the count: whole numbers, so ties are ties everywhere.
            off_x = 2 * (d[1] - b[1] - c[1] + a[1]) - count * (2 * column + side - 1)
            off_y = 2 * (d[2] - b[2] - c[2] + a[2]) - count * (2 * row + side - 1)
            off = off_x * off_x + off_y * off_y
            if count > most or off < best_off:
                best_x, best_y, most, best_off = column, row, count, off
    return best_x, best_y, most


@njit(cache=True, nogil=True)
def _taken(x, y, side, chosen, max_overlap):
    for i in range(len(chosen)):
        apart_x, apart_y = abs(x - chosen[i, 0]), abs(y - chosen[i, 1])
        common = max(0, side - apart_x) * max(0, side - apart_y)
        if apart_x + apart_y == 0 or common > max_overlap * (2 * side * side - common):
            return True
    return False

"""The window that holds the most moving points (paper, sec. 4), found exactly."""

import numpy as np
from numpy.typing import NDArray


def best_window(
    points: NDArray[np.floating], patch_px: int, height: int, width: int
) -> tuple[int, int, int]:
    """Square window with the most points (N, >=2) of x, y -> (x, y, count), top left in pixels.

    Every whole-pixel position inside a frame of height x width is a candidate; the paper states no
    stride. Of equally full windows the one is taken whose middle lies nearest to the mean of its
    own points, then the topmost, then the leftmost. Points outside of the frame do not count.

    Raises ValueError when the window does not fit into the frame.
    """
    if not 0 < patch_px <= min(height, width):
        raise ValueError(f"no window of {patch_px} px fits into {height} x {width}")
    x, y = np.floor(points[:, :2].T).astype(np.int64)
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    x, y = x[inside], y[inside]
    count = np.zeros((height, width), np.int64)
    np.add.at(count, (y, x), 1)
    count = _window_sums(count, patch_px)
    top = int(count.max())
    rows, columns = np.nonzero(count == top)
    sum_x, sum_y = np.zeros((2, height, width), np.int64)
    np.add.at(sum_x, (y, x), x)
    np.add.at(sum_y, (y, x), y)
    # Twice the distance, times the count: whole numbers, so that ties are ties on every machine.
    off_x = 2 * _window_sums(sum_x, patch_px)[rows, columns] - top * (2 * columns + patch_px - 1)
    off_y = 2 * _window_sums(sum_y, patch_px)[rows, columns] - top * (2 * rows + patch_px - 1)
    best = int(np.argmin(off_x**2 + off_y**2))  # the first, in order of rows and columns
    return int(columns[best]), int(rows[best]), top


def _window_sums(values: NDArray[np.int64], side: int) -> NDArray[np.int64]:
    """Sum over each square, (H, W) -> (H - side + 1, W - side + 1), by an integral image."""
    total = np.pad(values, ((1, 0), (1, 0))).cumsum(0).cumsum(1)
    return total[side:, side:] - total[:-side, side:] - total[side:, :-side] + total[:-side, :-side]

"""Histograms of oriented gradients over cells of 4 px (Felzenszwalb et al., TPAMI 2010, sec. 6).

As KCF was published with: 18 directions, 9 orientations and 4 texture energies, each cell
normalised by its four 2 x 2 blocks; votes are bilinear in place and go to the nearest direction.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

CELL_PX = 4
DIRECTIONS = 18
ORIENTATIONS = DIRECTIONS // 2
CHANNELS = DIRECTIONS + ORIENTATIONS + 4
CLIP = np.float32(0.2)
TEXTURE = np.float32(1 / np.sqrt(DIRECTIONS))
FLAT = np.float32(1e-2)  # keeps cells without a gradient from being divided by 0
MIDDLE = 255 * 511 + 255  # of the table of directions

Cells = NDArray[np.float32]


def hog(grey: NDArray[np.uint8], top: int, left: int, rows: int, columns: int) -> Cells:
    """Cells of a grey image (H, W) uint8 -> (rows, columns, 31) float32.

    Cell (i, j) covers the pixels from (4 (top + i), 4 (left + j)) on. The rectangle must lie within
    the H // 4 x W // 4 whole cells of the image.
    """
    if not (0 <= top <= top + rows <= grey.shape[0] // CELL_PX) or not (
        0 <= left <= left + columns <= grey.shape[1] // CELL_PX
    ):
        raise ValueError(f"cells {top, left, rows, columns} do not lie in an image {grey.shape}")
    return _hog(grey, top, left, rows, columns, _DIRECTION)


def _direction_table() -> NDArray[np.uint8]:
    """Nearest of 18 directions by (dy, dx) + 255: whole numbers, so a table replaces arctan."""
    steps = np.arange(-255, 256)
    angle = np.arctan2(steps[:, None], steps[None])
    return (np.rint(angle * (DIRECTIONS / (2 * np.pi))) % DIRECTIONS).astype(np.uint8).ravel()


_DIRECTION = _direction_table()


@njit(cache=True, nogil=True)
def _hog(grey, top, left, rows, columns, direction):
    votes = _votes(grey, top - 1, left - 1, rows + 2, columns + 2, direction)
    energy = np.empty((rows + 2, columns + 2), np.float32)
    for i in range(rows + 2):
        for j in range(columns + 2):
            vote = votes[i, j]
            total = np.float32(0)
            for k in range(ORIENTATIONS):
                both = vote[k] + vote[k + ORIENTATIONS]
                total += both * both
            energy[i, j] = total
    inverse = np.empty((rows + 1, columns + 1), np.float32)
    for i in range(rows + 1):
        for j in range(columns + 1):
            total = energy[i, j] + energy[i, j + 1] + energy[i + 1, j] + energy[i + 1, j + 1]
            inverse[i, j] = np.float32(1) / np.sqrt(total + FLAT)
    cells = np.empty((rows, columns, CHANNELS), np.float32)
    clipped = np.empty((4, DIRECTIONS), np.float32)
    for i in range(rows):
        for j in range(columns):
            vote, cell = votes[i + 1, j + 1], cells[i, j]
            norms = (inverse[i, j], inverse[i, j + 1], inverse[i + 1, j], inverse[i + 1, j + 1])
            for k in range(ORIENTATIONS):
                v = vote[k] + vote[k + ORIENTATIONS]
                cell[DIRECTIONS + k] = np.float32(0.5) * (
                    (min(v * norms[0], CLIP) + min(v * norms[1], CLIP))
                    + (min(v * norms[2], CLIP) + min(v * norms[3], CLIP))
                )
            for k in range(DIRECTIONS):
                v = vote[k]
                for block in range(4):
                    clipped[block, k] = min(v * norms[block], CLIP)
                cell[k] = np.float32(0.5) * (
                    (clipped[0, k] + clipped[1, k]) + (clipped[2, k] + clipped[3, k])
                )
            for block in range(4):
                total = np.float32(0)
                for k in range(DIRECTIONS):
                    total += clipped[block, k]
                cell[DIRECTIONS + ORIENTATIONS + block] = total * TEXTURE
    return cells


@njit(cache=True, nogil=True)
def _votes(grey, top, left, rows, columns, direction):
    """Gradient magnitudes by direction, (rows, columns, 18); cells beyond the image stay 0."""
    height, width = grey.shape
    # A cell more on each side takes the votes that fall outside of the rectangle.
    votes = np.zeros((rows + 2, columns + 2, DIRECTIONS), np.float32)
    y0, y1 = max(1, 4 * top - 2), min(height - 1, 4 * (top + rows) + 2)
    x0, x1 = max(1, 4 * left - 2), min(width - 1, 4 * (left + columns) + 2)
    strength = np.empty(width, np.float32)
    turn = np.empty(width, np.int32)
    for y in range(y0, y1):
        above, row, below = grey[y - 1, x0:x1], grey[y, x0 - 1 : x1 + 1], grey[y + 1, x0:x1]
        after = row[2:]
        for x in range(x1 - x0):
            dx = np.int32(after[x]) - np.int32(row[x])
            dy = np.int32(below[x]) - np.int32(above[x])
            strength[x] = np.sqrt(np.float32(dx * dx + dy * dy))
            turn[x] = dy * 511 + dx
        # In eighths of a cell from the middle of the cell before: 1, 3, 5, 7.
        i = (y + 2) // 4 - top
        down = np.float32(((y + 2) % 4 * 2 + 1) / 8)
        up = np.float32(1) - down
        first, second = votes[i], votes[i + 1]
        for x in range(x1 - x0):
            place = x0 + x + 2
            k = direction[turn[x] + MIDDLE]
            right = np.float32((place % 4 * 2 + 1) / 8) * strength[x]
            over = strength[x] - right
            j = place // 4 - left
            first[j, k] += up * over
            first[j + 1, k] += up * right
            second[j, k] += down * over
            second[j + 1, k] += down * right
    return votes[1:-1, 1:-1]

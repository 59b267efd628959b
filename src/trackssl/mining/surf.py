"""SURF's interest points: maxima of the Fast-Hessian in place and scale (Bay et al. 2008, sec. 3).

Own code, since no wheel of OpenCV holds its SURF; the normalisation and so the meaning of the
threshold are OpenCV's, and its reference points are found again (tests/mining/test_surf.py).
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

OCTAVES = 4
LAYERS = 5  # filters an octave, of side (9 + 6 i) << octave; maxima are sought in the middle three
DXY_WEIGHT = np.float32(0.81)  # 0.9 squared: balances the box filters' energies (Bay, eq. 3)

Grey = NDArray[np.uint8]
Points = NDArray[np.float32]


def interest_points(grey: Grey, hessian_threshold: float = 200.0) -> Points:
    """Fast-Hessian interest points of a grey image (H, W) uint8 -> (N, 4) float32, strongest first.

    Columns: x, y in pixels (the top left one has its centre at 0, 0), scale = 1.2 * side / 9 in
    pixels, response. All points whose response exceeds the threshold; under 23 px there is none.
    """
    if grey.ndim != 2 or grey.dtype != np.uint8:
        raise ValueError(f"need a grey image (H, W) uint8, got {grey.shape} {grey.dtype}")
    integral = _integral(grey)
    found = [np.empty((0, 4), np.float32)]
    for octave in range(OCTAVES):
        sides = [(9 + 6 * layer) << octave for layer in range(LAYERS)]
        step = 1 << octave
        responses = np.zeros((LAYERS, grey.shape[0] // step, grey.shape[1] // step), np.float32)
        for layer, side in enumerate(sides):
            _responses(integral, side, step, responses[layer])
        found.append(_maxima(responses, sides[0], 6 << octave, step, hessian_threshold))
    points = np.concatenate(found)
    return points[np.argsort(-points[:, 3], kind="stable")]


@njit(cache=True, nogil=True)
def _integral(grey):
    """Sums of all pixels above and left, (H, W) -> (H + 1, W + 1) int32.

    Sums of large images wrap around, which the differences that boxes are made of undo.
    """
    height, width = grey.shape
    integral = np.zeros((height + 1, width + 1), np.int32)
    for y in range(height):
        row = np.int32(0)
        for x in range(width):
            row += np.int32(grey[y, x])
            integral[y + 1, x + 1] = integral[y, x + 1] + row
    return integral


@njit(cache=True, nogil=True)
def _responses(integral, side, step, out):
    """Determinant of the Hessian by box filters of one side, at each step-th pixel, into (h, w).

    The three lobes of Dxx lie side by side between the edges 0, 3, 6, 9 (ninths of the side) and
    span the edges 2 to 7 across; the four of Dxy span 1 to 4 and 5 to 8. Each row of `integral`
    is combined once for all columns, as the lobes of a filter share their rows.
    """
    lobe = side // 3
    e1, e2, e4 = round(side / 9), round(2 * side / 9), round(4 * side / 9)
    e5, e7, e8 = round(5 * side / 9), round(7 * side / 9), round(8 * side / 9)
    weight = np.float32(1 / (lobe * (e7 - e2)))
    weight_xy = np.float32(1 / ((e4 - e1) * (e4 - e1)))
    rows = (integral.shape[0] - 1 - side) // step + 1
    columns = (integral.shape[1] - 1 - side) // step + 1
    margin = side // 2 // step
    width = integral.shape[1]
    xx, yy, xy = np.empty(width, np.int32), np.empty(width, np.int32), np.empty(width, np.int32)
    for i in range(rows):
        s = integral[i * step :]
        r0, r1, r2, r3, r4 = s[0], s[e1], s[e2], s[lobe], s[e4]
        r5, r6, r7, r8, r9 = s[e5], s[2 * lobe], s[e7], s[e8], s[side]
        for x in range(width):
            xx[x] = r7[x] - r2[x]
            yy[x] = (r9[x] - r0[x]) - np.int32(3) * (r6[x] - r3[x])
            xy[x] = (r4[x] - r1[x]) - (r8[x] - r5[x])
        target = out[i + margin, margin:]
        for j in range(columns):
            x = j * step
            dxx = (xx[x + side] - xx[x]) - np.int32(3) * (xx[x + 2 * lobe] - xx[x + lobe])
            dyy = yy[x + e7] - yy[x + e2]
            dxy = (xy[x + e4] - xy[x + e1]) - (xy[x + e8] - xy[x + e5])
            a, b, c = (
                np.float32(dxx) * weight,
                np.float32(dyy) * weight,
                np.float32(dxy) * weight_xy,
            )
            target[j] = a * b - DXY_WEIGHT * c * c


@njit(cache=True, nogil=True)
def _maxima(responses, side, side_step, step, threshold):
    """Maxima of 3 x 3 x 3 above the threshold, (5, h, w) -> (N, 4) x, y, scale, response."""
    layers, height, width = responses.shape
    found = []
    for layer in range(1, layers - 1):
        centre = side + layer * side_step
        margin = (centre + side_step) // 2 // step + 1
        # A filter's response lies at the pixel left of its true middle when its side is even.
        shift = (centre - 1) * 0.5 - centre // 2 // step * step
        for y in range(margin, height - margin):
            row = responses[layer, y]
            for x in range(margin, width - margin):
                value = row[x]
                if value <= threshold:
                    continue
                cube = responses[layer - 1 : layer + 2, y - 1 : y + 2, x - 1 : x + 2]
                if _is_maximum(cube, value):
                    inside, dx, dy, ds = _interpolate(cube)
                    if inside:
                        scale = 1.2 / 9 * (centre + ds * side_step)
                        found.append(
                            ((x + dx) * step + shift, (y + dy) * step + shift, scale, value)
                        )
    points = np.empty((len(found), 4), np.float32)
    for i in range(len(found)):
        points[i, 0], points[i, 1], points[i, 2], points[i, 3] = found[i]
    return points


@njit(cache=True, nogil=True)
def _is_maximum(cube, value):
    for i in range(3):
        for j in range(3):
            for k in range(3):
                if cube[i, j, k] >= value and not (i == 1 and j == 1 and k == 1):
                    return False
    return True


@njit(cache=True, nogil=True)
def _interpolate(c):
    """Peak of the parabola through (3, 3, 3) values -> (lies within 1, dx, dy, ds) in steps."""
    gx = (c[1, 1, 2] - c[1, 1, 0]) / 2
    gy = (c[1, 2, 1] - c[1, 0, 1]) / 2
    gs = (c[2, 1, 1] - c[0, 1, 1]) / 2
    xx = c[1, 1, 2] - 2 * c[1, 1, 1] + c[1, 1, 0]
    yy = c[1, 2, 1] - 2 * c[1, 1, 1] + c[1, 0, 1]
    ss = c[2, 1, 1] - 2 * c[1, 1, 1] + c[0, 1, 1]
    xy = (c[1, 2, 2] - c[1, 2, 0] - c[1, 0, 2] + c[1, 0, 0]) / 4
    xs = (c[2, 1, 2] - c[2, 1, 0] - c[0, 1, 2] + c[0, 1, 0]) / 4
    ys = (c[2, 2, 1] - c[2, 0, 1] - c[0, 2, 1] + c[0, 0, 1]) / 4
    # Cramer's rule on the symmetric system: 3 unknowns need no solver.
    axx, axy, axs = yy * ss - ys * ys, xs * ys - xy * ss, xy * ys - xs * yy
    determinant = xx * axx + xy * axy + xs * axs
    if determinant == 0:
        return False, 0.0, 0.0, 0.0
    ayy, ays, ass = xx * ss - xs * xs, xy * xs - xx * ys, xx * yy - xy * xy
    dx = -(axx * gx + axy * gy + axs * gs) / determinant
    dy = -(axy * gx + ayy * gy + ays * gs) / determinant
    ds = -(axs * gx + ays * gy + ass * gs) / determinant
    return max(abs(dx), abs(dy), abs(ds)) <= 1, dx, dy, ds

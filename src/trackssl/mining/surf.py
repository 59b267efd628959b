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
        # Columns 0, step, 2 step ..., then 1, 1 + step ...: what a filter reads lies side by side.
        sums = integral.reshape(len(integral), -1, step).swapaxes(1, 2).reshape(integral.shape)
        # Not zeroed: maxima are sought only where all 27 responses are written.
        responses = np.empty((LAYERS, grey.shape[0] // step, grey.shape[1] // step), np.float32)
        for layer, side in enumerate(sides):
            _responses(sums, side, step, responses[layer])
        found.append(_maxima(responses, sides[0], 6 << octave, step, np.float32(hessian_threshold)))
    points = np.concatenate(found)
    return points[np.argsort(-points[:, 3], kind="stable")]


@njit(cache=True, nogil=True)
def _integral(grey):
    """Sums of all pixels above and left, (H, W) uint8 -> (H + 1, W + 1 up to whole steps) int32.

    Sums of large images wrap around, which the differences that boxes are made of undo.
    """
    height, width = grey.shape
    coarsest = 1 << (OCTAVES - 1)
    integral = np.zeros((height + 1, (width // coarsest + 1) * coarsest), np.int32)
    for y in range(height):
        row = np.int32(0)
        for x in range(width):
            row += np.int32(grey[y, x])
            integral[y + 1, x + 1] = integral[y, x + 1] + row
    return integral


@njit(cache=True, nogil=True)
def _responses(sums, side, step, out):
    """Determinant of the Hessian by box filters of one side, at each step-th pixel, into (h, w).

    The three lobes of Dxx lie side by side between the edges 0, 3, 6, 9 (ninths of the side) and
    span the edges 2 to 7 across; the four of Dxy span 1 to 4 and 5 to 8. Each row of `sums` is
    combined once for all columns, as the lobes of a filter share their rows.

    The inner loops compile to vector code because they index slices by the loop variable alone and
    go to float32 by way of int32 (numba's own sums are int64): 8 times the speed.
    """
    e = [round(ninths * side / 9) for ninths in range(10)]
    weight = np.float32(1 / (e[3] * (e[7] - e[2])))
    weight_xy = np.float32(1 / ((e[4] - e[1]) * (e[4] - e[1])))
    margin = side // 2 // step
    width = sums.shape[1]
    xx, yy, xy = np.empty(width, np.int32), np.empty(width, np.int32), np.empty(width, np.int32)
    x0, x3, x6, x9 = xx, _from(e[3], xx, step), _from(e[6], xx, step), _from(e[9], xx, step)
    y2, y7 = _from(e[2], yy, step), _from(e[7], yy, step)
    z1, z4 = _from(e[1], xy, step), _from(e[4], xy, step)
    z5, z8 = _from(e[5], xy, step), _from(e[8], xy, step)
    for i in range(out.shape[0] - side // step + 1):
        s = sums[i * step :]
        r0, r1, r2, r3, r4 = s[0], s[e[1]], s[e[2]], s[e[3]], s[e[4]]
        r5, r6, r7, r8, r9 = s[e[5]], s[e[6]], s[e[7]], s[e[8]], s[e[9]]
        for x in range(width):
            xx[x] = r7[x] - r2[x]
            yy[x] = (r9[x] - r0[x]) - 3 * (r6[x] - r3[x])
            xy[x] = (r4[x] - r1[x]) - (r8[x] - r5[x])
        target = out[i + margin, margin:]
        for j in range(out.shape[1] - side // step + 1):
            dxx = np.int32((x9[j] - x0[j]) - 3 * (x6[j] - x3[j]))
            dyy = np.int32(y7[j] - y2[j])
            dxy = np.int32((z4[j] - z1[j]) - (z8[j] - z5[j]))
            c = np.float32(dxy) * weight_xy
            target[j] = np.float32(dxx) * weight * (np.float32(dyy) * weight) - DXY_WEIGHT * c * c


@njit(cache=True, nogil=True)
def _from(edge, row, step):
    """Every step-th column from an edge on, of a row whose columns are sorted as in `sums`."""
    return row[edge % step * (row.size // step) + edge // step :]


@njit(cache=True, nogil=True)
def _maxima(responses, side, side_step, step, threshold):
    """Maxima of 3 x 3 x 3 above the threshold, (5, h, w) -> (N, 4) x, y, scale, response."""
    layers, height, width = responses.shape
    found = []
    maybe = np.empty(width, np.bool_)
    for layer in range(1, layers - 1):
        centre = side + layer * side_step
        margin = (centre + side_step) // 2 // step + 1
        # A filter's response lies at the pixel left of its true middle when its side is even.
        shift = (centre - 1) * 0.5 - centre // 2 // step * step
        near = responses[layer - 1 : layer + 2]
        for y in range(margin, height - margin):
            row, up, down = near[1, y, margin:], near[1, y - 1, margin:], near[1, y + 1, margin:]
            left, right = near[1, y, margin - 1 :], near[1, y, margin + 1 :]
            finer, coarser = near[0, y, margin:], near[2, y, margin:]
            peak = maybe[margin:]
            for j in range(width - 2 * margin):
                v = row[j]
                beside = (v > left[j]) & (v > right[j]) & (v > up[j]) & (v > down[j])
                peak[j] = (v > threshold) & beside & (v > finer[j]) & (v > coarser[j])
            for x in range(margin, width - margin):
                if not maybe[x]:
                    continue
                cube = near[:, y - 1 : y + 2, x - 1 : x + 2]
                if _is_maximum(cube):
                    inside, dx, dy, ds = _interpolate(cube)
                    if inside:
                        px, py = (x + dx) * step + shift, (y + dy) * step + shift
                        found.append((px, py, 1.2 / 9 * (centre + ds * side_step), cube[1, 1, 1]))
    points = np.empty((len(found), 4), np.float32)
    for i in range(len(found)):
        points[i, 0], points[i, 1], points[i, 2], points[i, 3] = found[i]
    return points


@njit(cache=True, nogil=True)
def _is_maximum(cube):
    for i in range(3):
        for j in range(3):
            for k in range(3):
                if cube[i, j, k] >= cube[1, 1, 1] and not (i == 1 and j == 1 and k == 1):
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

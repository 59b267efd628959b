"""Normals as words of a codebook: soft codes on a grid of cells, and back.

Ladicky et al. 2014 ("Discriminatively trained dense surface normal estimation"); Wang et al. 2015
("Designing deep networks for surface normal estimation") learn such codes with a network.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import ConvexHull, QhullError

from trackssl.errors import InputError

Floats = NDArray[np.floating]

_CHUNK = 20_000  # normals coded at once
_STRIDE = 3  # a cell's code is the mean of every third pixel's along both sides


@dataclass(frozen=True)
class Codebook:
    """`words` (K, 3) unit normals, and `triangles` (T, 3): words at the corners of each."""

    words: NDArray[np.float64]
    triangles: NDArray[np.int64]

    def encode(self, normals: Floats) -> NDArray[np.float32]:
        """Unit normals (N, 3) -> weights of the words (N, K), at least 0, of sum 1.

        They are a normal's barycentric coordinates in the triangle that it passes through; one
        beside all triangles is moved to the nearest edge or corner of the best of them.
        """
        corners = np.linalg.inv(self.words[self.triangles].transpose(0, 2, 1))  # (T, 3, 3)
        corners = corners.astype(np.float32)
        codes = np.zeros((len(normals), len(self.words)), np.float32)
        for start in range(0, len(normals), _CHUNK):
            few = np.asarray(normals[start : start + _CHUNK], np.float32)
            first, second, third = (few @ corners[:, k].T for k in range(3))  # (n, T) each
            total = first + second + third
            least = np.minimum(np.minimum(first, second), third)
            inside = np.where(total > 0, least / np.where(total > 0, total, 1), -np.inf)
            best = inside.argmax(axis=1)
            rows = np.arange(len(few))
            weights = np.stack([part[rows, best] for part in (first, second, third)], axis=1)
            weights = np.maximum(weights, 0)
            weights /= weights.sum(axis=1, keepdims=True)
            codes[start + rows[:, None], self.triangles[best]] = weights
        return codes

    def encode_grid(self, normals: Floats, grid: int) -> NDArray[np.float32]:
        """Normals (H, W, 3), NaN for none -> the mean code of each cell (grid, grid, K).

        A cell without normals has a code of 0.
        """
        few = normals[_STRIDE // 2 :: _STRIDE, _STRIDE // 2 :: _STRIDE]
        known = np.isfinite(few[..., 0])
        codes = np.zeros((*known.shape, len(self.words)), np.float32)
        codes[known] = self.encode(few[known])
        sums = _cell_sums(codes, grid)
        counts = _cell_sums(known[..., None].astype(np.float32), grid)
        return (sums / np.maximum(counts, 1)).astype(np.float32)


def _cell_sums(values: NDArray[np.float32], grid: int) -> NDArray[np.float32]:
    """Sums (grid, grid, K) over the cells of values (h, w, K)."""
    for axis in (0, 1):
        starts = np.arange(grid) * values.shape[axis] // grid
        values = np.add.reduceat(values, starts, axis=axis)
    return values


def decode(codes: Floats, words: Floats) -> NDArray[np.float32]:
    """Weights of the words (..., K) -> their mean as a unit normal (..., 3)."""
    mean = codes.astype(np.float64) @ words
    length = np.sqrt(np.einsum("...i,...i->...", mean, mean))[..., None]
    facing = np.array([0.0, 0.0, -1.0])  # where opposite words cancel out: at the camera
    return np.where(length > 1e-9, mean / np.maximum(length, 1e-9), facing).astype(np.float32)


def resize_normals(normals: Floats, height: int, width: int) -> NDArray[np.float32]:
    """Normals of a grid (h, w, 3) -> (height, width, 3): bilinear, of length 1."""
    grown: Floats = normals.astype(np.float32)
    if grown.shape[:2] != (height, width):
        resized = cv2.resize(grown, (width, height), interpolation=cv2.INTER_LINEAR)
        grown = np.asarray(resized, np.float32)
    return decode(grown, np.eye(3))


def fit_codebook(normals: Floats, words: int, seed: int = 0) -> Codebook:
    """The codebook of unit normals (N, 3): k-means, and the Delaunay triangles on the sphere.

    The triangles are the facets of the words' convex hull that the origin lies behind; the others
    close the hull across the directions that no visible surface has. Raises InputError for normals
    that are too few or too alike.
    """
    # Imported here, as scikit-learn takes long to load and only preparation needs it.
    from sklearn.cluster import KMeans
    from threadpoolctl import threadpool_limits

    if len(np.unique(np.round(normals, 3), axis=0)) < 2 * words:
        raise InputError(
            f"the training images hold fewer than {2 * words} different normals; lower "
            "nyuv2.words or take more images."
        )
    with threadpool_limits(1):  # sums in one order
        found = KMeans(words, n_init=4, random_state=seed).fit(np.asarray(normals, np.float64))
    centres = found.cluster_centers_
    centres = centres / np.linalg.norm(centres, axis=1, keepdims=True)
    centres = centres[np.lexsort(centres.T)]
    try:
        hull = ConvexHull(centres)
    except QhullError:
        raise InputError(
            "the training normals lie in one plane and have no triangles; take more images."
        ) from None
    triangles = np.sort(hull.simplices[hull.equations[:, 3] < -1e-6], axis=1)
    return Codebook(centres, triangles[np.lexsort(triangles.T)].astype(np.int64))

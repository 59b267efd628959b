"""Exact nearest neighbours by cosine, in blocks: memory does not grow with the gallery."""

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from trackssl.detection.feature_files import FeatureTable

Features = NDArray[np.float32]

BLOCK_ROWS = 2048  # 75 MB of pool5
_LAST_ROW = 0xFFFFFFFF


def nearest(
    queries: Features, gallery: Iterable[Features], count: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The `count` nearest rows of a gallery (G, D) given in blocks, by cosine, best first.

    (Q, D) queries -> their rows and cosines, both (Q, min(count, G)). Equal cosines are ordered by
    row, lower ones first. A feature of norm 0 has cosine 0 with everything.
    """
    wanted = unit_rows(queries)
    best = np.empty((len(queries), 0), np.int64)
    start = 0
    for block in gallery:
        keys = _keys(wanted @ unit_rows(block).T, start)
        best = _largest(np.concatenate([best, _largest(keys, count)], axis=1), count)
        start += len(block)
    best = -np.sort(-best, axis=1)
    return _LAST_ROW - (best & _LAST_ROW), _cosines(best)


def blocks(
    table: FeatureTable, rows: NDArray[np.int64], size: int = BLOCK_ROWS
) -> Iterator[Features]:
    """Some rows of a feature file, a block at a time."""
    return (table[rows[start : start + size]] for start in range(0, len(rows), size))


def unit_rows(features: Features) -> Features:
    """Rows (N, D) divided by their L2 norm; those of norm 0 stay."""
    norms = np.linalg.norm(features, axis=1, keepdims=True)
    return np.divide(features, norms, out=np.zeros_like(features), where=norms > 0)


def _keys(cosines: NDArray[np.float32], start: int) -> NDArray[np.int64]:
    """Integers in the order of (cosine, lower row first): no two are equal, so no tie is left."""
    bits = (cosines + np.float32(0)).view(np.int32)  # -0 becomes 0
    keys = (bits ^ (bits >> 31 & 0x7FFFFFFF)).astype(np.int64)  # in the order of the floats
    keys <<= 32
    keys |= _LAST_ROW - np.arange(start, start + cosines.shape[1])
    return keys


def _cosines(keys: NDArray[np.int64]) -> NDArray[np.float32]:
    bits = (keys >> 32).astype(np.int32)
    return (bits ^ (bits >> 31 & 0x7FFFFFFF)).view(np.float32)


def _largest(keys: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """The `count` largest of each row, in any order."""
    if keys.shape[1] <= count:
        return keys
    return np.partition(keys, -count, axis=1)[:, -count:]

"""Feature files: a row a window, half precision, read a few rows at a time, scaled as in R-CNN."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from trackssl.errors import InputError
from trackssl.randomness import generator

_SAMPLED_WINDOWS = 40_000  # R-CNN: 200 windows of each of 200 images
_CHUNK_ROWS = 256  # converted at once: what fits in a processor's cache
_INFINITE = 0x7C00  # bits of half precision's infinity; those of a NaN are more


class FeatureTable:
    """Features of one or several networks, each scaled and then joined: row numbers -> (N, dim).

    `scales` are those of the training, or None to bring each file's mean norm to `mean_norm`
    (rcnn_feature_stats.m), measured on a fixed sample of its windows.

    Raises InputError for a file that is no feature file, or of another number of windows.
    """

    def __init__(
        self,
        paths: list[Path],
        windows: int,
        mean_norm: float,
        scales: tuple[float, ...] | None = None,
    ) -> None:
        self._files = [_FeatureFile(path, windows) for path in paths]
        self.dims = tuple(file.dim for file in self._files)
        if scales is not None and len(scales) != len(paths):
            raise InputError(
                f"the SVMs were trained on {len(scales)} feature files, {len(paths)} are given: "
                "give one of each network, in the same order."
            )
        if scales is None:
            scales = tuple(mean_norm / _mean_norm(file) for file in self._files)
        self.scales = scales

    def __getitem__(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Scaled features of some windows, (N, dim). Raises InputError if one is not finite."""
        joined = np.empty((len(rows), sum(self.dims)), np.float32)
        self.read(rows, joined)
        return joined

    def read(self, rows: NDArray[np.int64], out: NDArray[np.floating]) -> None:
        """Put the same into an array (N, dim) of single or double precision."""
        column = 0
        for file, scale in zip(self._files, self.scales, strict=True):
            own = out[:, column : column + file.dim]
            for start in range(0, len(rows), _CHUNK_ROWS):
                few = slice(start, start + _CHUNK_ROWS)
                np.multiply(file.rows(rows[few]), np.float32(scale), out=own[few])
            column += file.dim


def whole_tables(
    paths: tuple[Path, Path], counts: tuple[int, int], mean_norm: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Features of training and test images, (N, dim) and (M, dim), in memory.

    Both are scaled by what brings the training's mean norm to `mean_norm`. Raises InputError as
    `FeatureTable` does, and for files of different networks.
    """
    train = FeatureTable([paths[0]], counts[0], mean_norm)
    test = FeatureTable([paths[1]], counts[1], mean_norm, train.scales)
    if train.dims != test.dims:
        raise InputError(
            f"{paths[1]}: has {test.dims[0]} features, {paths[0]} {train.dims[0]}; give files of "
            "one network and layer."
        )
    return train[np.arange(counts[0])], test[np.arange(counts[1])]


class _FeatureFile:
    """One network's file. It is read, not mapped: mapped pages would count as memory in use."""

    def __init__(self, path: Path, windows: int) -> None:
        try:
            mapped = np.load(path, mmap_mode="r", allow_pickle=False)
            self._file = path.open("rb")
        except (OSError, ValueError) as error:
            raise InputError(
                f"{path}: cannot be read as features ({error}); run extract-features again."
            ) from None
        if (
            mapped.dtype != np.float16
            or mapped.ndim != 2
            or len(mapped) != windows
            or not mapped.flags.c_contiguous
        ):
            raise InputError(
                f"{path}: holds {mapped.dtype} {mapped.shape}, not float16 features of {windows} "
                "windows; run extract-features with the same --voc, --split and --proposals."
            )
        self.path = path
        self.windows, self.dim = mapped.shape
        self._offset = mapped.offset

    def rows(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Features of some windows as they stand, (N, dim); neighbours are read at once."""
        half = np.empty((len(rows), self.dim), np.float16)
        full = np.empty(half.shape, np.float32)
        runs = np.flatnonzero(np.diff(rows, prepend=-2) != 1).tolist()
        for start, stop in zip(runs, [*runs[1:], len(rows)], strict=True):
            self._file.seek(self._offset + int(rows[start]) * half.itemsize * self.dim)
            wanted = half[start:stop]
            if self._file.readinto(wanted) != wanted.nbytes:
                raise InputError(f"{self.path}: became shorter; run extract-features again.")
        bits = half.view(np.uint16) & 0x7FFF
        if bits.max() >= _INFINITE:
            row = rows[(bits >= _INFINITE).any(axis=1).argmax()]
            raise InputError(
                f"{self.path}: row {row} is not finite; the training has diverged, or its "
                "features exceed half precision: train the network again with a lower learning "
                "rate."
            )
        cv2.convertFp16(half.view(np.int16), full)  # ten times as fast as NumPy's conversion
        return full


def _mean_norm(file: _FeatureFile) -> float:
    """Mean L2 norm of a fixed sample of rows. Raises InputError if it is zero or not finite."""
    rows = np.arange(file.windows)
    if len(rows) > _SAMPLED_WINDOWS:
        rows = generator("feature norm").choice(rows, _SAMPLED_WINDOWS, replace=False)
        rows.sort()
    norms = [
        np.linalg.norm(file.rows(rows[start : start + _CHUNK_ROWS]), axis=1)
        for start in range(0, len(rows), _CHUNK_ROWS)
    ]
    mean = float(np.concatenate(norms).mean()) if norms else 0.0
    if mean <= 0:
        raise InputError(
            f"{file.path}: the features' mean norm is {mean:g}; train the network again."
        )
    return mean

"""Feature files: a row a window, half precision, read by memory map and scaled as in R-CNN."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trackssl.errors import InputError
from trackssl.randomness import generator

_SAMPLED_WINDOWS = 40_000  # R-CNN: 200 windows of each of 200 images
_CHUNK_ROWS = 2_048


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
        self._files = [_open(path, windows) for path in paths]
        self.dims = tuple(file.shape[1] for file in self._files)
        if scales is not None and len(scales) != len(paths):
            raise InputError(
                f"the SVMs were trained on {len(scales)} feature files, {len(paths)} are given: "
                "give one of each network, in the same order."
            )
        if scales is None:
            scales = tuple(
                mean_norm / _mean_norm(file, path)
                for file, path in zip(self._files, paths, strict=True)
            )
        self.scales = scales

    def __getitem__(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Scaled features of some windows, (N, dim)."""
        parts = [
            file[rows].astype(np.float32) * np.float32(scale)
            for file, scale in zip(self._files, self.scales, strict=True)
        ]
        return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)


def _open(path: Path, windows: int) -> NDArray[np.float16]:
    try:
        file = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path}: cannot be read as features ({error}); run extract-features again."
        ) from None
    if file.dtype != np.float16 or file.ndim != 2 or len(file) != windows:
        raise InputError(
            f"{path}: holds {file.dtype} {file.shape}, not float16 features of {windows} windows; "
            "run extract-features with the same --voc, --split and --proposals."
        )
    return file


def _mean_norm(file: NDArray[np.float16], path: Path) -> float:
    """Mean L2 norm of a fixed sample of rows. Raises InputError if it is zero or not finite."""
    rows = np.arange(len(file))
    if len(rows) > _SAMPLED_WINDOWS:
        rows = generator("feature norm").choice(rows, _SAMPLED_WINDOWS, replace=False)
        rows.sort()
    norms = [
        np.linalg.norm(file[rows[start : start + _CHUNK_ROWS]].astype(np.float32), axis=1)
        for start in range(0, len(rows), _CHUNK_ROWS)
    ]
    mean = float(np.concatenate(norms).mean()) if norms else 0.0
    if not np.isfinite(mean) or mean <= 0:
        raise InputError(f"{path}: the features' mean norm is {mean}; train the network again.")
    return mean

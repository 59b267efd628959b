"""Angular errors of normals, pooled over all pixels of all images, in bounded memory."""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from trackssl.errors import InputError

Pairs = Callable[[], Iterable[tuple[NDArray[np.floating], NDArray[np.floating]]]]

THRESHOLDS = {"within_11_25": 11.25, "within_22_5": 22.5, "within_30": 30.0}
METRICS = ("mean", "median", *THRESHOLDS)
_BINS = 100  # a degree
_SUB_BINS = 10_000  # a bin: a millionth of a degree


class Scores(NamedTuple):
    """Mean and median in degrees; shares strictly within the thresholds in percent."""

    mean: float
    median: float
    within_11_25: float
    within_22_5: float
    within_30: float
    pixels: int


def angles(predicted: NDArray[np.floating], truth: NDArray[np.floating]) -> NDArray[np.float64]:
    """Angles in degrees between vectors (..., 3) of any length, where truth is known -> (N,)."""
    known = np.isfinite(truth).all(axis=-1)
    a, b = (_unit(values[known].astype(np.float64)) for values in (predicted, truth))
    # Kahan's: exact for small angles too, where the cosine is flat.
    between = 2 * np.arctan2(_lengths(a - b), _lengths(a + b))
    return np.degrees(between)


def _unit(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    with np.errstate(invalid="ignore"):  # a vector of 0 is refused later
        return vectors / _lengths(vectors)[:, None]


def _lengths(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.sqrt(np.einsum("ni,ni->n", vectors, vectors))  # far quicker than linalg.norm


def score(pairs: Pairs) -> Scores:
    """Scores over all (predicted, truth) fields that `pairs()` gives, each (H, W, 3).

    Truth is NaN where unknown. It is called twice: a histogram in steps of .01 degrees finds the
    median's bin, then one of steps of a millionth its place in it. Mean and shares are exact.
    Raises InputError where no truth is known, or a prediction is not finite.
    """
    counts = np.zeros(180 * _BINS + 1, np.int64)
    below = np.zeros(len(THRESHOLDS), np.int64)
    total = 0.0
    for errors in _errors(pairs):
        counts += np.bincount((errors * _BINS).astype(np.int64), minlength=len(counts))
        below += [(errors < threshold).sum() for threshold in THRESHOLDS.values()]
        total += errors.sum()
    pixels = int(counts.sum())
    if not pixels:
        raise InputError("no image has a known normal to compare with; check the ground truth.")
    within = [float(share) for share in 100 * below / pixels]
    return Scores(total / pixels, _median(pairs, counts), within[0], within[1], within[2], pixels)


def _errors(pairs: Pairs) -> Iterator[NDArray[np.float64]]:
    for predicted, truth in pairs():
        errors = angles(predicted, truth)
        if not np.isfinite(errors).all():
            raise InputError("a predicted normal is 0 or not a number; predict again.")
        yield errors


def _median(pairs: Pairs, counts: NDArray[np.int64]) -> float:
    """The mean of the two middle errors, each to a millionth of a degree."""
    pixels = int(counts.sum())
    ranks = [(pixels - 1) // 2, pixels // 2]
    bins = np.searchsorted(counts.cumsum(), ranks, side="right")
    fine = np.zeros((2, _SUB_BINS), np.int64)
    for errors in _errors(pairs):
        scaled = errors * _BINS
        for k, bin_ in enumerate(bins):
            within = scaled[scaled.astype(np.int64) == bin_] - bin_
            places = np.minimum((within * _SUB_BINS).astype(np.int64), _SUB_BINS - 1)
            fine[k] += np.bincount(places, minlength=_SUB_BINS)
    before = [rank - counts[:bin_].sum() for rank, bin_ in zip(ranks, bins, strict=True)]
    places = [
        np.searchsorted(row.cumsum(), rank, side="right")
        for row, rank in zip(fine, before, strict=True)
    ]
    return float(np.mean((bins + np.array(places) / _SUB_BINS) / _BINS))

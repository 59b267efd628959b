"""Tracking by a kernelised correlation filter (Henriques et al., TPAMI 2015), as published.

HOG cells, Gaussian kernel, ridge regression in the Fourier domain, steps of whole cells, no scale
search. Cells lie on one lattice of the frame, so that a frame's HOG serves all its trackers, and
a filter that did not step learns from what it has just looked at.
"""

from functools import cached_property
from typing import NamedTuple

import cv2
import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy import fft

from trackssl.images import Image
from trackssl.mining.hog import CELL_PX, CHANNELS, Cells, hog
from trackssl.pairs.store import Box

# The published settings for HOG.
PADDING = 1.5  # the window is 2.5 times the target's side
KERNEL_SIGMA = 0.5
LABEL_SIGMA = 0.1  # of the target's side
REGULARISATION = 1e-4
LEARNING_RATE = 0.02
HALVE_FROM_PX = 100  # larger targets are tracked at half resolution
HALVE_AGAIN_FROM_PX = 200  # ours: and huge ones at less, so that their cost is bounded
MARGIN_CELLS = 2  # around a window: its target often steps by a cell or two
SIDELOBE_CELLS = 5  # the peak and so many cells around it are no sidelobe

Spectrum = NDArray[np.complex64]


class Tracked(NamedTuple):
    """Where the target is, and how sure the filter is of it."""

    box: Box
    peak: float  # of the response; 1 at a perfect match, about 0 when the target is lost
    psr: float  # peak to sidelobe ratio: by how many deviations the peak stands out


class Features:
    """What the trackers of one grey frame (H, W) uint8 share: HOG cells, each made once.

    Raises ValueError for a frame in which not one cell fits.
    """

    def __init__(self, grey: Image) -> None:
        self.grey = grey
        self._shape = (grey.shape[0] // CELL_PX, grey.shape[1] // CELL_PX)
        if not min(self._shape):
            raise ValueError(f"no cell of {CELL_PX} px fits into {grey.shape}")
        self._cells: Cells = np.empty((0, 0, CHANNELS), np.float32)
        self._corner = (0, 0)

    @cached_property
    def half(self) -> "Features":
        """The frame at half its resolution."""
        height, width = (max(side // 2, 1) for side in self.grey.shape)
        small = cv2.resize(self.grey, (width, height), interpolation=cv2.INTER_AREA)
        return Features(np.asarray(small, np.uint8))

    def window(self, top: int, left: int, weights: Cells) -> Cells:
        """Weighted cells of a rectangle, by channel -> (31, rows, columns) float32.

        `weights` (rows, columns). Beyond the frame its outermost cells are repeated.
        """
        (y0, y1), (x0, x1) = (
            np.clip((start, start + count), (0, 1), (size - 1, size))
            for start, count, size in zip((top, left), weights.shape, self._shape, strict=True)
        )
        (y, x), (rows, columns) = self._corner, self._cells.shape[:2]
        if y0 < y or x0 < x or y1 > y + rows or x1 > x + columns:
            y0, x0 = max(y0 - MARGIN_CELLS, 0), max(x0 - MARGIN_CELLS, 0)
            y1 = min(y1 + MARGIN_CELLS, self._shape[0])
            x1 = min(x1 + MARGIN_CELLS, self._shape[1])
            if 2 * (y1 - y0) * (x1 - x0) > self._shape[0] * self._shape[1]:
                y0, x0, (y1, x1) = 0, 0, self._shape
            self._corner = y, x = int(y0), int(x0)
            self._cells = hog(self.grey, y, x, int(y1) - y, int(x1) - x)
        return _weighted(self._cells, top - y, left - x, weights)


class Tracker:
    """Follows the target in `box` (x, y, w, h in pixels) from one frame on.

        tracker = Tracker(Features(first), (100, 50, 64, 48))
        found = tracker.update(Features(second))  # Tracked(box, peak, psr)

    The box keeps its size. What the filter sees is larger by `padding` times the box's sides.
    """

    def __init__(self, features: Features, box: Box, padding: float = PADDING) -> None:
        x, y, w, h = box
        self._halvings = halvings_of(box)
        side = np.sqrt(w * h) / (1 << self._halvings)
        self._step_px = CELL_PX << self._halvings
        columns, rows = (_good_size(int(s * (1 + padding) / self._step_px)) for s in (w, h))
        self._window = np.outer(np.hanning(rows), np.hanning(columns)).astype(np.float32)
        self._left = round((x + w / 2) / self._step_px - columns / 2)
        self._top = round((y + h / 2) / self._step_px - rows / 2)
        self._offset = (x - self._left * self._step_px, y - self._top * self._step_px)
        self._size = (w, h)
        labels = _labels(rows, columns, LABEL_SIGMA * side / CELL_PX)
        self._labels: Spectrum = fft.rfft2(labels)
        self._model, norm = self._see(features)
        self._dual = self._regress(self._model, norm)

    def update(self, features: Features) -> Tracked:
        """Find the target in the next frame and learn from it."""
        look, norm = self._see(features)
        kernel = self._kernel(look, norm, self._model, _power(self._model, self._window.shape[1]))
        response = fft.irfft2(fft.rfft2(kernel) * self._dual, self._window.shape)
        i, j = np.unravel_index(int(response.argmax()), response.shape)
        peak, psr = float(response[i, j]), float(_psr(response, int(i), int(j)))
        down, right = (_signed(int(k), n) for k, n in zip((i, j), response.shape, strict=True))
        if down or right:
            self._top, self._left = self._top + down, self._left + right
            look, norm = self._see(features)
        _blend(self._model, look, np.float32(LEARNING_RATE))
        self._dual += LEARNING_RATE * (self._regress(look, norm) - self._dual)
        x, y = self._left * self._step_px, self._top * self._step_px
        return Tracked((x + self._offset[0], y + self._offset[1], *self._size), peak, psr)

    def _see(self, features: Features) -> tuple[Spectrum, float]:
        """Spectra of the windowed cells, (31, rows, columns // 2 + 1), and their power."""
        seen = at_resolution(features, self._halvings)
        planes = seen.window(self._top, self._left, self._window)
        return fft.rfft2(planes), float(np.vdot(planes, planes))

    def _kernel(self, a: Spectrum, a_power: float, b: Spectrum, b_power: float) -> NDArray:
        """Gaussian kernel of a with all cyclic shifts of b, (rows, columns)."""
        products = fft.irfft2(_correlation(a, b), self._window.shape)
        apart = (a_power + b_power - 2 * products) / (CHANNELS * self._window.size)
        return np.exp(-np.maximum(apart, 0) / KERNEL_SIGMA**2)

    def _regress(self, look: Spectrum, norm: float) -> Spectrum:
        """Dual coefficients of the ridge regression, as a spectrum."""
        kernel = fft.rfft2(self._kernel(look, norm, look, norm))
        return self._labels / (kernel + REGULARISATION)


def halvings_of(box: Box) -> int:
    """How often a frame is halved before a box (x, y, w, h) of this size is tracked in it."""
    side, halvings = np.sqrt(box[2] * box[3]), 0
    while side >= (HALVE_AGAIN_FROM_PX if halvings else HALVE_FROM_PX):
        side, halvings = side / 2, halvings + 1
    return halvings


def at_resolution(features: Features, halvings: int) -> Features:
    """The frame halved so often; each step is made once a frame."""
    for _ in range(halvings):
        features = features.half
    return features


def _good_size(cells: int) -> int:
    """The next even number without a prime factor above 5: a quick Fourier transform."""
    return 2 * fft.next_fast_len(max(-(-cells // 2), 1), real=True)


def _labels(rows: int, columns: int, sigma: float) -> NDArray[np.float32]:
    """A Gaussian around (0, 0), cyclic."""
    y, x = np.fft.fftfreq(rows, 1 / rows), np.fft.fftfreq(columns, 1 / columns)
    return np.exp(-0.5 * (y[:, None] ** 2 + x**2) / sigma**2).astype(np.float32)


def _signed(index: int, size: int) -> int:
    """A cyclic index as a step of -size / 2 .. size / 2."""
    return index - size if index > size // 2 else index


@njit(cache=True, nogil=True)
def _psr(response, i, j):
    """How many deviations the value at (i, j) stands above the mean of those farther away."""
    rows, columns = response.shape
    near_y, near_x = min(SIDELOBE_CELLS, rows // 4), min(SIDELOBE_CELLS, columns // 4)
    count, total, squares = 0, 0.0, 0.0
    for y in range(rows):
        dy = abs(y - i)
        for x in range(columns):
            dx = abs(x - j)
            if min(dy, rows - dy) > near_y or min(dx, columns - dx) > near_x:
                value = response[y, x]
                count += 1
                total += value
                squares += value * value
    mean = total / count
    deviation = np.sqrt(max(squares / count - mean * mean, 0.0))
    return (response[i, j] - mean) / (deviation + 1e-6)


@njit(cache=True, nogil=True)
def _weighted(cells, top, left, weights):
    """Crop (H, W, C) at (top, left), repeating the outermost cells, -> (C, rows, columns)."""
    height, width, channels = cells.shape
    rows, columns = weights.shape
    out = np.empty((channels, rows, columns), np.float32)
    for i in range(rows):
        line = cells[min(max(top + i, 0), height - 1)]
        for j in range(columns):
            cell = line[min(max(left + j, 0), width - 1)]
            for k in range(channels):
                out[k, i, j] = cell[k] * weights[i, j]
    return out


@njit(cache=True, nogil=True)
def _correlation(a, b):
    """Sum over the channels of a times the conjugate of b, (C, h, w) -> (h, w)."""
    total = np.zeros(a.shape[1:], np.complex64)
    for k in range(a.shape[0]):
        for i in range(a.shape[1]):
            for j in range(a.shape[2]):
                total[i, j] += a[k, i, j] * np.conj(b[k, i, j])
    return total


@njit(cache=True, nogil=True)
def _power(spectrum, columns):
    """Sum of squares of what the half spectrum (C, h, w) of real planes stands for."""
    total = 0.0
    for k in range(spectrum.shape[0]):
        for i in range(spectrum.shape[1]):
            for j in range(spectrum.shape[2]):
                v = spectrum[k, i, j]
                once = j == 0 or 2 * j == columns
                total += (v.real * v.real + v.imag * v.imag) * (1 if once else 2)
    return total / (spectrum.shape[1] * columns)


@njit(cache=True, nogil=True)
def _blend(model, look, rate):
    """Move the model towards what was seen, in place."""
    for k in range(model.shape[0]):
        for i in range(model.shape[1]):
            for j in range(model.shape[2]):
                model[k, i, j] += rate * (look[k, i, j] - model[k, i, j])

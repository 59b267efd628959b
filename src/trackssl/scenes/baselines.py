"""Features that are not learnt: a bag of SIFT words, and GIST."""

from functools import cache
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import MiniBatchKMeans

from trackssl.config import SceneClassifier
from trackssl.datasets.image_index import ImageIndex
from trackssl.errors import InputError
from trackssl.images import Image, read_image
from trackssl.randomness import derive_seed, generator
from trackssl.scenes.linear import Features

Baseline = Literal["sift", "gist"]

_LONG_SIDE_PX = 300  # larger images are made smaller
_SIFT_POINTS = 400
_GIST_PX, _GIST_CELLS, _GIST_ORIENTATIONS = 128, 4, (8, 8, 4)  # of each scale, finest first


def baseline_features(
    baseline: Baseline, index: ImageIndex, settings: SceneClassifier, seed: int
) -> tuple[Features, Features]:
    """Features (N, dim) of the training and the test images; `seed` draws sift's codebook."""
    paths = (index.split("train").paths, index.split("test").paths)
    if baseline == "gist":
        train, test = (np.stack([gist(read_image(path)) for path in split]) for split in paths)
    else:
        train, test = sift_words(*paths, settings, seed)
    return train, test


def sift_words(
    train: list[Path], test: list[Path], settings: SceneClassifier, seed: int
) -> tuple[Features, Features]:
    """Share of each word among an image's descriptors -> square roots (N, words); no pyramid.

    The codebook is made by k-means on equally many descriptors of each training image. Raises
    InputError for images that have fewer descriptors than there are words.
    """
    of_train = [descriptors(path) for path in train]
    each = max(1, settings.descriptors // len(train))
    sample = np.concatenate(
        [_drawn(found, each, seed, image) for image, found in enumerate(of_train)]
    )
    if len(sample) < settings.words:
        raise InputError(
            f"the training images give {len(sample)} SIFT descriptors, too few for "
            f"{settings.words} words; lower scenes.classifier.words."
        )
    words = MiniBatchKMeans(
        settings.words,
        batch_size=4096,
        n_init=1,
        max_iter=30,
        random_state=derive_seed(seed, "words") % 2**32,
    ).fit(_rooted(sample))

    def histogram(found: NDArray[np.uint8]) -> NDArray[np.float64]:
        seen = words.predict(_rooted(found)) if len(found) else np.empty(0, np.int64)
        return np.sqrt(np.bincount(seen, minlength=settings.words) / max(len(found), 1))

    of_test = (descriptors(path) for path in test)
    return np.stack([*map(histogram, of_train)]), np.stack([*map(histogram, of_test)])


def descriptors(path: Path) -> NDArray[np.uint8]:
    """SIFT (N, 128) at the strongest 400 points of a grey image of at most 300 px; N may be 0."""
    grey = _shrunk(cv2.cvtColor(read_image(path), cv2.COLOR_BGR2GRAY))
    found = cv2.SIFT.create(_SIFT_POINTS).detectAndCompute(grey, None)[1]  # type: ignore[call-overload]
    if found is None:
        return np.empty((0, 128), np.uint8)
    return found[:_SIFT_POINTS].astype(np.uint8)  # whole numbers as they are


def _rooted(found: NDArray[np.uint8]) -> NDArray[np.float32]:
    """RootSIFT (Arandjelovic and Zisserman 2012)."""
    shares = found / np.maximum(found.sum(axis=1, keepdims=True, dtype=np.float32), 1)
    return np.sqrt(shares, dtype=np.float32)


def _drawn(found: NDArray[np.uint8], count: int, seed: int, image: int) -> NDArray[np.uint8]:
    return found[generator(seed, "descriptors", image).permutation(len(found))[:count]]


def _shrunk(grey: NDArray[Any]) -> NDArray[Any]:
    scale = _LONG_SIDE_PX / max(grey.shape)
    size = [max(round(side * scale), 1) for side in grey.shape[::-1]]
    return cv2.resize(grey, size, interpolation=cv2.INTER_AREA) if scale < 1 else grey


def gist(image: Image) -> NDArray[np.float64]:
    """Energy of Gabor filters of three scales in 4 x 4 cells, (320,).

    After Oliva and Torralba 2001: the image is made 128 x 128 and its local contrast equalised.
    """
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    grey = cv2.resize(grey, (_GIST_PX, _GIST_PX), interpolation=cv2.INTER_AREA)
    log = np.log1p(grey.astype(np.float64))
    log -= cv2.GaussianBlur(log, (0, 0), _GIST_PX / 16, borderType=cv2.BORDER_REFLECT)
    contrast = np.sqrt(cv2.GaussianBlur(log**2, (0, 0), _GIST_PX / 16))
    spectrum = np.fft.fft2(log / (0.2 + contrast))
    cells = []
    for filtered in np.abs(np.fft.ifft2(spectrum * _gabor_bank())):
        means = filtered.reshape(_GIST_CELLS, _GIST_PX // _GIST_CELLS, _GIST_CELLS, -1)
        cells.append(means.mean(axis=(1, 3)).ravel())
    return np.concatenate(cells)


@cache
def _gabor_bank() -> NDArray[np.float64]:
    """Transfer functions (filters, 128, 128): bells around a frequency and a direction."""
    fy, fx = np.meshgrid(*[np.fft.fftfreq(_GIST_PX)] * 2, indexing="ij")
    radius, angle = np.hypot(fx, fy), np.arctan2(fy, fx)
    bank = []
    for scale, count in enumerate(_GIST_ORIENTATIONS):
        centre = 0.3 / 1.85**scale  # cycles a pixel
        for turn in range(count):
            away = (angle - np.pi * turn / count + np.pi) % (2 * np.pi) - np.pi
            across = (radius / centre - 1) ** 2 * 10 * 0.35
            bank.append(np.exp(-across - 2 * (count / 16) ** 2 * np.pi * away**2))
    return np.stack(bank)

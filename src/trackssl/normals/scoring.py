"""Scores of a file of predictions against the prepared truth."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trackssl.datasets.nyuv2 import VALID_HEIGHT, VALID_WIDTH, Field
from trackssl.errors import InputError
from trackssl.normals.codebook import resize_normals
from trackssl.normals.metrics import Scores, score
from trackssl.normals.prepared import Prepared


def grown(normals: NDArray[np.floating]) -> Field:
    """Normals of a grid (h, w, 3) -> of the valid crop (427, 561, 3)."""
    return resize_normals(normals, VALID_HEIGHT, VALID_WIDTH)


def score_file(prepared: Prepared, predictions: Path) -> Scores:
    """Scores of predictions (N, h, w, 3) in a .npy file, one image in memory at a time.

    Raises InputError for a file of another kind or of other images.
    """
    try:
        found = np.load(predictions, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"{predictions}: cannot be read as .npy ({error}).") from None
    images = len(prepared.stored("test"))
    if found.ndim != 4 or found.shape[0] != images or found.shape[3] != 3:
        raise InputError(
            f"{predictions}: its shape is {found.shape}, but ({images}, height, width, 3) is "
            "needed: the normals of the test images, in order."
        )

    def pairs() -> Iterator[tuple[Field, Field]]:
        for predicted, truth in zip(found, prepared.fields("test"), strict=True):
            yield grown(np.asarray(predicted)), truth

    return score(pairs)

"""Normals in colours."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from trackssl.images import Image

_TILE_PX = 240  # width


def colour_normals(normals: NDArray[np.floating]) -> Image:
    """Normals (H, W, 3) in the usual colours -> BGR: right red, up green, at the camera blue.

    Black where there is none.
    """
    rgb = (normals * [1, -1, -1] + 1) / 2 * 255
    return np.nan_to_num(rgb[..., ::-1]).round().clip(0, 255).astype(np.uint8)


def sheet(rows: Sequence[tuple[Image, NDArray[np.floating], NDArray[np.floating]]]) -> Image:
    """A row an image: the image, its true normals and the predicted ones, (H, W, 3) each."""
    drawn = [
        np.hstack([_tile(image), _tile(colour_normals(truth)), _tile(colour_normals(predicted))])
        for image, truth, predicted in rows
    ]
    return np.vstack(drawn)


def _tile(image: Image) -> Image:
    height = round(image.shape[0] * _TILE_PX / image.shape[1])
    small = cv2.resize(image, (_TILE_PX, height), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.copyMakeBorder(small, 2, 2, 2, 2, cv2.BORDER_CONSTANT), np.uint8)

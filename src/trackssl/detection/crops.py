"""Windows warped to a network's input, as in R-CNN (Caffe's window_data_layer.cpp)."""

import cv2
import numpy as np
from numpy.typing import NDArray

from trackssl.boxes import Boxes
from trackssl.datasets.voc import VocIndex
from trackssl.detection.windows import Batch, Windows
from trackssl.images import MEAN_BGR, Image, read_image

_INPUT_PX = 227  # the input for which context_px is given


def cut_windows(
    image: Image, boxes: Boxes, input_px: int, context_px: int, mirrored: NDArray[np.bool_]
) -> Image:
    """Warp windows of an image (H, W, 3) BGR, boxes (N, 4) -> (N, input_px, input_px, 3) uint8.

    Each box grows so that `context_px` pixels of context (at an input of 227, in proportion at
    others) surround it after the warp, is cut at the image and stretched to a square; the part
    outside the image holds the mean colour. Caffe's rounding, with its expanded region one pixel
    wider than it need be; the mean is rounded to whole grey levels, which R-CNN's is not.
    """
    context = context_px * input_px / _INPUT_PX
    size = np.array(image.shape[1::-1] * 2)
    half = (boxes[:, 2:] - boxes[:, :2]).astype(np.float64) / 2
    centre = boxes[:, :2] + half
    half *= input_px / (input_px - 2 * context)
    region = _round(np.concatenate([centre - half, centre + half], axis=1))
    region[:, 2:] += context > 0  # Caffe rounds the last pixel, not the edge
    inside = np.clip(region, 0, size)
    scale = input_px / np.tile(region[:, 2:] - region[:, :2], 2)
    before, after = np.split(_round(np.abs(inside - region) * scale), 2, axis=1)
    sides = _round((inside[:, 2:] - inside[:, :2]) * scale[:, :2])
    offset = np.where(mirrored[:, None] & [True, False], after, before)
    sides = np.clip(sides, 1, input_px - offset)
    crops = np.empty((len(boxes), input_px, input_px, 3), np.uint8)
    empty = np.tile(np.rint(MEAN_BGR).astype(np.uint8), (input_px, input_px, 1))
    for crop, (x0, y0, x1, y1), (left, top), (width, height), mirror in zip(
        crops, inside.tolist(), offset.tolist(), sides.tolist(), mirrored.tolist(), strict=True
    ):
        warped = cv2.resize(image[y0:y1, x0:x1], (width, height), interpolation=cv2.INTER_LINEAR)
        if width < input_px or height < input_px:
            crop[:] = empty
        crop[top : top + height, left : left + width] = cv2.flip(warped, 1) if mirror else warped
    return crops


def _round(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """C's round: halves away from zero."""
    return np.trunc(values + np.copysign(0.5, values)).astype(np.int64)


class ImageStore:
    """Decoded images of a split, kept in memory up to a limit.

    Batches draw from all images alike, so keeping the first ones hits as often as any other rule.
    """

    def __init__(self, index: VocIndex, split: str, limit_bytes: int = 4 << 30) -> None:
        self._paths = [index.devkit.image_path(image) for image in index.images(split)]
        self._kept: dict[int, Image] = {}
        self._left_bytes = limit_bytes

    def __getitem__(self, position: int) -> Image:
        """Image number `position` of the split, (H, W, 3) BGR. Raises InputError if unreadable."""
        if position in self._kept:
            return self._kept[position]
        image = read_image(self._paths[position])
        if image.nbytes <= self._left_bytes:
            self._kept[position] = image
            self._left_bytes -= image.nbytes
        return image


def cut_batch(
    images: ImageStore, windows: Windows, batch: Batch, input_px: int, context_px: int
) -> Image:
    """The crops of a batch, (B, input_px, input_px, 3) uint8 BGR, in its order."""
    crops = np.empty((len(batch.rows), input_px, input_px, 3), np.uint8)
    of_image = windows.images[batch.rows]
    for position in np.unique(of_image):
        mine = of_image == position
        crops[mine] = cut_windows(
            images[int(position)],
            windows.boxes[batch.rows[mine]],
            input_px,
            context_px,
            batch.mirrored[mine],
        )
    return crops

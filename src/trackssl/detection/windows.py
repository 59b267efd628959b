"""Windows of a split and the batches drawn from them, as in R-CNN (Caffe's window_data_layer.cpp).

Every file with a row a window has them in this order: image by image, in an image first its
ground-truth objects (order of the XML), then its proposals.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from trackssl.boxes import Boxes, overlaps
from trackssl.config import Finetuning
from trackssl.datasets.voc import Annotation, VocIndex
from trackssl.detection.proposals import ProposalFile
from trackssl.errors import InputError
from trackssl.randomness import generator

BACKGROUND = 0  # label 0; class number i of the index has label i + 1


class ImageWindows(NamedTuple):
    """The windows of one image, (N, 4) edges from 0; the first ones are its annotated objects."""

    image: str
    annotation: Annotation
    boxes: Boxes


def image_windows(index: VocIndex, split: str, proposals: ProposalFile) -> Iterator[ImageWindows]:
    """The windows of a split, an image at a time."""
    for position, (image, annotation) in enumerate(index.annotations(split)):
        boxes = np.concatenate([annotation.boxes, proposals[position]])
        yield ImageWindows(image, annotation, boxes)


class Windows(NamedTuple):
    """All windows of a split with the object that each overlaps most."""

    images: NDArray[np.int32]  # (N,) position of the image in the split's list
    boxes: Boxes  # (N, 4) edges from 0
    labels: NDArray[np.int32]  # (N,) class of the object that a window overlaps most
    overlaps: NDArray[np.float32]  # (N,) IoU with that object


class Batch(NamedTuple):
    """Windows drawn for one iteration."""

    rows: NDArray[np.int64]  # (B,) rows of `Windows`
    labels: NDArray[np.int64]  # (B,) BACKGROUND or class number + 1
    mirrored: NDArray[np.bool_]  # (B,)


def collect_windows(index: VocIndex, split: str, proposals: ProposalFile) -> Windows:
    """All windows of a split with their nearest objects, `difficult` ones included as in R-CNN."""
    images, boxes, labels, nearest = [], [], [], []
    numbers = {name: number for number, name in enumerate(index.classes, start=1)}
    for position, (_, annotation, own) in enumerate(image_windows(index, split, proposals)):
        iou = overlaps(own, annotation.boxes)
        classes = np.array([numbers[name] for name in annotation.classes], np.int32)
        best = iou.argmax(axis=1) if len(classes) else np.zeros(len(own), int)
        images.append(np.full(len(own), position, np.int32))
        boxes.append(own)
        labels.append(classes[best] if len(classes) else np.zeros(len(own), np.int32))
        nearest.append(iou.max(axis=1, initial=0))
    return Windows(*(np.concatenate(column) for column in (images, boxes, labels, nearest)))


class Sampler:
    """R-CNN's batches: a share of foreground, the rest background, drawn over the whole split.

    Raises InputError when the split has no window of one kind.
    """

    def __init__(self, windows: Windows, settings: Finetuning, seed: int) -> None:
        foreground = windows.overlaps >= settings.foreground_overlap
        self._foreground = np.flatnonzero(foreground)
        self._background = np.flatnonzero(~foreground)
        self._labels = np.where(foreground, windows.labels, BACKGROUND)
        self._wanted = int(settings.batch_windows * settings.foreground_share)
        self._size, self._seed = settings.batch_windows, seed
        for kind, rows in (("foreground", self._foreground), ("background", self._background)):
            if len(rows) == 0:
                raise InputError(f"there is no {kind} window to train on; give more images.")

    def draw(self, iteration: int) -> Batch:
        """The batch of an iteration: a function of the seed and the iteration only."""
        draws = generator(self._seed, "windows", iteration)
        rows = np.concatenate(
            [
                draws.choice(self._background, self._size - self._wanted),
                draws.choice(self._foreground, self._wanted),
            ]
        )
        return Batch(rows, self._labels[rows].astype(np.int64), draws.random(self._size) < 0.5)

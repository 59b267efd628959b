"""What is looked for, and among what: objects of one split, windows on objects of another."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trackssl.boxes import Boxes, overlaps
from trackssl.datasets.voc import VocIndex
from trackssl.detection.proposals import ProposalFile
from trackssl.detection.windows import image_windows
from trackssl.errors import InputError


@dataclass(frozen=True)
class Labelled:
    """Windows of a split with a class each."""

    rows: NDArray[np.int64]  # (N,) in the split's feature file, see `detection.windows`
    images: NDArray[np.int64]  # (N,) position of the image in the split's list
    boxes: Boxes  # (N, 4) edges from 0
    labels: NDArray[np.int64]  # (N,) number of the class in the index

    def __len__(self) -> int:
        return len(self.rows)


def queries(index: VocIndex, split: str, proposals: ProposalFile) -> Labelled:
    """The objects of a split that are not difficult. Raises InputError if there is none."""
    return _labelled(index, split, proposals, None)


def gallery(
    index: VocIndex, split: str, proposals: ProposalFile, min_overlap: float = 0.5
) -> Labelled:
    """Proposals whose IoU with an object is above `min_overlap`, labelled by the nearest object.

    Difficult objects count as others do; the objects themselves are not among the windows. Raises
    InputError if there is none.
    """
    return _labelled(index, split, proposals, min_overlap)


def _labelled(
    index: VocIndex, split: str, proposals: ProposalFile, min_overlap: float | None
) -> Labelled:
    rows, images, boxes, labels = [], [], [], []
    first = 0
    for position, (_, annotation, own) in enumerate(image_windows(index, split, proposals)):
        objects = len(annotation.boxes)
        if min_overlap is None:
            chosen = np.flatnonzero(~annotation.difficult)
            nearest = chosen
        else:
            iou = overlaps(own[objects:], annotation.boxes)
            found = np.flatnonzero(iou.max(axis=1, initial=0) > min_overlap)
            nearest = iou[found].argmax(axis=1) if len(found) else found
            chosen = objects + found
        numbers = np.array([index.classes.index(name) for name in annotation.classes], np.int64)
        rows.append(first + chosen)
        images.append(np.full(len(chosen), position))
        boxes.append(own[chosen])
        labels.append(numbers[nearest])
        first += len(own)
    if not sum(map(len, rows)):
        what = "object" if min_overlap is None else f"proposal of an IoU above {min_overlap:g}"
        raise InputError(f"'{split}' has no {what}; use another split, or other proposals.")
    return Labelled(*(np.concatenate(column) for column in (rows, images, boxes, labels)))

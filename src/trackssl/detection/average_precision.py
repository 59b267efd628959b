"""Average precision of one class by PASCAL VOC's rules (VOCevaldet.m of the devkit)."""

import math
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from trackssl.boxes import overlaps

Metric = Literal["area", "11point"]


class Detections(NamedTuple):
    """Detections of one class, in the order of their file."""

    images: NDArray[np.int64]  # (N,) position of the image in the split's list
    scores: NDArray[np.float64]  # (N,)
    boxes: NDArray[np.float64]  # (N, 4) edges from 0


class Objects(NamedTuple):
    """Objects of one class, ordered by image."""

    images: NDArray[np.int64]  # (M,) position of the image in the split's list
    boxes: NDArray[np.float64]  # (M, 4) edges from 0
    difficult: NDArray[np.bool_]  # (M,)


def average_precision(
    detections: Detections, objects: Objects, metric: Metric = "area", min_overlap: float = 0.5
) -> float:
    """AP in 0..1, nan when no object counts.

    A detection belongs to the object of its image that it overlaps most; it is right if that is at
    least `min_overlap` and the object was not found before, by descending score (equal scores in
    the order of the file). What belongs to a difficult object counts neither way.
    """
    wanted = int((~objects.difficult).sum())
    if wanted == 0:
        return math.nan
    ranking = np.argsort(-detections.scores, kind="stable")
    overlap, nearest = _best_objects(detections, objects)
    overlap, nearest = overlap[ranking], nearest[ranking]
    hit = overlap >= min_overlap
    ignored = hit & objects.difficult[nearest]
    right = np.zeros(len(ranking), bool)
    candidates = np.flatnonzero(hit & ~ignored)
    right[candidates[np.unique(nearest[candidates], return_index=True)[1]]] = True
    right = right[~ignored]
    found = np.cumsum(right)
    recall = found / wanted
    precision = found / np.arange(1, len(right) + 1)
    return _area(recall, precision) if metric == "area" else _eleven_points(recall, precision)


def _best_objects(
    detections: Detections, objects: Objects
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Largest overlap of each detection with an object of its image, and that object's number."""
    overlap = np.zeros(len(detections.images))
    nearest = np.zeros(len(detections.images), np.int64)
    by_image = np.argsort(detections.images, kind="stable")
    sorted_images = detections.images[by_image]
    for image in np.unique(objects.images):
        first, last = np.searchsorted(sorted_images, [image, image + 1])
        rows = by_image[first:last]
        start, stop = np.searchsorted(objects.images, [image, image + 1])
        each: NDArray[Any] = overlaps(detections.boxes[rows], objects.boxes[start:stop])  # type: ignore[arg-type]
        best = each.argmax(axis=1)  # the first of equals, as the devkit
        overlap[rows] = each[np.arange(len(rows)), best]
        nearest[rows] = start + best
    return overlap, nearest


def _area(recall: NDArray[np.float64], precision: NDArray[np.float64]) -> float:
    """Area under the envelope of precision over all recalls: VOC 2010 and later."""
    envelope = np.maximum.accumulate(np.append(precision, 0)[::-1])[::-1][:-1]
    return float((np.diff(recall, prepend=0) * envelope).sum())


def _eleven_points(recall: NDArray[np.float64], precision: NDArray[np.float64]) -> float:
    """Mean of the best precision at recalls 0, .1 ... 1 and above: VOC 2007."""
    best = [precision[recall >= point / 10].max(initial=0) for point in range(11)]
    return float(np.mean(best))

"""Average precision of one class by PASCAL VOC's rules (VOCevaldet.m of the devkit)."""

import math
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from trackssl.boxes import overlaps

Rule = Literal["11-point", "area"]

_FIRST_YEAR_OF_AREA = 2010


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


class Curve(NamedTuple):
    """Precision and recall in 0..1 after each detection that counts, by descending score."""

    scores: NDArray[np.float64]  # (K,)
    recall: NDArray[np.float64]  # (K,) nan when no object counts
    precision: NDArray[np.float64]  # (K,)
    objects: int  # that are not difficult


def rule_of(year: int) -> Rule:
    """The rule of a year's challenge."""
    return "area" if year >= _FIRST_YEAR_OF_AREA else "11-point"


def precision_recall(detections: Detections, objects: Objects, min_overlap: float = 0.5) -> Curve:
    """The curve of one class.

    A detection belongs to the object of its image that it overlaps most; it is right if that is at
    least `min_overlap` and the object was not found before. The order is by descending score, equal
    scores as in the file (MATLAB's sort is stable). What belongs to a difficult object counts
    neither way. A box without any overlap is wrong even at `min_overlap` 0.
    """
    wanted = int((~objects.difficult).sum())
    ranking = np.argsort(-detections.scores, kind="stable")
    overlap, nearest = _best_objects(detections, objects)
    overlap, nearest = overlap[ranking], nearest[ranking]
    hit = (overlap >= min_overlap) & (overlap > 0)
    ignored = np.zeros(len(ranking), bool)
    ignored[hit] = objects.difficult[nearest[hit]]
    right = np.zeros(len(ranking), bool)
    hits = np.flatnonzero(hit)
    right[hits[np.unique(nearest[hits], return_index=True)[1]]] = True  # an object's first
    found = np.cumsum(right[~ignored])
    return Curve(
        detections.scores[ranking][~ignored],
        found / wanted if wanted else np.full(len(found), np.nan),
        found / np.arange(1, len(found) + 1),
        wanted,
    )


def average_precision(curve: Curve, rule: Rule = "area") -> float:
    """AP in 0..1, nan when no object counts."""
    if curve.objects == 0:
        return math.nan
    summary = _area if rule == "area" else _eleven_points
    return summary(curve.recall, curve.precision)


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
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return float((np.diff(recall, prepend=0) * envelope).sum())


def _eleven_points(recall: NDArray[np.float64], precision: NDArray[np.float64]) -> float:
    """Mean of the best precision at recalls 0, .1 ... 1 and above: before VOC 2010.

    The points are exact: 3 of 10 objects reach .3. (In MATLAB `0:0.1:1` holds a .3 that is larger
    than 3/10 by rounding, so the devkit itself may ask for one object more there.)
    """
    best = [precision[recall >= point / 10].max(initial=0) for point in range(11)]
    return float(np.mean(best))

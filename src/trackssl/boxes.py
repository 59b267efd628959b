"""Boxes as arrays (N, 4) of x0, y0, x1, y1: edges in pixels, so that width = x1 - x0.

VOC's own files count from 1 and include the last pixel; `from_voc` and `to_voc` convert.
"""

import numpy as np
from numpy.typing import NDArray

Boxes = NDArray[np.float32]


def areas(boxes: Boxes) -> NDArray[np.float32]:
    """Area of each box, (N, 4) -> (N,), in square pixels."""
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])


def overlaps(a: Boxes, b: Boxes) -> NDArray[np.float32]:
    """Intersection over union of each pair, (N, 4) and (M, 4) -> (N, M), in 0..1."""
    top_left = np.maximum(a[:, None, :2], b[None, :, :2])
    bottom_right = np.minimum(a[:, None, 2:], b[None, :, 2:])
    sides = np.clip(bottom_right - top_left, 0, None)
    intersection = sides[..., 0] * sides[..., 1]
    union = areas(a)[:, None] + areas(b)[None, :] - intersection
    return np.divide(intersection, union, out=np.zeros_like(intersection), where=union > 0)


def from_voc(boxes: NDArray) -> Boxes:
    """VOC's xmin, ymin, xmax, ymax (from 1, last pixel included) -> edges from 0."""
    return (np.asarray(boxes, np.float32).reshape(-1, 4) - [1, 1, 0, 0]).astype(np.float32)


def to_voc(boxes: Boxes) -> Boxes:
    """Edges from 0 -> VOC's xmin, ymin, xmax, ymax (from 1, last pixel included)."""
    return (np.asarray(boxes, np.float32).reshape(-1, 4) + [1, 1, 0, 0]).astype(np.float32)

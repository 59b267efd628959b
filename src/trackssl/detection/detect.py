"""Detections of a split: SVM scores of its windows, non-maximum suppression, the devkit's files."""

from contextlib import ExitStack
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trackssl.boxes import overlaps
from trackssl.config import Svm
from trackssl.datasets.voc import VocIndex
from trackssl.detection.detection_files import detection_lines, detections_path
from trackssl.detection.feature_files import FeatureTable
from trackssl.detection.proposals import ProposalFile
from trackssl.detection.svm import Svms
from trackssl.detection.windows import image_windows
from trackssl.files import whole_file


def select(
    scores: NDArray[np.float32], covers: NDArray[np.bool_], settings: Svm
) -> NDArray[np.int64]:
    """Rows that are detections of one class in one image, best first.

    Scores (N,); covers (N, N): which windows overlap which more than `nms_overlap`. Taken are those
    of at least `min_score` that no better one covers, at most `max_detections_per_image`. R-CNN
    cuts the list before the suppression instead, and raises its threshold when a class has more
    than 40 an image.
    """
    ranking = np.argsort(-scores, kind="stable")
    left = ranking[scores[ranking] >= settings.min_score]
    kept: list[int] = []
    while len(left) and len(kept) < settings.max_detections_per_image:
        best, others = left[0], left[1:]
        kept.append(int(best))
        left = others[~covers[best, others]]
    return np.array(kept, np.int64)


def detect_windows(
    svms: Svms,
    index: VocIndex,
    split: str,
    proposals: ProposalFile,
    features: FeatureTable,
    settings: Svm,
    out: Path,
) -> int:
    """Write `comp3_det_{split}_{class}.txt` of every class, in VOC's pixels -> detections in all.

    Ground-truth rows of the features are passed over: only proposals are detected.
    """
    found = start = 0
    with ExitStack() as stack:
        files = []
        for name in svms.classes:
            part = stack.enter_context(whole_file(detections_path(out, split, name)))
            files.append(stack.enter_context(part.open("w", encoding="utf-8")))
        for image, annotation, boxes in image_windows(index, split, proposals):
            objects = len(annotation.boxes)
            rows = np.arange(start + objects, start := start + len(boxes))
            boxes = boxes[objects:]
            scores = svms.scores(features[rows])
            covers = overlaps(boxes, boxes) > settings.nms_overlap
            for file, of_class in zip(files, scores.T.copy(), strict=True):
                best = select(of_class, covers, settings)
                file.write(detection_lines(image, of_class[best], boxes[best]))
                found += len(best)
    return found

"""Detections of a split: SVM scores of its windows, non-maximum suppression, the devkit's files."""

from contextlib import ExitStack
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trackssl.boxes import Boxes, overlaps
from trackssl.config import Svm
from trackssl.datasets.voc import VocIndex
from trackssl.detection.detection_files import detection_lines, detections_path
from trackssl.detection.feature_files import FeatureTable
from trackssl.detection.proposals import ProposalFile
from trackssl.detection.svm import Svms
from trackssl.detection.windows import image_windows
from trackssl.files import whole_file


def select(scores: NDArray[np.float32], boxes: Boxes, settings: Svm) -> NDArray[np.int64]:
    """Rows that are detections of one class in one image, best first.

    Scores (N,), boxes (N, 4): those of at least `min_score`, without any that overlaps a better one
    more than `nms_overlap`, at most `max_detections_per_image`. R-CNN cuts the list before the
    suppression instead, and raises its threshold when a class has more than 40 an image.
    """
    ranking = np.argsort(-scores, kind="stable")
    left = ranking[scores[ranking] >= settings.min_score]
    kept: list[int] = []
    while len(left) and len(kept) < settings.max_detections_per_image:
        kept.append(int(left[0]))
        others = left[1:]
        left = others[overlaps(boxes[left[:1]], boxes[others])[0] <= settings.nms_overlap]
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
            for file, of_class in zip(files, scores.T.copy(), strict=True):
                best = select(of_class, boxes, settings)
                file.write(detection_lines(image, of_class[best], boxes[best]))
                found += len(best)
    return found

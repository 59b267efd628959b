"""The rows of fixed features: from files or images to written accuracies."""

from pathlib import Path

import cv2
import numpy as np

from trackssl.config import SceneClassifier
from trackssl.datasets.image_index import ImageIndex
from trackssl.errors import InputError
from trackssl.scenes.baselines import Baseline, baseline_features
from trackssl.scenes.evaluation import Accuracy, scene_labels, write_evaluation
from trackssl.scenes.linear import Chosen, Features, classify, softmax, svm


def classify_features(
    index: ImageIndex, train: Path, test: Path, settings: SceneClassifier, out: Path
) -> Accuracy:
    """Linear softmax on feature files (N, dim), rows as in the index. Raises InputError."""
    known, asked = _read(train, index, "train"), _read(test, index, "test")
    if known.shape[1] != asked.shape[1]:
        raise InputError(
            f"{test}: has {asked.shape[1]} dimensions, but {train} has {known.shape[1]}; give "
            "features of one network and layer."
        )
    chosen = classify(known, scene_labels(index, "train"), asked, settings, softmax)
    return _write(index, chosen, "softmax", out)


def classify_baseline(
    index: ImageIndex, baseline: Baseline, settings: SceneClassifier, seed: int, out: Path
) -> Accuracy:
    """Linear SVMs on features that are not learnt. Raises InputError."""
    cv2.setNumThreads(1)
    train, test = baseline_features(baseline, index, settings, seed)
    chosen = classify(train, scene_labels(index, "train"), test, settings, svm)
    return _write(index, chosen, "SVM", out)


def _write(index: ImageIndex, chosen: Chosen, kind: str, out: Path) -> Accuracy:
    made = {
        "protocol": f"linear {kind}, C chosen on held-out training images",
        "c": chosen.c,
        "validation": {f"{c:g}": score for c, score in chosen.validation.items()},
    }
    return write_evaluation(out, index, "test", chosen.predicted, made)


def _read(path: Path, index: ImageIndex, split: str) -> Features:
    try:
        rows = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(
            f"{path}: cannot be read as features ({error}); make them with trackssl "
            "extract-features --images."
        ) from None
    wanted = len(index.split(split).paths)
    if rows.ndim != 2 or len(rows) != wanted or not np.isfinite(rows).all():
        raise InputError(
            f"{path}: holds {rows.dtype} of shape {rows.shape}, but finite numbers of {wanted} "
            f"images are needed, those of the split '{split}'; make them with this index."
        )
    return rows.astype(np.float64)

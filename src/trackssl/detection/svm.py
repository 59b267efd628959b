"""Linear SVMs with hard-negative mining, one a class, as in R-CNN (rcnn_train.m)."""

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file
from sklearn.svm import LinearSVC

from trackssl import __version__
from trackssl.boxes import overlaps
from trackssl.config import Svm
from trackssl.datasets.voc import VocIndex
from trackssl.detection.feature_files import FeatureTable
from trackssl.detection.proposals import ProposalFile
from trackssl.detection.windows import ImageWindows, image_windows
from trackssl.errors import InputError
from trackssl.files import whole_file

# R-CNN's constants.
HARD_SCORE = -1.0001  # negatives above join the cache,
EASY_SCORE = -1.2  # and below leave it after a training,
RETRAIN_AFTER = 2_000  # which follows when more than so many have joined.
_TOLERANCE = 0.1  # liblinear's default for this solver, which R-CNN leaves as it is
FORMAT = "trackssl.svms"


class Svms(NamedTuple):
    """Linear detectors of all classes on the joined, scaled features."""

    classes: tuple[str, ...]
    weights: NDArray[np.float32]  # (classes, dim)
    bias: NDArray[np.float32]  # (classes,)
    scales: tuple[float, ...]  # of each feature file
    dims: tuple[int, ...]  # of each feature file

    def scores(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Decision values of scaled features, (N, dim) -> (N, classes)."""
        return features @ self.weights.T + self.bias

    @property
    def untrained(self) -> list[str]:
        """Classes that the training had nothing for: their windows score minus infinity."""
        return [name for name, bias in zip(self.classes, self.bias, strict=True) if bias == -np.inf]

    def check(self, features: FeatureTable, name: Path) -> None:
        """Raise InputError unless these are features of the same networks, by their dimensions."""
        if features.dims != self.dims:
            raise InputError(
                f"{name}: was trained on features of {self.dims} dimensions, these have "
                f"{features.dims}; give --features of the same networks in the same order."
            )


def train_svms(
    index: VocIndex, split: str, proposals: ProposalFile, features: FeatureTable, settings: Svm
) -> Svms:
    """Train in one pass over the images, shared by all classes: each image is read once.

    Positives are all ground-truth objects of a class, `difficult` ones too: R-CNN keeps every
    object of the XML (roidb_from_voc.m). Negatives are the windows that overlap each of these
    objects less than `negative_overlap`, other classes' objects among them. The first image gives
    all of its own, the others those that the detectors of the time score above HARD_SCORE. The pass
    ends, as R-CNN's, with a training on the cache: what was passed over or evicted before is not
    looked at again.

    The cache of a class holds row numbers, not features, so memory is that of one class's training.
    A class without an object, or whose objects leave no negative, gets a detector that finds
    nothing (`Svms.untrained`). Raises InputError if that is so of all.
    """
    names = index.classes
    positives = _positive_rows(index, split, proposals)
    caches = [np.empty(0, np.int64) for _ in names]
    joined = np.zeros(len(names), int)  # since the last training
    trained = np.zeros(len(names), bool)
    # Zeros call every negative hard: the first image gives all of its own.
    svms = Svms(
        names,
        np.zeros((len(names), sum(features.dims)), np.float32),
        np.zeros(len(names), np.float32),
        features.scales,
        features.dims,
    )
    start = 0
    for position, windows in enumerate(image_windows(index, split, proposals)):
        rows = np.arange(start, start := start + len(windows.boxes))
        last = position == len(proposals) - 1
        hard = svms.scores(features[rows]) > HARD_SCORE
        hard &= class_overlaps(windows, names) < settings.negative_overlap
        for number, own in enumerate(positives):
            if not len(own):
                continue
            new = rows[hard[:, number]]
            caches[number] = np.concatenate([caches[number], new])
            joined[number] += len(new)
            due = last or not trained[number] or joined[number] > RETRAIN_AFTER
            if not due or not len(caches[number]):
                continue
            used = np.concatenate([own, caches[number]])
            samples = np.empty((len(used), sum(features.dims)))  # liblinear's double precision
            features.read(used, samples)
            weights, bias = fit(samples, len(own), settings)
            svms.weights[number], svms.bias[number] = weights, bias
            caches[number] = caches[number][samples[len(own) :] @ weights + bias >= EASY_SCORE]
            joined[number], trained[number] = 0, True
            del samples  # before the next class's are made
    if not trained.any():
        raise InputError(
            f"'{split}' gives no class an object and windows away from it, so there is no detector "
            "to train; add annotated images."
        )
    svms.bias[~trained] = -np.inf
    return svms


def fit(
    samples: NDArray[np.float64], positives: int, settings: Svm
) -> tuple[NDArray[np.float32], np.float32]:
    """One linear SVM on rows of which the first so many are positive -> (weights (dim,), bias).

    liblinear's L2-regularised L1 hinge by its dual, as R-CNN's `-s 3`, with R-CNN's single
    precision of the result. Deterministic: the order of its steps is drawn from a fixed seed.
    """
    solver = LinearSVC(
        loss="hinge",
        dual=True,
        C=settings.c,
        class_weight={1: settings.positive_weight},
        intercept_scaling=settings.bias_multiplier,
        tol=_TOLERANCE,
        random_state=0,
    )
    solver.fit(samples, np.repeat([1, -1], [positives, len(samples) - positives]))
    return solver.coef_[0].astype(np.float32), np.float32(solver.intercept_[0])


def class_overlaps(windows: ImageWindows, names: tuple[str, ...]) -> NDArray[np.float32]:
    """Largest IoU of each window with an object of each class, (N, classes)."""
    result = np.zeros((len(windows.boxes), len(names)), np.float32)
    each = overlaps(windows.boxes, windows.annotation.boxes)
    for column, name in zip(each.T, windows.annotation.classes, strict=True):
        of_class = result[:, names.index(name)]
        np.maximum(of_class, column, out=of_class)
    return result


def _positive_rows(index: VocIndex, split: str, proposals: ProposalFile) -> list[NDArray[np.int64]]:
    """Rows of the ground-truth objects of each class."""
    labels: list[str] = []
    rows: list[int] = []
    start = 0
    for windows in image_windows(index, split, proposals):
        labels += windows.annotation.classes
        rows += range(start, start + len(windows.annotation.classes))
        start += len(windows.boxes)
    return [np.array(rows)[np.array(labels) == name] for name in index.classes]


def save_svms(path: Path, svms: Svms, settings: Svm) -> None:
    """Write the detectors as safetensors, whole or not at all; equal ones give equal bytes.

    The metadata are one entry, JSON: safetensors writes several in an order that changes.
    """
    described = {
        "classes": svms.classes,
        "scales": svms.scales,
        "dims": svms.dims,
        "settings": settings.model_dump(),
        "version": __version__,
    }
    with whole_file(path) as part:
        tensors = {"weights": svms.weights, "bias": svms.bias}
        save_file(tensors, part, {FORMAT: json.dumps(described)})


def load_svms(path: Path) -> Svms:
    """Read what `save_svms` wrote. Raises InputError if it is absent or another file."""
    try:
        with safe_open(path, framework="np") as file:
            metadata = file.metadata() or {}
            if FORMAT not in metadata:
                raise ValueError(f"its metadata have no '{FORMAT}'")
            described = json.loads(metadata[FORMAT])
            classes, scales, dims = (tuple(described[key]) for key in ("classes", "scales", "dims"))
            svms = Svms(classes, file.get_tensor("weights"), file.get_tensor("bias"), scales, dims)
        if svms.weights.shape != (len(classes), sum(dims)) or svms.bias.shape != (len(classes),):
            raise ValueError("its tensors do not fit its classes and dims")
    except (OSError, SafetensorError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path}: cannot be read as SVMs ({error}); make them with trackssl train-svms."
        ) from None
    return svms

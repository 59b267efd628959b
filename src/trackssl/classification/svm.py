"""Linear SVMs on fixed features, one class against the rest."""

import warnings
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.svm import LinearSVC

from trackssl.classification.average_precision import ranked_precision
from trackssl.datasets.image_index import IGNORED, SHOWS
from trackssl.detection.average_precision import Rule
from trackssl.randomness import generator

Features = NDArray[np.float32]  # (N, dim)
Labels = NDArray[np.int8]  # (N, C), see `ImageList`

_ITERATIONS = 5_000


def choose_c(
    features: Features, labels: Labels, values: Sequence[float], folds: int, rule: Rule
) -> tuple[float, dict[float, float]]:
    """C by cross-validation: (the best one, mean AP of each). Of equals the smallest is taken.

    One value serves all classes. Which image is in which fold is a fixed draw.
    """
    of_image = generator("folds").permutation(len(features)) % folds
    means = {}
    for c in sorted(values):
        aps = []
        for fold in range(folds):
            out = of_image == fold
            scores = fit_and_score(features[~out], labels[~out], features[out], c)
            for own, label in zip(scores.T, labels[out].T, strict=True):
                aps.append(ranked_precision(own, label, rule))
        known = [ap for ap in aps if not np.isnan(ap)]
        means[c] = float(np.mean(known)) if known else 0.0
    return max(means, key=lambda c: means[c]), means


def fit_and_score(train: Features, labels: Labels, test: Features, c: float) -> Features:
    """Scores (M, C) of test features (M, dim); nan for a class without images of both kinds.

    Images that a class ignores are no examples of it.
    """
    scores = np.full((len(test), labels.shape[1]), np.nan, np.float32)
    for number, label in enumerate(labels.T):
        known = label != IGNORED
        shown = label[known] == SHOWS
        if shown.any() and not shown.all():
            svm = LinearSVC(C=c, random_state=0, max_iter=_ITERATIONS)
            with warnings.catch_warnings():
                # Large values of C need not converge: then cross-validation has its word.
                warnings.simplefilter("ignore", ConvergenceWarning)
                svm.fit(train[known], shown)
            scores[:, number] = svm.decision_function(test)
    return scores

"""A linear softmax on features, its regularisation chosen on a part of the training images."""

import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC

from trackssl.config import SceneClassifier
from trackssl.randomness import generator
from trackssl.scenes.evaluation import Labels, accuracy

Features = NDArray[np.float64]  # (N, dim)
_NORM = 20.0  # mean norm of scaled features, as R-CNN's, for which the values of C are given
_ITERATIONS = 1_000


Classifier = Any  # of scikit-learn, which has no types


class Chosen(NamedTuple):
    """Predictions of the classifier whose C did best, and the accuracy that each C had."""

    predicted: Labels
    c: float
    validation: dict[float, float]  # C -> mean of per-class accuracy on the held-out part


def softmax(c: float) -> Classifier:
    """Multinomial logistic regression."""
    return LogisticRegression(C=c, max_iter=_ITERATIONS)


def svm(c: float) -> Classifier:
    """One linear SVM a class, the highest score wins."""
    return LinearSVC(C=c, random_state=0, max_iter=_ITERATIONS)


def classify(
    train: Features,
    labels: Labels,
    test: Features,
    settings: SceneClassifier,
    kind: Callable[[float], Classifier] = softmax,
) -> Chosen:
    """Choose C on held-out training images, train on all of them with it, predict the test's.

    Features are centred and scaled to a mean norm of 20, by the training images alone. The held-out
    part is a fixed draw of each class's images; of equals the smallest C wins.
    """
    classes = int(labels.max()) + 1
    held_out = held_out_rows(labels, settings.validation_share)
    scores = {}
    for c in sorted(settings.c):
        predicted = _fitted(kind(c), train[~held_out], labels[~held_out], train[held_out])
        scores[c] = accuracy(labels[held_out], predicted, classes).per_class
    best = max(scores, key=lambda c: scores[c])
    return Chosen(_fitted(kind(best), train, labels, test), best, scores)


def held_out_rows(labels: Labels, share: float) -> NDArray[np.bool_]:
    """Which images are held out: of each class that has two or more, a fixed draw of its share."""
    held_out = np.zeros(len(labels), bool)
    for number in np.unique(labels):
        rows = np.flatnonzero(labels == number)
        count = min(max(round(share * len(rows)), 1), len(rows) - 1)
        held_out[generator("held out", int(number)).permutation(rows)[:count]] = True
    return held_out


def _fitted(classifier: Classifier, train: Features, labels: Labels, test: Features) -> Labels:
    centre = train.mean(axis=0)
    norm = np.linalg.norm(train - centre, axis=1).mean()
    scale = _NORM / norm if norm > 0 else 1.0
    with warnings.catch_warnings():  # near separable data: it is good enough long before
        warnings.simplefilter("ignore", ConvergenceWarning)
        classifier.fit((train - centre) * scale, labels)
    return np.asarray(classifier.predict((test - centre) * scale))

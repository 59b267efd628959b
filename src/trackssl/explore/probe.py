"""What features are worth on a labelled folder: a linear classifier on them, in seeded folds.

Beside the network stand two controls: the same network before its training, and colour alone.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedKFold

from trackssl.config import SceneClassifier
from trackssl.errors import InputError
from trackssl.images import Image, read_image
from trackssl.pretraining.embed import (
    SUFFIXES,
    DeviceName,
    Encoder,
    Layer,
    encode_files,
    image_files,
)
from trackssl.scenes.evaluation import Labels, accuracy
from trackssl.scenes.linear import classify

NETWORK, UNTRAINED, COLOUR, CHANCE = "network", "before training", "colour histogram", "chance"
_BINS = 4  # of each colour channel
Rows = NDArray[np.float64]  # (N, dim)


@dataclass(frozen=True)
class LabelledImages:
    """Images that can be decoded, each with the number of its class."""

    paths: list[Path]
    labels: Labels
    classes: list[str]


@dataclass(frozen=True)
class Probe:
    """Accuracies in 0..1, the mean over classes, of each fold: {features: (folds,)}."""

    accuracies: dict[str, NDArray[np.float64]]
    images: int
    classes: list[str]

    def rows(self) -> list[dict[str, Any]]:
        """A row a kind of feature, in percent: mean and sample deviation over the folds."""
        found = [
            {
                "features": name,
                "accuracy_mean": 100 * float(values.mean()),
                "accuracy_std": 100 * float(values.std(ddof=1)),
                "folds": len(values),
            }
            for name, values in self.accuracies.items()
        ]
        chance = 100 / len(self.classes)
        return [*found, {"features": CHANCE, "accuracy_mean": chance, "accuracy_std": 0.0}]

    def gain(self) -> tuple[float, float]:
        """Network less the same before training, fold by fold, in percent: mean and deviation."""
        gains = 100 * (self.accuracies[NETWORK] - self.accuracies[UNTRAINED])
        return float(gains.mean()), float(gains.std(ddof=1))


def probe(
    folder: Path,
    weights: Path,
    layer: Layer,
    folds: int,
    seed: int,
    settings: SceneClassifier,
    device: DeviceName,
    on_bad: Callable[[InputError], None],
) -> Probe:
    """Accuracy of a linear softmax on features of a folder's images, a subfolder a class.

    Folds are stratified and drawn from the seed; in each, the regularisation is chosen on a part of
    its training images. Raises InputError for fewer than two classes, and a class with fewer images
    than there are folds.
    """
    encoder = Encoder(weights, layer, device)
    images, features = _encoded(_labelled(folder), encoder, on_bad)
    smallest = np.bincount(images.labels, minlength=len(images.classes))
    if smallest.min() < folds:
        few = images.classes[int(smallest.argmin())]
        raise InputError(
            f"{folder}: class '{few}' has {smallest.min()} usable images, but there are {folds} "
            "folds; add images, lower --folds, or remove the class."
        )
    untrained = Encoder(weights, layer, device, untrained=True)
    kinds: dict[str, Rows] = {
        NETWORK: features,
        UNTRAINED: _encoded(images, untrained, on_bad)[1],
        COLOUR: np.stack([colour_histogram(read_image(path)) for path in images.paths]),
    }
    splits = StratifiedKFold(folds, shuffle=True, random_state=seed)
    accuracies: dict[str, list[float]] = {name: [] for name in kinds}
    for train, test in splits.split(images.labels, images.labels):
        for name, rows in kinds.items():
            chosen = classify(rows[train], images.labels[train], rows[test], settings)
            right = accuracy(images.labels[test], chosen.predicted, len(images.classes))
            accuracies[name].append(right.per_class)
    found = {name: np.array(values) for name, values in accuracies.items()}
    return Probe(found, len(images.paths), images.classes)


def colour_histogram(image: Image) -> Rows:
    """(H, W, 3) BGR -> (64,) roots of the shares of 4 x 4 x 4 colours."""
    edges = [0, 256] * 3
    counts = cv2.calcHist([image], [0, 1, 2], None, [_BINS] * 3, edges).ravel().astype(np.float64)
    return np.asarray(np.sqrt(counts / counts.sum()))


def _labelled(folder: Path) -> LabelledImages:
    if not folder.is_dir():
        raise InputError(f"{folder}: there is no such folder of images; check the path.")
    classes: list[str] = []
    paths: list[Path] = []
    labels: list[int] = []
    for inner in sorted(folder.iterdir()):
        if not inner.is_dir() or inner.name.startswith("."):
            continue
        mine = [path for path in sorted(inner.rglob("*")) if path.suffix.lower() in SUFFIXES]
        if mine:
            paths += list(image_files(mine))
            labels += [len(classes)] * len(mine)
            classes.append(inner.name)
    if len(classes) < 2:
        raise InputError(
            f"{folder}: {len(classes)} of its subfolders hold images, but each class needs a "
            "subfolder, and a probe two classes; sort the images into subfolders."
        )
    return LabelledImages(paths, np.array(labels), classes)


def _encoded(
    images: LabelledImages, encoder: Encoder, on_bad: Callable[[InputError], None]
) -> tuple[LabelledImages, Rows]:
    """The images that can be decoded, and their features."""
    of = dict(zip(images.paths, images.labels.tolist(), strict=True))
    paths: list[Path] = []
    parts = [np.empty((0, encoder.dim))]
    for names, rows in encode_files(images.paths, encoder, on_bad=on_bad):
        paths += names
        parts.append(rows.astype(np.float64))
    labels = np.array([of[path] for path in paths], np.int64)
    return LabelledImages(paths, labels, images.classes), np.concatenate(parts)

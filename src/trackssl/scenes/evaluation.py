"""What a classifier of scenes got right: accuracies, the confusion matrix, each prediction."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import confusion_matrix

from trackssl.datasets.image_index import SHOWS, ImageIndex
from trackssl.errors import InputError
from trackssl.files import whole_file, write_json
from trackssl.tables import write_csv

METRICS = "metrics.json"
Labels = NDArray[np.int64]  # (N,) numbers of classes


def scene_labels(index: ImageIndex, split: str) -> Labels:
    """The one class of each image of a split. Raises InputError where there is not just one."""
    held = index.split(split)
    shown = held.labels == SHOWS
    for row in np.flatnonzero(shown.sum(axis=1) != 1):
        raise InputError(
            f"{held.paths[row]}: shows {shown[row].sum()} classes, but scenes are of one class "
            "each; give the index of trackssl fetch-mit67."
        )
    return shown.argmax(axis=1)


@dataclass(frozen=True)
class Accuracy:
    """`per_class`, the paper's: the mean over classes of each one's share; `plain`: of images."""

    per_class: float
    plain: float
    confusion: NDArray[np.int64]  # (C, C) images, a row a true class, a column a predicted one


def accuracy(true: Labels, predicted: Labels, classes: int) -> Accuracy:
    """How many were right; every class must have an image."""
    confusion = confusion_matrix(true, predicted, labels=np.arange(classes))
    right = confusion.diagonal()
    return Accuracy((right / confusion.sum(axis=1)).mean(), right.sum() / len(true), confusion)


def write_evaluation(
    folder: Path, index: ImageIndex, split: str, predicted: Labels, made: dict[str, Any]
) -> Accuracy:
    """Write predictions.csv, confusion.csv, confusion.png and, last, metrics.json.

    `made` says how the classifier came about and stands in metrics.json.
    """
    true, classes = scene_labels(index, split), index.classes
    found = accuracy(true, predicted, len(classes))
    predictions = {
        "image": [str(path) for path in index.split(split).paths],
        "class": [classes[number] for number in true],
        "predicted": [classes[number] for number in predicted],
    }
    write_csv(folder / "predictions.csv", pd.DataFrame(predictions))
    counts = pd.DataFrame(found.confusion, columns=classes)
    counts.insert(0, "class", classes)
    write_csv(folder / "confusion.csv", counts)
    draw_confusion(folder / "confusion.png", found.confusion, classes)
    each = found.confusion.diagonal() / found.confusion.sum(axis=1)
    metrics = {
        "accuracy_per_class": found.per_class,
        "accuracy": found.plain,
        "images": len(true),
        "classes": dict(zip(classes, each.tolist(), strict=True)),
        "made": made,
    }
    write_json(folder / METRICS, metrics)
    return found


def draw_confusion(path: Path, confusion: NDArray[np.int64], classes: list[str]) -> None:
    """The confusion matrix as a PNG, each row in shares of its class's images."""
    from matplotlib.figure import Figure

    shares = confusion / confusion.sum(axis=1, keepdims=True)
    count = len(classes)
    side = 2.5 + 0.22 * max(count, 8)
    figure = Figure((side + 0.6, side), layout="constrained")
    axes = figure.subplots()
    drawn = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set_xticks(range(count), classes, rotation=90, fontsize=8)
    axes.set_yticks(range(count), classes, fontsize=8)
    axes.set(xlabel="predicted", ylabel="true")
    figure.colorbar(drawn, label="share of the class", shrink=0.7)
    with whole_file(path) as part:
        figure.savefig(part, format="png", dpi=110, metadata={"Software": None})

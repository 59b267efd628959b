"""Average precision of image classification, by PASCAL VOC's rules (VOCevalcls.m of the devkit)."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from trackssl.datasets.image_index import IGNORED, SHOWS
from trackssl.detection.average_precision import Curve, Rule, average_precision


def ranked_precision(scores: NDArray[np.floating], labels: NDArray[np.int8], rule: Rule) -> float:
    """AP in 0..1 of images (N,) ranked by score; ignored ones are left out, nan if none is right.

    Equal scores are ranked in the order given.
    """
    kept = labels != IGNORED
    order = np.argsort(-scores[kept], kind="stable")
    right = labels[kept][order] == SHOWS
    found, wanted = np.cumsum(right), int(right.sum())
    precision = found / np.arange(1, len(found) + 1)
    curve = Curve(scores[kept][order], found / max(wanted, 1), precision, wanted)
    return average_precision(curve, rule)


def class_precisions(
    scores: NDArray[np.floating], labels: NDArray[np.int8], classes: Sequence[str], rule: Rule
) -> pd.DataFrame:
    """Columns class, ap (0..1) and images (that show it) of scores and labels (N, C).

    A class that was not learnt has scores of nan, and no ap.
    """
    aps = [
        np.nan if np.isnan(own).any() else ranked_precision(own, labels[:, number], rule)
        for number, own in enumerate(scores.T)
    ]
    shown = (labels == SHOWS).sum(axis=0)
    return pd.DataFrame({"class": list(classes), "ap": aps, "images": shown})

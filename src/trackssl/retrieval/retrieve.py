"""The benchmark from feature files to precisions and a picture."""

from dataclasses import dataclass
from pathlib import Path

import cv2
import pandas as pd

from trackssl.config import Retrieval
from trackssl.datasets.voc import VocIndex
from trackssl.detection.feature_files import FeatureTable
from trackssl.detection.proposals import ProposalFile
from trackssl.errors import InputError
from trackssl.files import whole_file
from trackssl.retrieval.precision import DEPTHS, class_precision
from trackssl.retrieval.search import blocks, nearest
from trackssl.retrieval.sheet import retrieval_sheet
from trackssl.retrieval.windows import gallery, queries
from trackssl.tables import write_csv


@dataclass(frozen=True)
class Side:
    """One side of the search: a split, its proposals and the features of all its windows."""

    split: str
    proposals: ProposalFile
    features: Path

    def table(self, index: VocIndex) -> FeatureTable:
        """The features as they stand."""
        windows = index.splits[self.split]["objects"] + self.proposals.windows
        return FeatureTable([self.features], windows, mean_norm=1.0, scales=(1.0,))


def retrieve(
    index: VocIndex,
    asked: Side,
    known: Side,
    settings: Retrieval,
    out: Path,
    sheet: Path | None = None,
) -> pd.DataFrame:
    """Look for each object of one split among the windows on objects of another -> `out`, a CSV.

    The table has a row a class, see `class_precision`. Raises InputError for features of other
    windows, or when there are fewer than 20 windows to find.
    """
    objects = queries(index, asked.split, asked.proposals)
    windows = gallery(index, known.split, known.proposals, settings.gallery_overlap)
    if len(windows) < max(DEPTHS):
        raise InputError(
            f"'{known.split}' has {len(windows)} windows with an IoU above "
            f"{settings.gallery_overlap:g} to an object, but the {max(DEPTHS)} nearest are looked "
            "at; give more images, or more proposals."
        )
    features = asked.table(index)[objects.rows]
    gallery_blocks = blocks(known.table(index), windows.rows)
    found, _ = nearest(features, gallery_blocks, max(DEPTHS))
    table = class_precision(windows.labels[found], objects.labels, index.classes)
    if sheet is not None:
        splits = asked.split, known.split
        drawn = retrieval_sheet(index, splits, objects, windows, found)
        with whole_file(sheet) as part:
            part.write_bytes(cv2.imencode(".png", drawn)[1].tobytes())
    write_csv(out, table)
    return table

"""`results/voc07_classification.csv`: a row a network and seed, mAP and AP of each class."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from trackssl.config import Classification, Network, Voc
from trackssl.datasets.image_index import read_image_index
from trackssl.report.rows import Made, first_columns, last_columns, run_name, write_table
from trackssl.tables import read_csv


class Row(Made):
    """One row to be: its AP file, and whether the network was fine-tuned."""

    ap: str
    finetuned: bool


def voc07_classification_rows(
    rows: Sequence[Row],
    run: str,
    voc: Voc,
    network: Network,
    settings: Classification,
    images: int,
) -> list[dict[str, Any]]:
    """Rows of the table, AP and mAP in percent; mAP is the mean over the classes that have an AP.

    Raises InputError for a missing AP file.
    """
    real = voc.source != "miniworld"
    data = f"VOC{voc.year}" if real else "miniworld"
    public = voc.year == 2007 and voc.rule == "11-point" and voc.test_split == "test"
    shared = (
        f"image classification, trained on {voc.train_split}; AP in percent ({voc.rule}) on "
        f"{voc.test_split}; input {network.input_px} px, width {network.width:g}"
    )
    how = {
        True: "all layers fine-tuned by a sigmoid a class, ten crops in testing",
        False: f"linear SVMs on {settings.layer}, centre crop, C by cross-validation",
    }
    result = []
    for row in rows:
        table = read_csv(Path(row.ap)).set_index("class")
        ap = 100 * table["ap"]
        comparable = real and public and network == Network()
        last = last_columns(
            "voc07_classification", row.method, "mAP", comparable, f"{shared}; {how[row.finetuned]}"
        )
        result.append(
            first_columns(row, run, data, voc.test_split, images)
            | {"mAP": float(ap.mean())}
            | {str(name): float(value) for name, value in ap.items()}
            | last
        )
    return result


def write_voc07_classification(
    rows: Sequence[Row],
    run: Path,
    index: Path,
    voc: Voc,
    network: Network,
    settings: Classification,
    out: Path,
    summary: Path,
) -> pd.DataFrame:
    """Write the table and its means and spreads over seeds; returns the table."""
    images = len(read_image_index(index).split(voc.test_split).paths)
    made = voc07_classification_rows(rows, run_name(run), voc, network, settings, images)
    return write_table(made, out, summary, ["mAP"])

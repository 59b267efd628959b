"""`results/voc_map.csv`: a row a method and seed, mAP and each class's AP, ours and the paper's."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from trackssl.config import Network, Voc
from trackssl.report.rows import Made, first_columns, last_columns, run_name, write_table
from trackssl.tables import read_csv


class Row(Made):
    """One row to be: its AP file and the networks whose features it joins.

    `features` says which ones, for the protocol, where they are not the fine-tuned networks' usual.
    """

    ap: str
    features: str = ""


def voc_map_rows(
    rows: Sequence[Row], run: str, voc: Voc, network: Network, images: int
) -> list[dict[str, Any]]:
    """Rows of the table, AP and mAP in percent. Raises InputError for a missing AP file."""
    real = voc.source != "miniworld"
    data = f"VOC{voc.year}" if real else "miniworld"
    papers = voc.year == 2012 and voc.rule == "area"
    comparable = real and papers and network == Network()
    protocol = (
        f"R-CNN without box regression, trained on {voc.train_split}; AP in percent "
        f"({voc.rule}, IoU 0.5) on {voc.test_split}; input {network.input_px} px, "
        f"width {network.width:g}"
    )
    result = []
    for row in rows:
        ap = 100 * read_csv(Path(row.ap)).set_index("class")["ap"]
        words = protocol + (f"; {row.features}" if row.features else "")
        table = "voc_map" if papers else f"voc_map_{voc.year}"
        result.append(
            first_columns(row, run, data, voc.test_split, images)
            | {"mAP": ap["mean"]}
            | {str(name): float(value) for name, value in ap.drop("mean").items()}
            | last_columns(table, row.method, "mAP", comparable, words)
        )
    return result


def write_voc_map(
    rows: Sequence[Row],
    run: Path,
    index: Path,
    voc: Voc,
    network: Network,
    out: Path,
    summary: Path,
) -> pd.DataFrame:
    """Write the table and its means and spreads over seeds; returns the table."""
    images = json.loads(index.read_text(encoding="utf-8"))["splits"][voc.test_split]["images"]
    made = voc_map_rows(rows, run_name(run), voc, network, len(images))
    return write_table(made, out, summary, ["mAP"])

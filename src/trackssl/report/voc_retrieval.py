"""`results/voc_retrieval.csv`: a row a network and seed, shares of right windows in percent."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from trackssl.config import Network, Retrieval, Voc
from trackssl.report.rows import Made, first_columns, last_columns, run_name, write_table
from trackssl.retrieval.precision import overall
from trackssl.tables import read_csv

METRICS = ("top20_by_query", "top20_by_class", "p1", "p5", "p10", "p20")


class Row(Made):
    """One row to be, and the precisions that `trackssl retrieve` wrote for it."""

    precision: str


def voc_retrieval_rows(
    rows: Sequence[Row], run: str, voc: Voc, network: Network, settings: Retrieval
) -> list[dict[str, Any]]:
    """Rows of the table, in percent. Raises InputError for a missing file of precisions."""
    real = voc.source != "miniworld"
    papers = voc.year == 2012 and settings.layer == "pool5"
    protocol = (
        f"objects of {voc.test_split} (not difficult) among proposals of {voc.train_split} with "
        f"IoU > {settings.gallery_overlap:g} to an object; cosine of {settings.layer}, exact; "
        f"shares of the nearest windows in percent; input {network.input_px} px, width "
        f"{network.width:g}"
    )
    result = []
    for row in rows:
        precision = read_csv(Path(row.precision))
        data = f"VOC{voc.year}" if real else "miniworld"
        queries = int(precision["queries"].sum())
        result.append(
            first_columns(row, run, data, voc.test_split, queries)
            | overall(precision)
            | last_columns(
                "voc_retrieval",
                row.method,
                METRICS[0],
                real and papers and network == Network(),
                protocol,
            )
        )
    return result


def write_voc_retrieval(
    rows: Sequence[Row],
    run: Path,
    voc: Voc,
    network: Network,
    settings: Retrieval,
    out: Path,
    summary: Path,
) -> pd.DataFrame:
    """Write the table and its means and spreads over seeds; returns the table."""
    made = voc_retrieval_rows(rows, run_name(run), voc, network, settings)
    return write_table(made, out, summary, METRICS)

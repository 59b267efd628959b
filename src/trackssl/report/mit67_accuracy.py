"""`results/mit67_accuracy.csv`: accuracies on MIT Indoor 67, ours and the paper's, in percent."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from trackssl.config import Network, Scenes
from trackssl.datasets.image_index import ImageIndex
from trackssl.errors import InputError
from trackssl.report.rows import Made, first_columns, last_columns, run_name, write_table

_TABLE = "mit67_accuracy"
METRICS = ("accuracy_per_class", "accuracy")  # the first one is the paper's
_OFFICIAL_IMAGES = {"train": 5360, "test": 1340}


class Row(Made):
    """One row to be, and its metrics.json."""

    metrics: str


def mit67_rows(
    rows: Sequence[Row], run: str, index: ImageIndex, scenes: Scenes, network: Network
) -> list[dict[str, Any]]:
    """Rows of the table. Raises InputError for metrics that are absent."""
    sizes = {split: len(held.paths) for split, held in index.splits.items()}
    official = scenes.source != "miniworld" and sizes == _OFFICIAL_IMAGES
    result = []
    for row in rows:
        metrics = _metrics(Path(row.metrics))
        learnt = row.method not in scenes.baselines
        size = f"; input {network.input_px} px, width {network.width:g}" if learnt else ""
        protocol = f"{metrics['made']['protocol']}{size}"
        comparable = official and (network == Network() or not learnt)
        result.append(
            first_columns(row, run, index.name, "test", sizes["test"])
            | {name: 100 * metrics[name] for name in METRICS}
            | last_columns(_TABLE, row.method, METRICS[0], comparable, protocol)
        )
    return result


def write_mit67_accuracy(
    rows: Sequence[Row],
    run: Path,
    index: ImageIndex,
    scenes: Scenes,
    network: Network,
    out: Path,
    summary: Path,
) -> pd.DataFrame:
    """Write the table and its means and spreads over seeds; returns the table."""
    made = mit67_rows(rows, run_name(run), index, scenes, network)
    return write_table(made, out, summary, METRICS)


def _metrics(path: Path) -> Mapping[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        return {name: values[name] for name in (*METRICS, "made")}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: cannot be read as metrics of scenes ({error}).") from None

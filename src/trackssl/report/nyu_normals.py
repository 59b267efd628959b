"""`results/nyu_normals.csv`: a row a network and seed, angular errors of surface normals."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from trackssl.config import Network, Normals, Nyuv2
from trackssl.errors import InputError
from trackssl.normals.metrics import METRICS, Scores
from trackssl.report.rows import Made, first_columns, last_columns, run_name, write_table


class Row(Made):
    """One row to be, and the scores that `trackssl score-normals` wrote for it."""

    scores: str


def nyu_normals_rows(
    rows: Sequence[Row], run: str, data: Nyuv2, settings: Normals, network: Network, images: int
) -> list[dict[str, Any]]:
    """Rows of the table: mean and median in degrees (lower is better), shares in percent.

    Raises InputError for a file of scores that is absent or none.
    """
    real = data.source != "miniworld"
    given = data.normals is not None
    truth = "given normals" if given else "normals computed from depth"
    protocol = (
        f"{truth}, pooled over all known pixels of the valid crop; mean and median in degrees, "
        f"shares strictly within 11.25, 22.5 and 30 in percent; {data.words} words, "
        f"{data.grid} x {data.grid} cells, {settings.iterations} iterations; input "
        f"{network.input_px} px, width {network.width:g}"
    )
    comparable = real and given and network == Network() and data == _paper(data)
    return [
        first_columns(row, run, "NYUv2" if real else "miniworld", "test", images)
        | {metric: getattr(_scores(Path(row.scores)), metric) for metric in METRICS}
        | last_columns("nyu_normals", row.method, "mean", comparable, protocol)
        for row in rows
    ]


def _paper(data: Nyuv2) -> Nyuv2:
    """These data with the paper's codes."""
    default = Nyuv2()
    return data.model_copy(update={"words": default.words, "grid": default.grid})


def _scores(path: Path) -> Scores:
    try:
        return Scores(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise InputError(
            f"{path}: cannot be read as scores of normals ({error}); make it by trackssl "
            "score-normals."
        ) from None


def write_nyu_normals(
    rows: Sequence[Row],
    run: Path,
    index: Path,
    data: Nyuv2,
    settings: Normals,
    network: Network,
    out: Path,
    summary: Path,
) -> pd.DataFrame:
    """Write the table and its means and spreads over seeds; returns the table."""
    from trackssl.datasets.nyuv2 import read_index

    images = len(read_index(index).splits["test"])
    made = nyu_normals_rows(rows, run_name(run), data, settings, network, images)
    return write_table(made, out, summary, METRICS)

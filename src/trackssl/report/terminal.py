"""A results table drawn for the terminal."""

from pathlib import Path

import pandas as pd
from rich.table import Table

from trackssl.report.publish import metric_names
from trackssl.tables import read_csv

SHOWN = ("method", "pairs", "rounds", "members", "seed")


def render(path: Path) -> Table:
    """The table with its metrics, its first row's data and protocol as title and caption."""
    table = read_csv(path)
    metrics = metric_names(table)
    first = table.iloc[0]
    drawn = Table(
        title=f"{path.stem}, run {first['run']}: {first['data']} {first['split']}",
        caption=_caption(first),
    )
    for name in (*SHOWN, *metrics):
        drawn.add_column(name, justify="left" if name == "method" else "right")
    for _, row in table.iterrows():
        cells = [_number(row[name]) for name in metrics]
        drawn.add_row(*(str(row[name]) for name in SHOWN), *cells)
    return drawn


def _number(value: float) -> str:
    return "" if pd.isna(value) else f"{value:.1f}"


def _caption(row: pd.Series) -> str:
    note = "" if row["comparable"] else "Not comparable with the paper: other data, other scale. "
    return f"{note}{row['protocol']}."

"""A results table drawn for the terminal."""

from pathlib import Path

import pandas as pd
from rich.table import Table

from trackssl.report.publish import SHOWN, cell
from trackssl.tables import LOWER_IS_BETTER, metric_names, read_csv


def render(path: Path, every_metric: bool = False) -> Table:
    """The headline metric of each row, or every one, such as each class's AP.

    The paper's values stand beside it only where the two can be compared.
    """
    table = read_csv(path)
    metrics = metric_names(table)
    first = table.iloc[0]
    drawn = Table(
        title=f"{path.stem}, run {first['run']}: {first['data']} {first['split']}",
        caption=_caption(first),
    )
    shown = metrics if every_metric else metrics[:1]
    heads = [_head(name) for name in shown]
    for name in (*SHOWN, *heads):
        drawn.add_column(name, justify="left" if name == "method" else "right", no_wrap=True)
    beside_paper = bool(table["comparable"].all()) and not every_metric
    if beside_paper:
        drawn.add_column("paper", justify="right")
        drawn.add_column("source of the paper's")
    for _, row in table.iterrows():
        cells = [cell(row[name]) for name in SHOWN] + [_number(row[name]) for name in shown]
        if beside_paper:
            source = "" if pd.isna(row["paper_source"]) else row["paper_source"]
            cells += [_number(row["paper_value"]), source]
        drawn.add_row(*cells)
    return drawn


def render_differences(path: Path) -> Table | None:
    """The paired differences beside a results table; None where there are no several seeds."""
    beside = path.with_name(f"{path.stem}_differences.csv")
    if not beside.is_file():
        return None
    differences = read_csv(beside)
    differences = differences[differences["seeds"] > 1]
    if differences.empty:
        return None
    drawn = Table(title=f"{beside.stem}: with the same seeds")
    for name in ("method", "minus", "metric", "difference", "spread", "higher in"):
        drawn.add_column(name, justify="left" if name in ("method", "minus") else "right")
    for row in differences.itertuples(index=False):
        mean, spread = f"{row.difference_mean:+.1f}", f"{row.difference_std:.1f}"
        count = f"{row.seeds_higher} of {row.seeds}"
        drawn.add_row(str(row.method), str(row.than), _head(str(row.metric)), mean, spread, count)
    return drawn


def _head(metric: str) -> str:
    return f"{metric}, lower is better" if metric in LOWER_IS_BETTER else metric


def _number(value: float) -> str:
    return "" if pd.isna(value) else f"{value:.1f}"


def _caption(row: pd.Series) -> str:
    note = "" if row["comparable"] else "Not comparable with the paper: other data, other scale. "
    return f"{note}{row['protocol']}."

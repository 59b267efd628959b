"""Tables of the page from the results' CSV files."""

import math
from collections.abc import Sequence

import pandas as pd

from trackssl.report.page.blocks import Cell, Table, cell
from trackssl.report.page.run import Run
from trackssl.report.page.words import certainty, count, metric_words, number, signed
from trackssl.tables import LOWER_IS_BETTER, metric_names

_MOST_SHADE = 0.4


def results_table(run: Run, stem: str, title: str) -> Table:
    """A row a method: means over the seeds of each metric, the paper's value and its source."""
    table = run.tables[stem]
    metrics = metric_names(table)
    wide = len(metrics) > 6  # classes: their place is the table of classes
    shown = metrics[:1] if wide else metrics
    several = table.groupby("method")["seed"].nunique().max() > 1
    heads = ["method"]
    for metric in shown:
        heads += [metric_words(metric), "spread"] if several else [metric_words(metric)]
    heads += ["the paper's", "certainty", "pairs", "rounds", "networks", "source"]
    rows = []
    for method, group in table.groupby("method", sort=False):
        first = group.iloc[0]
        cells = [cell(str(method))]
        for metric in shown:
            cells.append(_value(group[metric].mean()))
            if several:
                cells.append(_value(group[metric].std(ddof=1)))
        source = "" if pd.isna(first["paper_source"]) else str(first["paper_source"])
        cells += [_value(first["paper_value"]), cell(certainty(source))]
        cells += [_count(first[name]) for name in ("pairs", "rounds", "members")]
        cells.append(cell(source.removeprefix("unconfirmed: ")))
        rows.append(cells)
    lower = " Of angles lower is better." if metrics[0] in LOWER_IS_BETTER else ""
    protocols = sorted({str(text) for text in table["protocol"]}, key=len)
    caption = (
        f"{table.iloc[0]['data']}, {table.iloc[0]['split']}: {protocols[0]}.{lower} The paper's "
        f"value is of the first metric."
    )
    path = run.results / f"{stem}.csv"
    return Table(title, heads, rows, caption, run.link(path))


def classes_table(run: Run, stem: str, title: str) -> Table | None:
    """Each class's value, a row a method, means over the seeds; a darker ground is a higher one."""
    table = run.tables[stem]
    classes = metric_names(table)[1:]
    if not classes:
        return None
    means = table.groupby("method", sort=False)[classes].mean()
    top = max(float(means.to_numpy().max()), 1e-9)
    rows = [
        [cell(str(method)), *(_value(v, _MOST_SHADE * v / top) for v in values)]
        for method, values in zip(means.index, means.to_numpy().tolist(), strict=True)
    ]
    caption = "AP of each class in percent; the stronger the ground's colour, the higher."
    return Table(title, ["method", *classes], rows, caption, run.link(run.results / f"{stem}.csv"))


def differences_table(run: Run, stem: str, table: pd.DataFrame) -> Table:
    """The paired differences of a table."""
    heads = ["method", "minus", "metric", "difference", "spread", "seeds", "higher in"]
    rows = []
    for row in table.to_dict("records"):
        mean, higher = float(row["difference_mean"]), int(row["seeds_higher"])
        rows.append(
            [
                cell(str(row["method"])),
                cell(str(row["than"])),
                cell(metric_words(str(row["metric"]))),
                cell(mean, signed(mean)),
                _value(float(row["difference_std"])),
                cell(int(row["seeds"])),
                cell(higher, f"{higher} of {int(row['seeds'])}"),
            ]
        )
    path = run.results / f"{stem}_differences.csv"
    return Table("Differences in numbers", heads, rows, "", run.link(path), folded=True)


def plain_table(
    title: str,
    heads: Sequence[str],
    rows: Sequence[Sequence[object]],
    caption: str = "",
    folded: bool = False,
) -> Table:
    """A table of texts and counts."""
    cells = [[_plain(value) for value in row] for row in rows]
    return Table(title, heads, cells, caption, folded=folded)


def _plain(value: object) -> Cell:
    if isinstance(value, Cell):
        return value
    if isinstance(value, int):
        return cell(value, count(value))
    if isinstance(value, float):
        return _value(value)
    return cell(str(value))


def _count(value: float) -> Cell:
    return cell("") if pd.isna(value) else cell(int(value), count(value))


def _value(value: float, shade: float = 0.0) -> Cell:
    if pd.isna(value):
        return Cell("", -math.inf)
    return Cell(number(float(value)), float(value), shade)

"""A results table as the pages that are published: Markdown for people, JSON for `dvc metrics`."""

from pathlib import Path
from typing import Any

import pandas as pd

from trackssl.files import write_json, write_text
from trackssl.tables import metric_names, read_csv

SHOWN = ("method", "pairs", "rounds", "members", "seed")


def publish_table(path: Path, markdown: Path, metrics: Path) -> None:
    """Write both pages of a results table. Raises InputError when it cannot be read."""
    table = read_csv(path)
    write_text(markdown, to_markdown(table, path.stem))
    write_json(metrics, to_metrics(table))


def to_markdown(table: pd.DataFrame, title: str) -> str:
    """The table in Markdown: the headline metric of each row, the paper's value and its source."""
    first, headline = table.iloc[0], metric_names(table)[0]
    columns = [*SHOWN, headline, "paper", "source of the paper's"]
    lines = [
        f"# {title}",
        "",
        f"Run `{first['run']}` on {first['data']} {first['split']} ({first['items']} items). "
        f"{first['protocol']}.",
    ]
    if not table["comparable"].all():
        lines += ["", "**Not comparable with the paper's numbers**: other data, at another scale."]
    lines += ["", _row(columns), _row(["---"] * len(columns))]
    for _, row in table.iterrows():
        paper = "" if pd.isna(row["paper_value"]) else f"{row['paper_value']:g}"
        source = "" if pd.isna(row["paper_source"]) else row["paper_source"]
        lines.append(_row([*map(cell, row[list(SHOWN)]), f"{row[headline]:.2f}", paper, source]))
    return "\n".join(lines) + "\n"


def to_metrics(table: pd.DataFrame) -> dict[str, Any]:
    """Headline metric of each method, mean over seeds, rounded: keys without dots, as DVC wants."""
    headline = metric_names(table)[0]
    means = table.groupby("method", sort=False)[headline].mean()
    return {str(method): {headline: round(float(value), 4)} for method, value in means.items()}


def cell(value: Any) -> str:
    """One of `SHOWN` as text: nothing where it is unknown; pandas reads its column as floats."""
    return "" if pd.isna(value) else f"{value:.0f}" if isinstance(value, float) else str(value)


def _row(cells: list[Any]) -> str:
    return "| " + " | ".join(str(cell) for cell in cells) + " |"

"""The one place where tables are written: plain CSV, whole or not at all."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from trackssl.errors import InputError
from trackssl.files import whole_file

FIRST_COLUMNS = (
    "run", "data", "split", "method", "pairs", "rounds", "members", "seed", "items",
)  # fmt: skip
LAST_COLUMNS = ("paper_value", "paper_source", "comparable", "protocol")
TABLE_DIGITS = 6  # significant ones, of results tables


# Errors, unlike shares: of two methods the one with the lower value is better.
LOWER_IS_BETTER = frozenset({"mean", "median"})


def metric_names(table: pd.DataFrame) -> list[str]:
    """Columns of a results table that hold metrics, in its order."""
    return [name for name in table.columns if name not in (*FIRST_COLUMNS, *LAST_COLUMNS)]


def write_csv(
    path: Path, rows: Sequence[Mapping[str, Any]] | pd.DataFrame, digits: int | None = None
) -> None:
    """Write rows as CSV; floats have so many significant digits, or as many as they need."""
    table = rows if isinstance(rows, pd.DataFrame) else pd.DataFrame(list(rows))
    float_format = f"%.{digits}g" if digits else None
    with whole_file(path) as part:
        table.to_csv(part, index=False, float_format=float_format, lineterminator="\n")


def write_results(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write a results table: `FIRST_COLUMNS`, the metrics in the rows' order, `LAST_COLUMNS`."""
    table = pd.DataFrame(list(rows))
    columns = [*FIRST_COLUMNS, *metric_names(table), *LAST_COLUMNS]
    write_csv(path, table[columns], TABLE_DIGITS)


def read_csv(path: Path) -> pd.DataFrame:
    """Read a CSV table. Raises InputError when it is absent or no CSV."""
    try:
        return pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as a CSV table ({error}).") from None


def summarise(table: pd.DataFrame, metrics: Sequence[str]) -> pd.DataFrame:
    """Mean and spread (sample standard deviation) of each metric over seeds, a row a method."""
    groups = table.groupby("method", sort=False)
    columns: dict[str, Any] = {
        "method": list(groups.groups),
        "seeds": groups["seed"].nunique().values,
    }
    for metric in metrics:
        columns[f"{metric}_mean"] = groups[metric].mean().values
        columns[f"{metric}_std"] = groups[metric].std(ddof=1).values
    return pd.DataFrame(columns)


def paired_differences(
    table: pd.DataFrame, comparisons: Sequence[tuple[str, str]], metrics: Sequence[str]
) -> pd.DataFrame:
    """How far one method is above another with the same seeds, a row a comparison and metric.

    `difference_mean` and `_std` (sample standard deviation) are over the seeds that both have, and
    `seeds_higher` counts those in which the first method's value is the higher one. Comparisons of
    methods that the table lacks are left out.
    """
    rows = []
    for method, other in comparisons:
        for metric in metrics:
            by_seed = table.pivot(index="seed", columns="method", values=metric)
            if method not in by_seed or other not in by_seed:
                continue
            differences = (by_seed[method] - by_seed[other]).dropna()
            rows.append(
                {
                    "method": method,
                    "than": other,
                    "metric": metric,
                    "seeds": len(differences),
                    "difference_mean": differences.mean(),
                    "difference_std": differences.std(ddof=1),
                    "seeds_higher": int((differences > 0).sum()),
                }
            )
    columns = (
        "method", "than", "metric", "seeds", "difference_mean", "difference_std", "seeds_higher",
    )  # fmt: skip
    return pd.DataFrame(rows, columns=columns)

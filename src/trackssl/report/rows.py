"""The columns that all results tables share, and how a table is written."""

import json
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import pandas as pd
from safetensors import SafetensorError, safe_open

from trackssl.config import Section
from trackssl.errors import InputError
from trackssl.tables import TABLE_DIGITS, read_csv, summarise, write_csv, write_results


class Made(Section):
    """What a row was made from: the weights files of its networks.

    `members` counts them, as those that are not trained have no file; null: as many as files.
    """

    method: str
    seed: int
    networks: list[str]
    members: int | None = None


def run_name(run: Path) -> str:
    """The name in a run's mark, results/run.json."""
    return str(json.loads(run.read_text(encoding="utf-8"))["name"])


def first_columns(made: Made, run: str, data: str, split: str, items: int) -> dict[str, Any]:
    """The columns before the metrics; pairs and rounds are what the weights files say.

    Raises InputError for a file that is none.
    """
    metadata = [_metadata(Path(path)) for path in made.networks]
    return {
        "run": run,
        "data": data,
        "split": split,
        "method": made.method,
        "pairs": _most_pairs([known.get("pairs", "0") for known in metadata]),
        "rounds": max((int(known.get("rounds", 0)) for known in metadata), default=0),
        "members": len(made.networks) if made.members is None else made.members,
        "seed": made.seed,
        "items": items,
    }


def last_columns(
    table: str, method: str, metric: str, comparable: bool, protocol: str
) -> dict[str, Any]:
    """The columns after the metrics; the paper's value of `metric` with its source."""
    value, source = paper_value(table, method, metric)
    return {
        "paper_value": value,
        "paper_source": source,
        "comparable": str(comparable).lower(),
        "protocol": protocol,
    }


def paper_value(table: str, method: str, metric: str) -> tuple[float | None, str]:
    """The paper's number and where it stands, or (None, "") where it has none."""
    values = pd.read_csv(str(files("trackssl.report") / "paper_values.csv"))
    is_it = (values.table == table) & (values.method == method) & (values.metric == metric)
    found = values[is_it]
    return (None, "") if found.empty else (float(found.value.iloc[0]), found.source.iloc[0])


def write_table(
    rows: Sequence[Mapping[str, Any]], out: Path, summary: Path, metrics: Sequence[str]
) -> pd.DataFrame:
    """Write a results table, and means and spreads of `metrics` over seeds -> the table."""
    write_results(out, rows)
    table = read_csv(out)
    write_csv(summary, summarise(table, metrics), TABLE_DIGITS)
    return table


def _metadata(weights: Path) -> Mapping[str, str]:
    """What a weights file says of itself, read without its tensors."""
    try:
        with safe_open(weights, framework="numpy") as file:
            return file.metadata()
    except (OSError, SafetensorError) as error:
        raise InputError(f"{weights}: cannot be read as a weights file ({error}).") from None


def _most_pairs(pairs: Sequence[str]) -> Any:
    """Pairs of the largest set among the members; pandas' NA, an empty cell, if any is unknown."""
    return max(map(int, pairs), default=0) if all(pairs) else pd.NA

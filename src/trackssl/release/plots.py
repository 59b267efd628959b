"""What `dvc plots` draws, as CSV files: each table's methods, the losses, precision and recall."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from trackssl.config import Config
from trackssl.errors import InputError
from trackssl.tables import metric_names, read_csv, write_csv

_MOST_POINTS = 300  # of a curve
_RECALLS = np.arange(101) / 100
_DIGITS = 6


def write_plots(config: Config, run: Path, folder: Path) -> None:
    """Write `<table>.csv` of each table, `losses.csv` and `precision_recall.csv`.

    Raises InputError for a table that cannot be read.
    """
    for table in config.result_tables:
        write_csv(folder / f"{table}.csv", methods(read_csv(run / f"results/{table}.csv")), _DIGITS)
    write_csv(folder / "losses.csv", losses(config, run), _DIGITS)
    write_csv(folder / "precision_recall.csv", precision_recall(config, run), _DIGITS)


def methods(table: pd.DataFrame) -> pd.DataFrame:
    """The headline of each method, in the table's order: mean over the seeds, least and most.

    `about` says whose numbers these are; `paper` is empty where the run's data or scale are not the
    paper's.
    """
    metric = metric_names(table)[0]
    groups = table.groupby("method", sort=False)
    comparable = table["comparable"].astype(bool)
    paper = table["paper_value"].where(comparable)
    first = table.iloc[0]
    about = f"run {first['run']} on {first['data']} {first['split']}"
    if not comparable.all():
        about += ", not comparable with the paper's"
    return pd.DataFrame(
        {
            "method": list(groups.groups),
            "metric": metric,
            "value": groups[metric].mean().values,
            "low": groups[metric].min().values,
            "high": groups[metric].max().values,
            "paper": paper.groupby(table["method"], sort=False).first().values,
            "seeds": groups["seed"].nunique().values,
            "about": about,
        }
    )


def losses(config: Config, run: Path) -> pd.DataFrame:
    """The ranking loss of each network pre-trained or readapted, thinned to means of blocks."""
    rows = [pd.DataFrame(columns=["network", "seed", "iteration", "loss", "spread"])]
    for network, seed, path in _logs(config, run):
        try:
            lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
            log = pd.DataFrame(lines)[["iteration", "loss", "spread"]].dropna()
        except (ValueError, KeyError) as error:
            raise InputError(f"{path}: cannot be read as a log of training ({error}).") from None
        block = np.arange(len(log)) * min(_MOST_POINTS, len(log)) // max(len(log), 1)
        rows.append(log.groupby(block).mean().assign(network=network, seed=seed))
    filled = [table for table in rows if len(table)] or rows
    return pd.concat(filled)[list(rows[0].columns)]


def precision_recall(config: Config, run: Path) -> pd.DataFrame:
    """Mean over the classes of the best precision at each recall and above, in percent, of each
    method; first seed, first year.
    """
    columns = ["method", "recall", "precision"]
    rows = [pd.DataFrame(columns=columns)]
    for method in config.methods:
        folder = run / f"results/detection/methods/{method}/seed{config.seeds[0]}"
        path = folder / "precision_recall.parquet"
        if not path.is_file():
            continue
        curves = [_envelope(curve) for _, curve in pd.read_parquet(path).groupby("class")]
        mean = 100 * np.mean(curves, axis=0)
        rows.append(
            pd.DataFrame({"method": method, "recall": 100 * _RECALLS, "precision": mean})[columns]
        )
    return pd.concat(rows[1:] or rows)


def _envelope(curve: pd.DataFrame) -> np.ndarray:
    """Best precision at each of `_RECALLS` and above."""
    recall, precision = curve["recall"].to_numpy(), curve["precision"].to_numpy()
    return np.array([precision[recall >= least].max(initial=0) for least in _RECALLS])


def _logs(config: Config, run: Path) -> Iterator[tuple[str, int, Path]]:
    for network in config.networks:
        for seed in config.trained_seeds:
            path = run / f"results/pretraining/{network}/seed{seed}/log.jsonl"
            if path.is_file():
                yield network, seed, path

"""The model card and the data card of a run: what is published, how it was made, what it is worth.

Mitchell et al. 2019 and Gebru et al. 2021 name what belongs there. Every number is read from the
run's own files; what a run does not know, such as who may be seen in the videos, the card asks its
publisher to say.
"""

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
from jinja2 import Environment, PackageLoader, StrictUndefined
from safetensors import safe_open

from trackssl.config import Config
from trackssl.release.choose import Item
from trackssl.tables import read_csv
from trackssl.videos.status import summed

_TEMPLATES = Environment(
    loader=PackageLoader("trackssl.release", "templates"),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
    autoescape=False,  # Markdown, of names and numbers that the run's config and files hold
)


def model_card(config: Config, run: Path, items: Iterable[Item]) -> str:
    """Markdown on the released networks of a run, in the folder in which its results/ lies."""
    tables = [
        {"name": name, "rows": _rows(run / "results" / f"{name}_summary.csv"), "first": first}
        for name in config.result_tables
        if (first := _first(run / "results" / f"{name}.csv")) is not None
    ]
    return _TEMPLATES.get_template("model_card.md.j2").render(
        config=config, networks=_networks(run, items), tables=tables, drawn=_is_drawn(config)
    )


def data_card(config: Config, run: Path) -> str:
    """Markdown on the videos and pairs of a run."""
    shards = [f"{shard:04d}" for shard in range(config.videos.shards)]
    manifests = [run / f"resources/manifests/{shard}.parquet" for shard in shards]
    found = [path for path in manifests if path.is_file()]
    sets = run / "results/pairs/sets.parquet"
    return _TEMPLATES.get_template("data_card.md.j2").render(
        config=config,
        videos=summed(found).to_pylist() if found else [],
        windows=_counts(run / "results/patches", shards),
        tracks=_counts(run / "results/pairs", shards),
        pairs=pq.read_metadata(sets).num_rows if sets.is_file() else 0,
        drawn=_is_drawn(config),
    )


def _is_drawn(config: Config) -> bool:
    return config.videos.source == "miniworld"


def _first(path: Path) -> dict[Any, Any] | None:
    """A table's first row, which tells its data, split and protocol."""
    return dict(read_csv(path).iloc[0].items()) if path.is_file() else None


def _rows(path: Path) -> list[dict[str, str]]:
    """Means and spreads of the headline metric: columns method, seeds, value."""
    if not path.is_file():
        return []
    table = read_csv(path)
    mean = next(name for name in table.columns if name.endswith("_mean"))
    metric = mean.removesuffix("_mean")
    return [
        {
            "method": row["method"],
            "seeds": str(row["seeds"]),
            "metric": metric,
            "value": f"{row[mean]:.1f}" + _spread(row[f"{metric}_std"]),
        }
        for _, row in table.iterrows()
    ]


def _spread(value: float) -> str:
    return "" if pd.isna(value) else f" +- {value:.1f}"


def _networks(run: Path, items: Iterable[Item]) -> list[dict[str, Any]]:
    """What the files of weights say of themselves."""
    found = []
    for item in items:
        if item.name.endswith("weights.safetensors"):
            with safe_open(run / item.source, "pt") as file:
                found.append({"path": item.name, **(file.metadata() or {})})
    return found


def _counts(folder: Path, shards: list[str]) -> dict[str, int]:
    """The shards' counts of what was found and rejected, added up."""
    total: Counter[str] = Counter()
    for shard in shards:
        path = folder / f"{shard}.json"
        if path.is_file():
            told = json.loads(path.read_text(encoding="utf-8"))
            total.update({name: n for name, n in told.items() if isinstance(n, int)})
    return dict(total)

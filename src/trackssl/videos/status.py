"""Manifests summed up: how many videos, why others failed, how many hours and bytes."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from rich.table import Table

from trackssl.errors import InputError
from trackssl.videos.manifest import SCHEMA

_COLUMNS = ("status", "reason", "bytes", "seconds", "start", "end")


def summed(manifests: Sequence[Path]) -> pa.Table:
    """A row a status and reason, ok first, then the most frequent: `videos`, `hours`, `bytes`.

    Hours are those of the wanted parts. Raises InputError when a file is no manifest.
    """
    schema = pa.schema([SCHEMA.field(name) for name in _COLUMNS])
    for path in manifests:
        if not path.is_file():
            raise InputError(f"{path}: there is no such manifest; check the path.")
    try:
        given = ds.dataset([str(path) for path in manifests], schema=schema, format="parquet")
        table = given.to_table()
    except (OSError, pa.ArrowException) as error:
        reason = str(error).partition("\n")[0].rstrip(".")
        raise InputError(
            f"this is not a manifest of videos ({reason}); give files that "
            "`trackssl fetch-videos` wrote."
        ) from None
    whole = table["seconds"]
    end = pc.min_element_wise(table["end"], whole)  # without an end, the whole's
    part = pc.subtract(end, pc.fill_null(table["start"], 0.0))
    part = pc.if_else(pc.is_null(whole), None, pc.max_element_wise(part, 0.0, skip_nulls=False))
    sums = (
        table.select(["status", "reason", "bytes"])
        .append_column("seconds", part)
        .group_by(["status", "reason"])
        .aggregate([([], "count_all"), ("seconds", "sum"), ("bytes", "sum")])
    )
    hours = pc.divide(pc.fill_null(sums["seconds_sum"], 0.0), 3600.0)
    return pa.table(
        {
            "status": sums["status"],
            "reason": sums["reason"],
            "videos": sums["count_all"],
            "hours": hours,
            "bytes": pc.fill_null(sums["bytes_sum"], 0),
        }
    ).sort_by([("status", "descending"), ("videos", "descending"), ("reason", "ascending")])


def drawn(sums: pa.Table) -> Table:
    """The sums as a table for the terminal, with a line for all."""
    table = Table()
    for name in ("status", "reason"):
        table.add_column(name)
    for name in ("videos", "hours", "bytes"):
        table.add_column(name, justify="right", no_wrap=True)
    rows = sums.to_pylist()
    for row in rows:
        table.add_row(row["status"], row["reason"], *_numbers(row))
    table.add_section()
    totals = {name: sum(row[name] for row in rows) for name in ("videos", "hours", "bytes")}
    table.add_row("all", "", *_numbers(totals))
    return table


def _numbers(row: dict[str, float]) -> tuple[str, str, str]:
    return f"{row['videos']:,}", f"{row['hours']:,.1f}", f"{row['bytes']:,}"

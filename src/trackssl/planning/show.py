"""A plan as a table for the terminal, and as CSV."""

from itertools import groupby
from pathlib import Path
from typing import Any

import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.table import Table

from trackssl.planning.figures import Subject
from trackssl.planning.plan import TEMPORARY, Plan, Row
from trackssl.planning.units import hours, size
from trackssl.tables import write_csv

_DIGITS = 6  # of the CSV's hours
_SHOWN_BYTES = 1e6  # less is no matter


def render_footage(plan: Plan) -> str:
    """The videos that the plan is made for, as a sentence."""
    found = plan.found
    return (
        f"{found.listed:,} videos, {found.videos:,.0f} of them to be had: {hours(found.hours)} "
        f"hours, {size(found.bytes)}, about {found.pairs:,.0f} pairs ({found.said_by})."
    )


def render(plan: Plan) -> Table:
    """A row a rule, in stages below their sums; `~` marks what an assumed figure is in."""
    drawn = Table(
        title=f"Plan of the run {plan.run.name}: {plan.jobs:,} jobs",
        box=SIMPLE_HEAD,
        caption=(
            "~: with an assumed figure in it (--figures lists them). Temporary: deleted when "
            "read, here as if all lay there at once; and the work files of the largest job."
        ),
    )
    drawn.add_column("stage: rule", overflow="ellipsis", no_wrap=True)
    for name in ("jobs", "core hours", "GPU hours", "disk, kept", "disk, temp."):
        drawn.add_column(name, justify="right")
    for stage, group in groupby(plan.rows, key=lambda row: row.stage):
        rows = list(group)
        if len(rows) > 1:
            drawn.add_row(*_cells(plan, joined(stage, stage, rows)), style="bold")
            for row in rows:
                drawn.add_row(*_cells(plan, row, "  "))
        else:
            drawn.add_row(*_cells(plan, rows[0]), style="bold")
        drawn.add_section()
    drawn.add_row(*_cells(plan, joined("total", "total", plan.rows)), style="bold")
    mark = "~" if plan.figures.assumed(plan.figures.used, "disk") else ""
    for name, peak in [
        ("job by job", plan.peak_one_by_one),
        ("all at once", plan.peak_at_most),
    ]:
        drawn.add_row(f"peak, {name}", "", "", "", mark + size(peak), "")
    return drawn


def joined(stage: str, rule: str, rows: list[Row]) -> Row:
    """The sum of rows; of work files the largest job's."""
    work = max((r.bytes_temporary for r in rows if r.rule not in TEMPORARY), default=0.0)
    outputs = sum(r.bytes_temporary for r in rows if r.rule in TEMPORARY)
    return Row(
        stage,
        rule,
        sum(row.jobs for row in rows),
        sum(row.core_hours for row in rows),
        sum(row.gpu_hours for row in rows),
        sum(row.bytes_kept for row in rows),
        outputs + work,
        set().union(*(row.figures for row in rows)),
    )


def _cells(plan: Plan, row: Row, indent: str = "") -> list[str]:
    def marked(text: str, of: Subject) -> str:
        return f"~{text}" if text and plan.figures.assumed(row.figures, of) else text

    return [
        indent + row.rule,
        f"{row.jobs:,}",
        marked(hours(row.core_hours), "core"),
        marked(hours(row.gpu_hours), "gpu"),
        marked(size(row.bytes_kept) if row.bytes_kept >= _SHOWN_BYTES else "", "disk"),
        marked(size(row.bytes_temporary) if row.bytes_temporary >= _SHOWN_BYTES else "", "disk"),
    ]


def render_figures(plan: Plan) -> Table:
    """The figures that the plan was made from, and where each is from."""
    drawn = Table(title="Figures", show_lines=False)
    for name in ("figure", "value", "unit", "basis", "source"):
        drawn.add_column(name, justify="right" if name == "value" else "left")
    for key in plan.figures.by_key:
        if key in plan.figures.used:
            figure = plan.figures.by_key[key]
            source = f"{figure.date}: {figure.source}" if figure.date else figure.source
            drawn.add_row(key, f"{figure.value:g}", figure.unit, figure.basis, source)
    return drawn


def write_plan(plan: Plan, out: Path) -> None:
    """A CSV row a rule, and a last one of the sums, which also has the run's videos and peaks.

    `figures` are the keys of the figures in a row, `assumed` those of them that are assumed.
    """
    rows = [_entries(plan, row) for row in (*plan.rows, joined("total", "", plan.rows))]
    rows[-1] |= {
        "videos_listed": plan.found.listed,
        "videos": round(plan.found.videos),
        "hours_of_video": plan.found.hours,
        "pairs": round(plan.found.pairs),
        "bytes_peak_one_by_one": round(plan.peak_one_by_one),
        "bytes_peak_at_most": round(plan.peak_at_most),
    }
    table = pd.DataFrame(rows)
    whole = {name: "Int64" for name in rows[-1] if name.startswith(("videos", "pairs", "bytes"))}
    write_csv(out, table.astype(whole), _DIGITS)


def _entries(plan: Plan, row: Row) -> dict[str, Any]:
    by_key = plan.figures.by_key
    return {
        "stage": row.stage,
        "rule": row.rule,
        "jobs": row.jobs,
        "core_hours": row.core_hours,
        "gpu_hours": row.gpu_hours,
        "bytes_kept": round(row.bytes_kept),
        "bytes_temporary": round(row.bytes_temporary),
        "assumed": " ".join(sorted(k for k in row.figures if by_key[k].basis == "assumed")),
        "figures": " ".join(sorted(row.figures)),
    }

"""Rows of dots: a method's value with its seeds and their spread, and the paper's beside it."""

import statistics
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from trackssl.report.page.blocks import Chart
from trackssl.report.page.run import Run, headline, per_method
from trackssl.report.page.svg import ACCENT, INK, PAPER, QUIET, bare, draw
from trackssl.report.page.words import certain, metric_words, number, plural, signed

ROW_PX = 29


@dataclass(frozen=True)
class Row:
    """A method: its value for each seed, and the paper's with its source."""

    method: str
    values: Sequence[float]
    paper: float | None = None
    source: str = ""

    @property
    def mean(self) -> float:
        """Over the seeds."""
        return statistics.fmean(self.values)

    @property
    def spread(self) -> float | None:
        """Sample standard deviation over the seeds; None of one seed."""
        return statistics.stdev(self.values) if len(self.values) > 1 else None


def rows_of(table: pd.DataFrame) -> list[Row]:
    """The rows of a results table by its headline metric, means and the paper's values."""
    found = []
    for method, values in per_method(table, headline(table)):
        first = table[table["method"] == method].iloc[0]
        known = not pd.isna(first["paper_value"])
        paper = float(first["paper_value"]) if known else None
        source = str(first["paper_source"]) if known else ""
        if values:
            found.append(Row(method, values, paper, source))
    return found


def methods_chart(run: Run, name: str, table: pd.DataFrame, title: str) -> Chart:
    """A results table as dots: this run's means and seeds, the paper's values as diamonds."""
    rows = rows_of(table)
    words = metric_words(headline(table))
    papers = sorted({certain(row.source) for row in rows if row.paper is not None})

    def plot(figure: Figure, narrow: bool) -> None:
        axes = figure.subplots()
        axes.set_xlim(low, high)
        for place, row in enumerate(rows):
            _row(axes, place, row, (high - low) * (0.2 if narrow else 0.07))
        _frame(axes, [row.method for row in rows], narrow)
        axes.set_xlabel(_wrapped(words, narrow))
        _legend(figure, rows, papers, narrow)

    low, high = _limits(rows)
    heights = len(rows) * ROW_PX + 80.0, len(rows) * ROW_PX + 120.0
    told = "; ".join(_told(row) for row in rows)
    return draw(
        name,
        plot,
        heights,
        run.label,
        alt=f"Dots, a row a method, {words}. {told}.",
        title=title,
        caption=_caption(run, rows) + (" The axis does not begin at 0." if low else ""),
    )


def differences_chart(run: Run, name: str, table: pd.DataFrame, title: str) -> Chart:
    """What each step brings: differences with the same seeds, mean and spread, around zero."""
    rows = table.to_dict("records")
    names = [f"{row['method']} − {row['than']}" for row in rows]
    words = metric_words(str(table["metric"].iloc[0]))

    def plot(figure: Figure, narrow: bool) -> None:
        axes = figure.subplots()
        axes.axvline(0, color=QUIET, linewidth=1)
        reach = 0.0
        for place, row in enumerate(rows):
            mean, spread = float(row["difference_mean"]), float(row["difference_std"])
            spread = 0.0 if pd.isna(spread) else spread
            axes.plot([0, mean], [place, place], color=ACCENT, linewidth=1, alpha=0.5)
            axes.plot([mean - spread, mean + spread], [place, place], color=ACCENT, linewidth=2.2)
            axes.plot([mean], [place], "o", color=ACCENT, markersize=8)
            _value(axes, mean + (spread if mean >= 0 else -spread), place, signed(mean), mean < 0)
            reach = max(reach, abs(mean) + spread)
        shown = [name.replace(" −", "\n−") for name in names] if narrow else names
        _frame(axes, shown, narrow)
        axes.set_xlim(*(1.3 * reach * side + 0.01 * side for side in (-1, 1)))
        axes.set_xlabel(_wrapped(f"difference in {words}", narrow))

    step = ROW_PX, ROW_PX + 9
    many = any(int(row["seeds"]) > 1 for row in rows)
    told = "; ".join(
        f"{text}: {signed(float(row['difference_mean']))}"
        for text, row in zip(names, rows, strict=True)
    )
    return draw(
        name,
        plot,
        (len(rows) * step[0] + 50.0, len(rows) * step[1] + 50.0),
        run.label,
        alt=f"Dots around zero, a row a comparison, difference in {words}. {told}.",
        title=title,
        caption="Means over the same seeds; bars are one standard deviation."
        if many
        else "One seed: how far a difference would change with another one is not known.",
    )


def _row(axes: Axes, place: int, row: Row, room: float) -> None:
    """One row; its number stands left where the paper's mark is within `room` to the right."""
    if row.spread is not None:
        ends = [row.mean - row.spread, row.mean + row.spread]
        axes.plot(ends, [place, place], color=ACCENT, linewidth=2.2, alpha=0.55)
        axes.plot(row.values, [place] * len(row.values), "o", color=ACCENT, ms=3.5, alpha=0.7)
    axes.plot([row.mean], [place], "o", color=ACCENT, markersize=9, zorder=4)
    taken = row.paper is not None and 0 <= row.paper - row.mean < room
    around = (row.mean, *row.values)
    _value(axes, min(around) if taken else max(around), place, number(row.mean), taken)
    if row.paper is not None:
        face = INK if certain(row.source) else PAPER
        axes.plot([row.paper], [place], "D", color=INK, markerfacecolor=face, ms=7, mew=1.4)


def _value(axes: Axes, x: float, y: float, text: str, left: bool = False) -> None:
    offset, side = ((-8, 0), "right") if left else ((8, 0), "left")
    axes.annotate(text, (x, y), offset, textcoords="offset points", va="center", ha=side, size=12)


def _limits(rows: Sequence[Row]) -> tuple[float, float]:
    """Of the axis: from 0, or from near the lowest value where all lie close together."""
    marks = [value for row in rows for value in (*row.values, row.paper) if value is not None]
    low, high = min(marks), max(marks)
    start = 0.0 if low < 0.6 * high else low - 0.25 * (high - low)
    return start, high + 0.12 * (high - start) + 0.01


def _wrapped(words: str, narrow: bool) -> str:
    return textwrap.fill(words, 32) if narrow else words


def _frame(axes: Axes, names: Sequence[str], narrow: bool) -> None:
    axes.set_yticks(range(len(names)), list(names), size=11 if narrow else 12.5, color=INK)
    axes.set_ylim(len(names) - 0.4, -0.6)
    bare(axes)


def _legend(figure: Figure, rows: Sequence[Row], papers: Sequence[bool], narrow: bool) -> None:
    several = any(len(row.values) > 1 for row in rows)
    ours = "this run, mean and spread of the seeds" if several else "this run"
    marks = [Line2D([], [], marker="o", ls="", color=ACCENT, ms=8, label=ours)]
    for known in reversed(papers):
        face, words = (INK, "the paper, stated") if known else (PAPER, "the paper, unconfirmed")
        mark = Line2D([], [], marker="D", ls="", color=INK, mfc=face, ms=7, mew=1.4, label=words)
        marks.append(mark)
    figure.legend(handles=marks, loc="outside upper left", ncols=1 if narrow else 3)


def _told(row: Row) -> str:
    text = f"{row.method}: {number(row.mean)}"
    if row.spread is not None:
        text += f", spread {number(row.spread)} over {plural(len(row.values), 'seed')}"
    if row.paper is not None:
        text += f", paper {row.paper:g}{'' if certain(row.source) else ' (unconfirmed)'}"
    return text


def _caption(run: Run, rows: Sequence[Row]) -> str:
    parts = []
    if all(row.spread is None for row in rows):
        parts.append("One seed: how much another one would change is not known.")
    if any(row.paper is not None for row in rows):
        far = "" if run.comparable else " They are of other data at another scale than this run's."
        parts.append(
            "Diamonds are the paper's values: filled where a source that was read states them, "
            f"hollow where they are recalled and unconfirmed.{far}"
        )
    return " ".join(parts)

"""The section on detection: each class, curves of precision and recall, and drawn detections."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from trackssl.report.page.blocks import Chart, Section
from trackssl.report.page.finds import find_blocks
from trackssl.report.page.grids import classes_table
from trackssl.report.page.run import Run, headline, per_method
from trackssl.report.page.svg import bare, draw, style

_MOST_CURVES = 4
_POINTS = 60  # of a curve


def detection_section(run: Run) -> Section:
    """What detection got right and wrong, of each year that the run has."""
    title = "Detection: PASCAL VOC"
    blocks: list[object] = []
    for stem in [name for name in run.tables if name.startswith("voc_map")]:
        year = stem.removeprefix("voc_map")
        words = f"AP of each class{year.replace('_', ', ')}"
        blocks.append(classes_table(run, stem, words))
        shown = chosen_methods(run.tables[stem])
        if chart := _curves(run, stem, year, shown):
            blocks.append(chart)
        best = best_method(run.tables[stem])
        blocks += find_blocks(run, year, best, method_folder(run, year, best))
    if not blocks:
        return Section(
            "detection", "Detection", title, absent="Detection was not part of this run."
        )
    return Section("detection", "Detection", title, [block for block in blocks if block])


def best_method(table: pd.DataFrame) -> str:
    """The row of one network, or of several, with the highest mean."""
    means = {method: float(np.mean(values)) for method, values in _means(table)}
    return max(means, key=lambda method: means[method])


def chosen_methods(table: pd.DataFrame) -> list[str]:
    """A few rows to be set beside each other: the start, what it learnt, labels, and the best."""
    known = [method for method, _ in _means(table)]
    best = best_method(table)
    wanted = ["scratch", "unsup_8m", "unsup_ensemble_3", "imagenet"]
    shown = [best] + [name for name in wanted if name in known and name != best]
    shown += [name for name in known if name not in shown]
    return sorted(shown[:_MOST_CURVES], key=known.index)


def _means(table: pd.DataFrame) -> list[tuple[str, Sequence[float]]]:
    return [(m, values) for m, values in per_method(table, headline(table)) if values]


def method_folder(run: Run, year: str, method: str) -> Path | None:
    """The folder of a method's first seed."""
    found = sorted(run.results.glob(f"detection{year}/methods/{method}/seed*"))
    return min(found, key=lambda path: int(path.name.removeprefix("seed"))) if found else None


def _curves(run: Run, stem: str, year: str, methods: Sequence[str]) -> Chart | None:
    curves = {}
    for method in methods:
        folder = method_folder(run, year, method)
        path = folder / "precision_recall.parquet" if folder else None
        if path and path.is_file():
            curves[method] = pd.read_parquet(path, columns=["class", "recall", "precision"])
    if not curves:
        return None
    classes = sorted({name for curve in curves.values() for name in curve["class"].unique()})

    def plot(figure: Figure, narrow: bool) -> None:
        columns = 2 if narrow else 5
        rows = -(-len(classes) // columns)
        grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
        for axes, name in zip(grid, classes, strict=False):
            for place, curve in enumerate(curves.values()):
                one = curve[curve["class"] == name]
                axes.plot(*_envelope(one), **style(place))  # type: ignore[arg-type]
            axes.set_title(name, size=12)
            axes.set(xlim=(0, 1), ylim=(0, 1), xticks=[0, 0.5, 1], yticks=[0, 0.5, 1])
            axes.set_xticklabels(["0", ".5", "1"])
            axes.set_yticklabels(["0", ".5", "1"])
            if axes.get_subplotspec().is_last_row():
                axes.set_xlabel("recall", size=11)
            if axes.get_subplotspec().is_first_col():
                axes.set_ylabel("precision", size=11)
            bare(axes, "leftbottom")
        for axes in grid[len(classes) :]:
            axes.set_visible(False)
        marks = [
            Line2D([], [], label=method, **style(place))  # type: ignore[arg-type]
            for place, method in enumerate(curves)
        ]
        figure.legend(handles=marks, loc="outside upper left", ncols=1 if narrow else 4)

    wide, narrow = (-(-len(classes) // columns) for columns in (5, 2))
    return draw(
        f"{stem}-curves",
        plot,
        (175.0 * wide + 60, 150.0 * narrow + 60 + 20 * len(curves)),
        run.label,
        alt=f"Curves of precision over recall, a panel each for {', '.join(classes)}; lines of "
        f"{', '.join(curves)}. The areas below stand in the table above.",
        title="Precision and recall of each class",
        caption="First seed; the envelope that AP is the area of. Where a line ends, more "
        "detections find no more objects.",
    )


def _envelope(curve: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Best precision at each of some recalls and above, up to the highest recall."""
    recall, precision = curve["recall"].to_numpy(), curve["precision"].to_numpy()
    if not len(recall):
        return np.zeros(0), np.zeros(0)
    best = np.maximum.accumulate(precision[::-1])[::-1]
    points = np.linspace(0, recall[-1], _POINTS)
    return points, best[np.searchsorted(recall, points).clip(max=len(best) - 1)]

"""The section on pre-training: its logs as lines, its filters and its units as pictures."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from trackssl.report.page.blocks import Chart, Section, Text
from trackssl.report.page.grids import plain_table
from trackssl.report.page.run import Run
from trackssl.report.page.svg import QUIET, bare, draw, style, thinned
from trackssl.report.page.units import filter_pictures, unit_blocks
from trackssl.report.page.words import number

PANELS = {
    "loss": "loss",
    "violated_share": "triplets that violate the margin, %",
    "spread": "spread of the features",
    "images_per_second": "images a second",
}
_MOST_LINES = 6


@dataclass(frozen=True)
class Log:
    """A training's log: the steps' values by name, and what it warned of."""

    name: str
    steps: dict[str, list[float]]
    hard_from: float | None
    warnings: Sequence[str]


def read_log(path: Path, name: str) -> Log:
    """Read `log.jsonl`; a line that is cut short is passed over."""
    steps: dict[str, list[float]] = {key: [] for key in ("iteration", *PANELS)}
    warnings, hard_from = [], None
    with path.open(encoding="utf-8") as file:
        for line in file:
            try:
                values = json.loads(line)
            except ValueError:
                continue
            if "warning" in values:
                warnings.append(str(values["warning"]))
            elif steps.keys() <= values.keys():
                for key, known in steps.items():
                    known.append(float(values[key]))
                if values.get("hard_negatives") and hard_from is None:
                    hard_from = steps["iteration"][-1]
    return Log(name, steps, hard_from, warnings)


def logs_of(run: Run) -> Iterator[Log]:
    """The logs of the run's ranking networks, the first seed of each."""
    for network, seeds in run.networks.items():
        path = run.weights(network, seeds[0]).with_name("log.jsonl")
        if path.is_file():
            log = read_log(path, network)
            if log.steps["iteration"]:
                yield log


def learning_section(run: Run) -> Section:
    """Curves of the logs, a table of how they ended, filters and units of the main network."""
    title = "Pre-training: ranking tracked pairs"
    logs = list(logs_of(run))
    blocks: list[object] = []
    if logs:
        if len(logs) > _MOST_LINES:
            blocks.append(Text(f"Lines of the first {_MOST_LINES} networks of {len(logs)}."))
        blocks += [_curves(run, logs[:_MOST_LINES]), _ends(run, logs)]
        for log in logs:
            blocks += [Text(f"{log.name}: {warning}") for warning in log.warnings]
    blocks += filter_pictures(run)
    blocks += unit_blocks(run)
    if not blocks:
        return Section(
            "pretraining",
            "Pre-training",
            title,
            absent="No network was trained on pairs in this run.",
        )
    return Section("pretraining", "Pre-training", title, blocks)


def _curves(run: Run, logs: Sequence[Log]) -> Chart:
    def plot(figure: Figure, narrow: bool) -> None:
        rows, columns = (4, 1) if narrow else (2, 2)
        for axes, (key, words) in zip(
            np.ravel(figure.subplots(rows, columns)), PANELS.items(), strict=True
        ):
            _panel(axes, key, words, logs)
        marks = [
            Line2D([], [], label=log.name, **style(place))  # type: ignore[arg-type]
            for place, log in enumerate(logs)
        ]
        figure.legend(handles=marks, loc="outside upper left", ncols=1 if narrow else 3)

    told = "; ".join(
        f"{log.name}: loss {log.steps['loss'][0]:.2f} at first, {_last(log, 'loss'):.2f} at last"
        for log in logs
    )
    rows = -(-len(logs) // 3)
    return draw(
        "curves",
        plot,
        (430 + 20.0 * rows, 700 + 20.0 * len(logs)),
        run.label,
        alt="Lines over the iterations, a panel each for loss, violated triplets, spread of the "
        f"features and images a second. {told}.",
        title="How the ranking was learnt",
        caption="First seed of each network. Where the hardest negatives begin (a thin line), the "
        "loss rises because the task gets harder.",
    )


def _panel(axes: Axes, key: str, words: str, logs: Sequence[Log]) -> None:
    for place, log in enumerate(logs):
        times = 100 if key == "violated_share" else 1
        y = [times * value for value in thinned(log.steps[key])]
        axes.plot(thinned(log.steps["iteration"]), y, **style(place))  # type: ignore[arg-type]
        if log.hard_from is not None and key == "loss":
            axes.axvline(log.hard_from, color=QUIET, linewidth=0.7, alpha=0.7)
    axes.set_title(words)
    axes.set_ylim(bottom=0)
    axes.locator_params(nbins=5)
    axes.set_xlabel("iteration", size=10)
    bare(axes, "bottom")


def _last(log: Log, key: str) -> float:
    """The mean of the last tenth of the steps: single batches jump."""
    values = log.steps[key]
    return float(np.mean(values[-max(1, len(values) // 10) :]))


def _ends(run: Run, logs: Sequence[Log]) -> object:
    heads = ["network", "iterations", *PANELS.values()]
    from trackssl.report.page.blocks import cell

    rows = [
        [
            log.name,
            int(log.steps["iteration"][-1]),
            *(
                cell(value, number(value, digits))
                for value, digits in (
                    (_last(log, "loss"), 3),
                    (100 * _last(log, "violated_share"), 0),
                    (_last(log, "spread"), 2),
                    (float(np.median(log.steps["images_per_second"])), 0),
                )
            ),
        ]
        for log in logs
    ]
    caption = "Means of the last tenth of the steps; of the speed the median of all."
    return plain_table("How the trainings ended", heads, rows, caption)

"""The top of the page: the question, the headline chart, and what was run."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from trackssl.pairs.store import PairShard
from trackssl.report.page.blocks import Cell, Facts, Figures, Section, Text
from trackssl.report.page.dots import Row, differences_chart, methods_chart, rows_of
from trackssl.report.page.grids import differences_table, plain_table, results_table
from trackssl.report.page.run import TABLES, Run, headline
from trackssl.report.page.words import count, duration, metric_words, number, plural
from trackssl.tables import LOWER_IS_BETTER, read_csv

_MOST_RECORDS = 5_000  # of provenance, that are read for commits, machines and times
_FROM_LABELS = ("imagenet", "imagenet_torchvision")
_FROM_NOTHING = ("scratch", "from random weights")


def headline_section(run: Run) -> Section:
    """Detection, or else the first table: its figures, the chart and what each step brings."""
    if not run.tables:
        return unlabelled_section(run)
    title = "How close does tracking come to labels?"
    stem, table = next(iter(run.tables.items()))
    rows = rows_of(table)
    blocks: list[object] = [Figures(list(figures(run, stem, rows)))]
    blocks.append(Text(" ".join(caveats(run, rows))))
    words = TABLES.get(stem, TABLES["voc_map"])
    blocks.append(methods_chart(run, "headline", table, f"{words}: methods side by side"))
    blocks.append(results_table(run, stem, "In numbers, beside the paper's"))
    blocks += differences(run, stem)
    return Section("headline", "Headline", title, blocks)


def unlabelled_section(run: Run) -> Section:
    """Of a run without tables: what it saw, in numbers."""
    pairs = sum(len(PairShard(path)) for path in run.shards)
    rows = [(count(pairs), "pairs of patches that tracking found in the videos")]
    if network := run.main_network:
        seeds = plural(len(run.networks[network]), "seed")
        rows.append((network, f"the network that learnt from them, {seeds}"))
    text = Text(
        "There is no table: the run's config names none, or it has no labelled data. What was "
        "learnt is shown by the network's filters, its units, and what it holds to be alike."
    )
    return Section("headline", "Headline", "Learnt without labels", [Figures(rows), text])


def differences(run: Run, stem: str) -> list[object]:
    """The chart of a table's differences, if the run wrote any."""
    path = run.results / f"{stem}_differences.csv"
    found = read_csv(path) if path.is_file() else pd.DataFrame()
    if found.empty:
        return []
    chart = differences_chart(run, f"{stem}-steps", found, "What each step brings")
    return [chart, differences_table(run, stem, found)]


def figures(run: Run, stem: str, rows: list[Row]) -> Iterator[tuple[str, str]]:
    """The best row that learnt from tracking, the one from labels, and the one from neither."""
    metric = headline(run.tables[stem])
    pick = min if metric in LOWER_IS_BETTER else max
    by_name = {row.method: row for row in rows}
    words = metric_words(metric)
    learnt = [row for row in rows if row.method.startswith("unsup")]
    if learnt:
        best = pick(learnt, key=lambda row: row.mean)
        yield _said(best), f"{words}: the best row that learnt from tracking, {best.method}"
    for names, meaning in (
        (_FROM_LABELS, "pre-trained with labels"),
        (_FROM_NOTHING, "from random weights"),
    ):
        if row := next((by_name[name] for name in names if name in by_name), None):
            yield _said(row), f"{words}: {meaning}, {row.method}"
    yield plural(max(len(row.values) for row in rows), "seed"), "behind each row"


def caveats(run: Run, rows: list[Row]) -> Iterator[str]:
    """What cannot be concluded from these rows."""
    if not run.comparable:
        yield (
            "These are not the paper's numbers made again: the data are others and the scale is "
            "far smaller, so only the order of this run's own rows can be read."
        )
    if not any(row.method in _FROM_LABELS for row in rows):
        yield "No row was pre-trained with ImageNet's labels" + (
            ": photographs say little about a drawn world." if run.drawn else "."
        )
    if all(row.spread is None for row in rows):
        yield "It is one seed: differences of a few points may be chance."


def _said(row: Row) -> str:
    spread = "" if row.spread is None else f" ± {number(row.spread)}"
    return f"{number(row.mean)}{spread}"


@dataclass(frozen=True)
class History:
    """What the records say: when it began and ended, by which code, on which machines."""

    start: str
    end: str
    commits: tuple[str, ...]
    machines: tuple[str, ...]
    versions: tuple[str, ...]


def history(folder: Path) -> History | None:
    """What provenance/ says; None without records. Damaged records are passed over."""
    known: dict[str, set[str]] = {
        name: set() for name in ("start", "end", "commit", "machine", "version")
    }
    own = folder / "results/report"  # an earlier page is no part of the run
    paths = [path for path in sorted(folder.rglob("*.json")) if own not in path.parents]
    for path in paths[:_MOST_RECORDS]:
        try:
            record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            for name, values in known.items():
                values.add(str(record[name]))
        except (OSError, ValueError, KeyError, TypeError):
            continue
    if not known["end"]:
        return None
    commits, machines, versions = (
        tuple(sorted(known[name] - {""})) for name in ("commit", "machine", "version")
    )
    return History(min(known["start"]), max(known["end"]), commits, machines, versions)


def run_section(run: Run) -> Section:
    """What was run: config, scale, commit, time, machine."""
    facts = [("Run", run.name), *_data_facts(run), *_made_facts(run)]
    blocks: list[object] = [Facts(facts)]
    if rows := job_times(run.folder / "benchmarks"):
        total = sum(float(row[2]) for row in rows)
        shown = [[name, jobs, _time(seconds)] for name, jobs, seconds in rows]
        heads = ["step", "jobs", "time of its jobs"]
        caption = f"Together {duration(total)}; jobs run side by side, so the run took less."
        blocks.append(plain_table("Where the time went", heads, shown, caption, folded=True))
    return Section("run", "Run", "What was run", blocks)


def _time(seconds: float) -> Cell:
    return Cell(duration(seconds), seconds)


def _data_facts(run: Run) -> Iterator[tuple[str, str]]:
    if config := run.config:
        if run.drawn:
            yield "Scale", "a miniature on a drawn world: a small network, few videos, minutes"
        videos = "all" if config.videos.count is None else count(config.videos.count)
        yield "Videos wanted", f"{videos} from the source {config.videos.source}"
        sets = ", ".join(f"{n}: {count(s.size)}" for n, s in config.pretraining.sets.items())
        yield f"Training sets, {config.pretraining.set_unit}", sets
        net = config.network
        yield "Network", f"{net.backbone}, width {net.width:g}, input {net.input_px} px"
        yield "Seeds", ", ".join(map(str, config.seeds))


def _made_facts(run: Run) -> Iterator[tuple[str, str]]:
    told = history(run.folder / "provenance")
    if told is None:
        yield "Commit, time, machine", "not recorded: there is no provenance/ beside the results"
        return
    yield (
        "Commit",
        ", ".join(commit[:12] + commit[40:] for commit in told.commits)
        or "unknown: the code lay in no checkout",
    )
    yield "trackssl", ", ".join(told.versions)
    start, end = datetime.fromisoformat(told.start), datetime.fromisoformat(told.end)
    wall = duration((end - start).total_seconds())
    yield "Time", f"{start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC, {wall}"
    machines = told.machines
    more = f" and {len(machines) - 3} more" if len(machines) > 3 else ""
    yield plural(len(machines), "Machine").split(" ", 1)[1], "; ".join(machines[:3]) + more


def job_times(folder: Path) -> list[tuple[str, int, float]]:
    """(rule, jobs, seconds together) of Snakemake's benchmark files, the longest first."""
    sums: dict[str, list[float]] = {}
    for path in folder.rglob("*.tsv"):
        rule = path.relative_to(folder).parts[0].removesuffix(".tsv")
        try:
            seconds = [float(value) for value in pd.read_csv(path, sep="\t")["s"]]
        except (OSError, ValueError, KeyError):
            continue
        sums.setdefault(rule, []).extend(seconds)
    rows = [(rule, len(times), sum(times)) for rule, times in sums.items()]
    return sorted(rows, key=lambda row: -row[2])


def config_text(run: Run) -> str:
    """The settings that differ from the paper's, as YAML; "" without a config."""
    if run.config is None:
        return ""
    values = run.config.model_dump(mode="json", exclude_defaults=True, exclude_unset=False)
    return yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=90)

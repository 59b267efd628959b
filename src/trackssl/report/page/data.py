"""Sections on what was gathered: videos by status, and the way from frames to pairs."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from matplotlib.figure import Figure

from trackssl.report.page.blocks import Chart, Facts, Section, Table, Text
from trackssl.report.page.grids import plain_table
from trackssl.report.page.pairs import pair_blocks
from trackssl.report.page.run import Run
from trackssl.report.page.svg import ACCENT, INK, QUIET, bare, draw
from trackssl.report.page.words import count, number, plural
from trackssl.videos.status import summed

ROW_PX = 30


class Step(NamedTuple):
    """A step of the funnel: what was lost at it and what was left."""

    name: str
    lost: int
    left: int


def videos_section(run: Run) -> Section:
    """Manifests summed up by status and reason."""
    manifests = sorted(run.folder.glob("resources/manifests/*.parquet"))
    if not manifests:
        return Section(
            "videos", "Videos", "Videos", absent="There are no manifests of videos in this run."
        )
    sums = summed(manifests).to_pylist()
    videos, hours = (sum(row[name] for row in sums) for name in ("videos", "hours"))
    usable = sum(row["videos"] for row in sums if row["status"] == "ok")
    gigabytes = sum(row["bytes"] for row in sums) / 1e9
    facts = Facts(
        [
            ("Wanted", plural(videos, "video")),
            ("To be had", f"{count(usable)} ({number(100 * usable / max(videos, 1))} %)"),
            ("Playing time", f"{number(hours * 60)} min" if hours < 2 else f"{number(hours)} h"),
            ("Size", f"{number(gigabytes, 2)} GB"),
        ]
    )
    rows = [
        [row["status"], row["reason"] or "none", row["videos"], float(row["hours"] * 60)]
        for row in sums
    ]
    heads = ["status", "reason", "videos", "minutes"]
    return Section(
        "videos", "Videos", "Videos", [facts, plain_table("By status and reason", heads, rows)]
    )


def mining_section(run: Run) -> Section:
    """The funnel from frames to pairs, a sheet of pairs, the best and the worst tracks."""
    title = "Mining: from frames to pairs"
    mined, tracked = (_added(run.results / stage) for stage in ("patches", "pairs"))
    blocks: list[object] = []
    if mined or tracked:
        steps = funnel(mined, tracked)
        blocks += [_funnel_chart(run, steps), _funnel_table(steps)]
        failed = mined["videos_failed"] + tracked["videos_failed"]
        if failed:
            blocks.append(Text(f"{plural(failed, 'video')} failed while being read and mined."))
    blocks += pair_blocks(run)
    if not blocks:
        return Section("mining", "Mining", title, absent="Nothing was mined in this run.")
    return Section("mining", "Mining", title, blocks)


def funnel(mined: Counter[str], tracked: Counter[str]) -> list[Step]:
    """Steps from the frames that were tried to the pairs that were kept."""
    left = mined["frames_tried"]
    steps = [Step("frames tried", 0, left)]
    for key, name in (
        ("frames_near_end", "too near the end"),
        ("frames_cut", "a cut within the clip"),
        ("frames_few_points", "few interest points"),
        ("frames_still", "too little moves"),
        ("frames_camera", "too much moves: camera"),
    ):
        left -= mined[key]
        steps.append(Step(name, mined[key], left))
    left = mined["windows"]
    steps.append(Step("windows chosen", 0, left))
    for key, name in (
        ("tracks_left_frame", "track left the frame"),
        ("tracks_lost", "track lost"),
        ("tracks_drifted", "track drifted"),
        ("tracks_unconfirmed", "too few points to tell"),
    ):
        left -= tracked[key]
        steps.append(Step(name, tracked[key], left))
    return [*steps, Step("pairs kept", 0, tracked["pairs"])]


def _added(folder: Path) -> Counter[str]:
    """The counts of all shards' summaries together."""
    total: Counter[str] = Counter()
    for path in folder.glob("[0-9]*.json"):
        values = json.loads(path.read_text(encoding="utf-8"))
        total.update({key: n for key, n in values.items() if isinstance(n, int)})
    return total


def _funnel_chart(run: Run, steps: Sequence[Step]) -> Chart:
    most = max(step.left + step.lost for step in steps) or 1

    def plot(figure: Figure, narrow: bool) -> None:
        axes = figure.subplots()
        for place, step in enumerate(steps):
            total = not step.lost and step.name in ("frames tried", "windows chosen", "pairs kept")
            axes.barh(place, step.left, 0.62, color=ACCENT, alpha=0.95 if total else 0.45, lw=0)
            axes.barh(place, step.lost, 0.62, left=step.left, color=QUIET, alpha=0.28, lw=0)
            text = count(step.left) if total else f"−{count(step.lost)}" if step.lost else "none"
            at = step.left + step.lost
            axes.annotate(
                text, (at, place), (6, 0), textcoords="offset points", va="center", size=12,
                weight="bold" if total else "normal",
            )  # fmt: skip
        names = [step.name for step in steps]
        axes.set_yticks(range(len(names)), names, size=11 if narrow else 12.5, color=INK)
        axes.set_ylim(len(names) - 0.4, -0.6)
        axes.set_xlim(0, most * (1.25 if narrow else 1.12))
        axes.set_xticks([])
        axes.grid(visible=False)
        bare(axes)

    height = len(steps) * ROW_PX + 16.0
    told = "; ".join(
        f"{s.name}: {f'{s.lost} lost, ' if s.lost else ''}{s.left} left" for s in steps
    )
    return draw(
        "funnel",
        plot,
        (height, height),
        run.label,
        alt=f"Bars that grow shorter from step to step. {told}.",
        title="From the frames that were tried to the pairs that were kept",
        caption="Blue is what is left after a step, grey what was lost at it. One window at most "
        "is chosen of a frame unless the config says otherwise.",
    )


def _funnel_table(steps: Sequence[Step]) -> Table:
    heads = ["order", "step", "lost", "left", "lost of what was left, %"]
    return plain_table("The funnel in numbers", heads, list(_funnel_rows(steps)), folded=True)


def _funnel_rows(steps: Sequence[Step]) -> Iterator[list[object]]:
    for number_, step in enumerate(steps, start=1):
        before = step.left + step.lost
        yield [
            number_,
            step.name,
            step.lost,
            step.left,
            100 * step.lost / before if before else 0.0,
        ]

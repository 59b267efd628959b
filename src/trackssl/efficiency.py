"""What the jobs of a run took of what they asked for, from Snakemake's benchmark files.

With `benchmark-extended: true` (both profiles) each file also holds the job's threads and
resources. Snakemake looks at a job and its children every half second at first, then every 30 s, so
a short peak of memory may be missed, and a job of less than half a second has no figures but its
time. Of a training on several nodes it sees `srun` alone.
"""

import ast
import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from trackssl.errors import InputError
from trackssl.planning.units import hours

MANY_TIMES = 4  # asked for so many times what was used: too much
NEAR = 0.85  # of what was asked for: close to the limit
IDLE = 0.4  # of the cores' time that was used: most of them stood idle
_SHORT_S = 60  # jobs of less say nothing of larger ones


@dataclass(frozen=True)
class Job:
    """A job as measured: seconds and MiB used; cores, MiB, minutes and GPUs asked for."""

    rule: str
    seconds: float
    cpu_seconds: float | None
    peak_mb: float | None
    cores: int
    mem_mb: float
    runtime_minutes: float
    gpus: float


@dataclass(frozen=True)
class Use:
    """The jobs of a rule: hours are sums, memory and minutes those of the job that took most.

    `cpu_share` is of the cores' time, None where nothing was measured.
    """

    rule: str
    jobs: int
    hours: float
    core_hours: float
    gpu_hours: float
    cpu_share: float | None
    peak_mb: float | None
    mem_mb: float
    longest_minutes: float
    runtime_minutes: float
    remarks: list[str]


def read_jobs(folder: Path) -> tuple[list[Job], int]:
    """The jobs of a run's benchmark files, and how many files lack what was asked for.

    Raises InputError where there are none, or for a file that Snakemake did not write.
    """
    found = sorted(folder.rglob("*.tsv"))
    if not found:
        raise InputError(
            f"{folder}: holds no benchmark files; name the `benchmarks` folder of a run, which "
            "Snakemake fills as jobs end."
        )
    jobs: list[Job] = []
    short = 0
    for path in found:
        rows = list(_rows(path))
        jobs += rows
        short += not rows
    return jobs, short


def _rows(path: Path) -> Iterator[Job]:
    """The jobs of one file; none where it is not of the extended kind."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE):
                if row.get("resources") is None:
                    return
                yield _job(row)
    except (OSError, ValueError, KeyError, TypeError, SyntaxError, csv.Error) as error:
        raise InputError(
            f"{path}: is no benchmark file of Snakemake ({error}); delete it."
        ) from None


def _job(row: dict[str, Any]) -> Job:
    asked = ast.literal_eval(row["resources"])
    seconds = float(row["s"])
    measured = row["max_rss"] not in ("NA", "-")
    # Children that ended are in the mean load alone, the time between looks in cpu_time alone.
    cpu = max(seconds * float(row["mean_load"]) / 100, float(row["cpu_time"])) if measured else None
    gpus = asked.get("gpu", 0)
    return Job(
        rule=row["rule_name"],
        seconds=seconds,
        cpu_seconds=cpu,
        peak_mb=float(row["max_pss"]) if measured else None,
        cores=int(row["threads"]),
        mem_mb=float(asked.get("mem_mb", 0)),
        runtime_minutes=float(asked.get("runtime", 0)),
        gpus=float(gpus) if isinstance(gpus, int) else 0.0,
    )


def by_rule(jobs: Iterable[Job]) -> list[Use]:
    """A rule's jobs together, the rule of most core-hours first."""
    groups: dict[str, list[Job]] = {}
    for job in jobs:
        groups.setdefault(job.rule, []).append(job)
    return sorted(
        (_use(rule, group) for rule, group in groups.items()), key=lambda u: -u.core_hours
    )


def _use(rule: str, jobs: list[Job]) -> Use:
    measured = [job for job in jobs if job.cpu_seconds is not None]
    asked_s = sum(job.seconds * job.cores for job in measured)
    share = sum(job.cpu_seconds or 0 for job in measured) / asked_s if asked_s else None
    peak = max((job.peak_mb for job in jobs if job.peak_mb is not None), default=None)
    # Retries ask for more: the remark is on the job that came closest to its own limit.
    fullest = max(
        (job.peak_mb / job.mem_mb for job in jobs if job.peak_mb and job.mem_mb), default=0
    )
    slowest = max(jobs, key=lambda job: job.seconds / (job.runtime_minutes or float("inf")))
    mem_mb = max(job.mem_mb for job in jobs)
    long = any(job.seconds >= _SHORT_S for job in jobs)
    remarks = []
    if fullest >= NEAR:
        remarks.append("memory is close to its limit")
    elif long and fullest and fullest * MANY_TIMES <= 1:
        remarks.append(f"asks for {1 / fullest:.0f} times the memory it used")
    if slowest.runtime_minutes and slowest.seconds >= NEAR * 60 * slowest.runtime_minutes:
        remarks.append("time is close to its limit")
    if share is not None and long and share <= IDLE:
        remarks.append(f"its cores were {share:.0%} busy")
    return Use(
        rule=rule,
        jobs=len(jobs),
        hours=sum(job.seconds for job in jobs) / 3600,
        core_hours=sum(job.seconds * job.cores for job in jobs) / 3600,
        gpu_hours=sum(job.seconds * job.gpus for job in jobs) / 3600,
        cpu_share=share,
        peak_mb=peak,
        mem_mb=mem_mb,
        longest_minutes=max(job.seconds for job in jobs) / 60,
        runtime_minutes=max(job.runtime_minutes for job in jobs),
        remarks=remarks,
    )


def render(uses: list[Use]) -> Table:
    """A row a rule."""
    drawn = Table(
        box=SIMPLE_HEAD, caption="Memory and time: the most that a job took, of what was asked for."
    )
    drawn.add_column("rule", no_wrap=True)
    for name in ("jobs", "core hours", "GPU hours", "cores busy", "memory, GB", "minutes"):
        drawn.add_column(name, justify="right")
    for use in uses:
        peak = "?" if use.peak_mb is None else f"{use.peak_mb / 1000:.1f}"
        drawn.add_row(
            use.rule,
            f"{use.jobs:,}",
            hours(use.core_hours),
            hours(use.gpu_hours),
            "?" if use.cpu_share is None else f"{use.cpu_share:.0%}",
            f"{peak} of {use.mem_mb / 1000:g}",
            f"{use.longest_minutes:,.1f} of {use.runtime_minutes:,.0f}",
        )
    return drawn

"""What a run would submit to SLURM: the argument lines of sbatch, and a table of them by rule.

python tests/tools/sbatch_record.py FOLDER [--configfile config/paper.yaml] [TARGET ...]

Runs Snakemake with profiles/slurm in FOLDER, which must be empty, with stand-ins for SLURM's
programs (recorded_slurm.py): no job is computed, no cluster is needed.
"""

import argparse
import json
import os
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from recorded_slurm import PROGRAMS, job_key, read_lines, targets

TOOLS = Path(__file__).parent
REPOSITORY = TOOLS.parents[1]


@dataclass(frozen=True)
class Submission:
    """One call of sbatch: its jobs (of a group more than one) and the options that say what it
    wants. Minutes, MiB and counts; 0 where the line does not say.
    """

    jobs: tuple[str, ...]
    partition: str
    minutes: int
    memory_mb: int
    cpus: int
    gpus: int
    nodes: int

    @property
    def rules(self) -> str:
        """Names of its rules in order, joined by +."""
        return "+".join(sorted({key.split(":")[0] for key in self.jobs}))


def record(folder: Path, config: Path, targets_wanted: Sequence[str] = ()) -> list[Submission]:
    """Run in the folder -> all submissions, in their order."""
    notes = folder.resolve() / ".recorded"
    programs = notes / "bin"
    programs.mkdir(parents=True)
    for name in PROGRAMS:
        stand_in = f"{sys.executable} -I -S {TOOLS}/recorded_slurm.py {name} {notes}"
        (programs / name).write_text(f'#!/bin/sh\nexec {stand_in} "$@"\n')
        (programs / name).chmod(0o755)
    snakemake = [
        str(Path(sys.executable).with_name("snakemake")),
        *("--snakefile", str(REPOSITORY / "Snakefile"), "--configfile", str(config)),
        *("--workflow-profile", str(REPOSITORY / "profiles/slurm")),
    ]
    paths = [str(programs), str(Path(sys.executable).parent), os.environ["PATH"]]
    python = [str(REPOSITORY / "src"), str(TOOLS)]
    environment = {
        **os.environ,
        "PATH": os.pathsep.join(paths),
        "PYTHONPATH": os.pathsep.join(python),
    }
    for more in (
        # With few cores a dry run would cut the threads.
        ["--dry-run", "--cores", "1000", "--logger", "joblist"]
        + ["--logger-joblist-file", str(notes / "jobs.jsonl")],
        # All at once: how the profile spreads them over time is not the question.
        ["--jobs", "unlimited", "--resources", "downloads=1000000", "--latency-wait", "1"]
        + ["--max-jobs-per-timespan", "1000/1s"]
        + ["--slurm-init-seconds-before-status-checks", "1"],
    ):
        done = subprocess.run(
            [*snakemake, *more, *targets_wanted],
            cwd=folder, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(done.stdout + done.stderr)
    return [submission(arguments) for arguments in read_lines(notes / "sbatch.jsonl")]


def planned(folder: Path) -> dict[str, dict]:
    """What the rules state for each job of a recorded run: threads and resources."""
    lines = read_lines(folder / ".recorded/jobs.jsonl")
    return {job_key(job["rule"], job["wildcards"]): job for job in lines}


def calls(folder: Path) -> Counter[str]:
    """How often each program was called."""
    return Counter((folder / ".recorded/calls.txt").read_text().split())


def submission(arguments: list[str]) -> Submission:
    """Read an argument line of sbatch. Options come as --name value, --name=value or -n value."""
    options: dict[str, str] = {}
    for word, following in zip(arguments, [*arguments[1:], "-"], strict=True):
        name, equals, value = word.partition("=")
        if name.startswith("-") and not name.startswith("--wrap"):
            flag = not equals and following.startswith("-")
            options[name] = "" if flag else value or following
    gpus = int(options.get("--gpus", "0").split(":")[-1])
    per_gpu = int(options.get("--cpus-per-gpu", 0))
    return Submission(
        jobs=tuple(targets(arguments)),
        partition=options.get("-p", ""),
        minutes=int(options.get("-t", 0)),
        memory_mb=int(options.get("--mem", 0)),
        cpus=per_gpu * gpus or int(options.get("--cpus-per-task", 0)),
        gpus=gpus,
        nodes=int(options.get("--nodes", 1)),
    )


def table(submissions: Sequence[Submission]) -> Iterator[str]:
    """Lines of a table in Markdown: a row for each kind of submission."""
    kinds: dict[tuple, list[Submission]] = defaultdict(list)
    for one in submissions:
        wants = (one.cpus, one.gpus, one.memory_mb, one.minutes, one.nodes)
        kinds[(one.rules, len(one.jobs), *wants)].append(one)
    yield "| rules | sbatch lines | jobs each | CPUs | GPUs | MB | minutes | nodes |"
    yield "|---|---|---|---|---|---|---|---|"
    for (rules, jobs, *wants), group in kinds.items():
        yield f"| {rules} | {len(group)} | {jobs} | {' | '.join(map(str, wants))} |"
    jobs = sum(len(one.jobs) for one in submissions)
    yield f"| all | {len(submissions)} | {jobs} in all | | | | | |"


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--configfile", type=Path, default=REPOSITORY / "config/paper.yaml")
    parser.add_argument("targets", nargs="*")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    submissions = record(given.folder, given.configfile.resolve(), given.targets)
    print("\n".join(table(submissions)))
    print(json.dumps(calls(given.folder)))


if __name__ == "__main__":
    main()

"""What planning a run costs: Snakemake's dry run of the paper's config, by shards and profile.

python bench/planning.py [--shards 1000 10000] [--profiles default slurm] [--json FILE]

Nothing is there yet, so each job of the run is planned. Prints jobs, seconds of CPU, seconds on the
clock and the largest memory of each dry run, each in a process of its own.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import yaml

from trackssl.config import Config, parse
from trackssl.planning.jobs import Graph

REPOSITORY = Path(__file__).parents[1]


@dataclass(frozen=True)
class Planning:
    """Cost of one dry run: seconds and MiB."""

    profile: str
    shards: int
    jobs: int
    cpu: float
    clock: float
    memory_mib: float


def measure(profile: str, shards: int) -> Planning:
    """Plan the paper's run with so many shards, in an empty folder."""
    values = yaml.safe_load((REPOSITORY / "config/paper.yaml").read_text(encoding="utf-8"))
    values["videos"]["shards"] = shards
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "config.yaml"
        config.write_text(yaml.safe_dump(values), encoding="utf-8")
        command = [
            str(Path(sys.executable).with_name("snakemake")),
            *("--snakefile", str(REPOSITORY / "Snakefile"), "--configfile", str(config)),
            *("--workflow-profile", str(REPOSITORY / "profiles" / profile)),
            *("--directory", folder, "--dry-run", "--quiet", "all"),
        ]
        said = Path(folder) / "said.txt"
        into = os.open(said, os.O_WRONLY | os.O_CREAT)
        start = time.monotonic()
        process = os.posix_spawn(
            command[0], command, dict(os.environ),
            file_actions=[(os.POSIX_SPAWN_DUP2, into, 1), (os.POSIX_SPAWN_DUP2, into, 2)],
        )  # fmt: skip
        _, status, used = os.wait4(process, 0)
        clock = time.monotonic() - start
        os.close(into)
        text = said.read_text(encoding="utf-8")
    if status:
        raise RuntimeError(text)
    jobs = sum(1 for _ in Graph(parse(Config, values, "config")).jobs())
    cpu = used.ru_utime + used.ru_stime
    return Planning(profile, shards, jobs, cpu, clock, used.ru_maxrss / 1024)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shards", type=int, nargs="+", default=[1000, 10000])
    parser.add_argument("--profiles", nargs="+", default=["default", "slurm"])
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    print("| profile | shards | jobs | s of CPU | s | MiB |")
    print("|---|---|---|---|---|---|")
    found = []
    for shards in given.shards:
        for profile in given.profiles:
            one = measure(profile, shards)
            found.append(asdict(one))
            figures = f"{one.cpu:.1f} | {one.clock:.1f} | {one.memory_mib:.0f}"
            print(f"| {profile} | {shards} | {one.jobs} | {figures} |", flush=True)
    if given.json:
        given.json.write_text(json.dumps(found, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()

"""Stand-ins for SLURM's programs: what Snakemake submits is written down, and nothing is computed.

python recorded_slurm.py PROGRAM FOLDER ARGUMENTS... acts as sbatch, squeue or another program; in
FOLDER `jobs.jsonl` lists all jobs of the run (see snakemake_logger_plugin_joblist) before it
begins, and `sbatch.jsonl` the argument lines of sbatch after it. A submitted job's outputs appear
as empty files, so the run goes on; squeue says of every job that it has ended well. `trackssl`, for
rules that Snakemake runs itself, makes all outputs of the job that its arguments name one of.
"""

import fcntl
import json
import shlex
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

_SLURM = ("sbatch", "squeue", "scontrol", "scancel", "sinfo", "sshare", "sacctmgr", "srun")
PROGRAMS = (*_SLURM, "trackssl")


def job_key(rule: str, wildcards: dict[str, str]) -> str:
    """A job as Snakemake names it in --target-jobs, but with its wildcards in order."""
    return f"{rule}:{','.join(f'{name}={wildcards[name]}' for name in sorted(wildcards))}"


def targets(arguments: list[str]) -> list[str]:
    """Keys of the jobs in an argument line of sbatch: one, or those of a group."""
    wrapped = next(word for word in arguments if word.startswith("--wrap="))
    words = shlex.split(wrapped.removeprefix("--wrap="))
    keys = []
    for word in words[words.index("--target-jobs") + 1 :]:
        if word.startswith("--"):
            break
        rule, _, values = word.partition(":")
        keys.append(job_key(rule, dict(pair.split("=", 1) for pair in values.split(",") if pair)))
    return keys


def read_lines(path: Path) -> Iterator[dict]:
    """Lines of JSON, none of a file that is not there."""
    if path.exists():
        with path.open(encoding="utf-8") as file:
            yield from map(json.loads, file)


def _jobs(folder: Path) -> dict[str, list[str]]:
    """Outputs of each job."""
    lines = read_lines(folder / "jobs.jsonl")
    return {job_key(job["rule"], job["wildcards"]): job["output"] for job in lines}


def _make(outputs: Iterable[str]) -> None:
    for path in map(Path, outputs):
        if path.suffix:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        else:  # rules with a folder as output give it no suffix
            path.mkdir(parents=True, exist_ok=True)


def _sbatch(folder: Path, arguments: list[str]) -> str:
    jobs = _jobs(folder)
    for key in targets(arguments):
        _make(jobs[key])
    with (folder / "sbatch.jsonl").open("a+", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        number = sum(1 for _ in file) + 1
        file.write(json.dumps(arguments) + "\n")
    return str(number)


def _squeue(folder: Path) -> str:
    count = sum(1 for _ in read_lines(folder / "sbatch.jsonl"))
    return "\n".join(f"{number}|COMPLETED" for number in range(1, count + 1))


def _trackssl(folder: Path, arguments: list[str]) -> str:
    for outputs in _jobs(folder).values():
        if set(outputs) & set(arguments):
            _make(outputs)
    return ""


def main(program: str, folder: Path, arguments: list[str]) -> None:
    """Act as the program."""
    with (folder / "calls.txt").open("a", encoding="utf-8") as file:
        file.write(f"{program}\n")
    if program == "sbatch":
        print(_sbatch(folder, arguments))
    elif program == "squeue":
        print(_squeue(folder))
    elif program == "scontrol":
        print("MinJobAge = 300 sec")
    elif program == "trackssl":
        _trackssl(folder, arguments)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3:])

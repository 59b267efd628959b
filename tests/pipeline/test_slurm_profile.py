"""What the profile asks SLURM for, told by an `sbatch` that writes it down and refuses."""

import json
import os
import re
import time
from pathlib import Path

import pytest
from snakemake_run import REPOSITORY, Pipeline

WEIGHTS = "results/pretraining/unsup_5m/seed0/weights.safetensors"
READ = (
    "results/run.json", "resources/manifests/0000.parquet", "results/patches/0000.parquet",
    "results/patches/0000.json", "results/pairs/0000.arrow", "results/pairs/0000.json",
    "results/pairs/sets.parquet",
)  # fmt: skip
SBATCH = """#!/bin/sh
printf '%s\\n' "$*" >> {log}
echo refused >&2
exit 1
"""


def asked(pipeline: Pipeline, values: dict, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The options of each `sbatch` for one pre-training, whose input is there."""
    folder = pipeline.folder
    for name in READ:  # in their order of time
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"name": values["name"]}))
        time.sleep(0.02)
    programs, log = folder / "programs", folder / "asked"
    programs.mkdir()
    for name, text in (("sbatch", SBATCH.format(log=log)), ("squeue", "#!/bin/sh\n")):
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    pipeline.configure(values)
    at = pipeline.command.index("--cores")
    profile = str(REPOSITORY / "profiles/slurm")
    pipeline.command[at : at + 2] = ["--workflow-profile", profile]
    code, output = pipeline.run(WEIGHTS, "--slurm-init-seconds-before-status-checks", "1")
    assert code != 0, output
    assert Path(log).exists(), output
    return [line.split("--wrap")[0] for line in log.read_text().splitlines() if "--wrap" in line]


def test_a_failed_job_is_sent_again_with_more_memory(
    pipeline: Pipeline, tiny: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = {"name": "tiny", "videos": {"source": "miniworld", "count": 1, "shards": 1}}
    lines = asked(pipeline, {**values, **tiny, "gpus": 4, "torch_threads": 8}, monkeypatch)
    assert [re.findall(r"--mem (\d+)", line) for line in lines] == [["16000"], ["32000"], ["48000"]]
    for wanted in ("--nodes=1 ", "--gpus=4 ", "--cpus-per-task=32 ", "-t 10080 ", "--requeue "):
        assert wanted in lines[0]


def test_a_training_on_several_nodes_asks_for_as_many_tasks_on_each(
    pipeline: Pipeline, tiny: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = {"name": "tiny", "videos": {"source": "miniworld", "count": 1, "shards": 1}}
    values |= {**tiny, "gpus": 4, "nodes": 2, "torch_threads": 8}
    line = asked(pipeline, values, monkeypatch)[0]
    for wanted in ("--nodes=2 ", "--ntasks-per-node=4 ", "--cpus-per-task=8 ", "--gres=gpu:4 "):
        assert wanted in line
    assert "--gpus" not in line
    assert "per-gpu" not in line

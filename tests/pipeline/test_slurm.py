"""The pipeline on a real SLURM of several nodes: the same table, whatever happens to its jobs.

`pytest -m slurm tests/pipeline/test_slurm.py` runs these; plain pytest leaves them out.
"""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from slurm_cluster import Cluster, missing
from snakemake_run import REPOSITORY, Pipeline, kill_group

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(1800)]
TABLE = "results/voc_map.csv"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    if why := missing():
        pytest.skip(why)
    with Cluster(tmp_path_factory.mktemp("slurm")) as running:
        yield running


@pytest.fixture
def world(tiny: dict) -> dict:
    tiny["pretraining"]["sets"]["8m"]["epochs"] = 40  # long enough to be caught at work
    return {
        "name": "tiny",
        "videos": {"source": "miniworld", "count": 10, "shards": 2},
        "voc": {
            "source": "miniworld",
            "devkit": "resources/miniworld/VOCdevkit",
            "train_images": 12,
            "test_images": 6,
        },
        **tiny,
        "networks": {"scratch": {"init": "random"}, "unsup": {"init": "pairs", "set": "8m"}},
        "methods": {"scratch": {"networks": ["scratch"]}, "unsup": {"networks": ["unsup"]}},
    }


class OnSlurm(Pipeline):
    """The same pipeline, its jobs sent to a cluster."""

    def __init__(self, folder: Path, cluster: Cluster, *options: str) -> None:
        super().__init__(folder)
        self.cluster = cluster
        at = self.command.index("--cores")
        self.command[at : at + 2] = [
            *("--workflow-profile", str(REPOSITORY / "profiles/slurm")),
            *("--slurm-init-seconds-before-status-checks", "2", "--latency-wait", "10"),
            *options,
        ]

    def start(self, *arguments: str) -> subprocess.Popen:
        os.environ.update(self.cluster.environment)
        return super().start(*arguments)


def machines(folder: Path) -> set[str]:
    """Where the files of a run were made, by their records."""
    records = (folder / "provenance").rglob("*.json")
    return {json.loads(path.read_text())["machine"].split(",")[-1].strip() for path in records}


def when(ready: Callable[[], object], seconds: float = 300) -> None:
    """Wait for a moment, which must come."""
    end = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < end, "the moment never came"
        time.sleep(0.02)


def node_of(cluster: Cluster, job: str) -> int:
    """The node on which the job of so named a rule runs; 0 where none does."""
    for comment, state, node in cluster.jobs("%k %T %N"):
        if job in comment and state == "RUNNING":
            return int(node.removeprefix("n"))
    return 0


def test_a_run_on_two_nodes_ends_in_the_table_of_one_machine(
    pipeline: Pipeline, cluster: Cluster, world: dict, tmp_path: Path
) -> None:
    pipeline.configure(world)
    start = time.monotonic()
    code, output = pipeline.run(TABLE)
    assert code == 0, output
    here = time.monotonic() - start
    remote = OnSlurm(tmp_path / "slurm", cluster)
    remote.folder.mkdir()
    remote.configure(world)
    start = time.monotonic()
    code, output = remote.run(TABLE)
    assert code == 0, output
    print(f"one machine {here:.0f} s, two nodes on it {time.monotonic() - start:.0f} s")
    assert (remote.folder / TABLE).read_bytes() == (pipeline.folder / TABLE).read_bytes()
    assert machines(remote.folder) == {"SLURM node n1", "SLURM node n2"}
    assert "efficiency" not in output.lower() or "error" not in output.lower()


def test_lost_nodes_cancelled_jobs_and_a_killed_driver_change_nothing(
    pipeline: Pipeline, cluster: Cluster, world: dict, tmp_path: Path
) -> None:
    pipeline.configure(world)
    code, output = pipeline.run(TABLE)
    assert code == 0, output
    wanted = (pipeline.folder / TABLE).read_bytes()
    remote = OnSlurm(tmp_path / "slurm", cluster, "--retries", "2")
    remote.folder.mkdir()
    remote.configure(world)
    (remote.folder / "resources").mkdir()
    shutil.copytree(pipeline.folder / "resources/videos", remote.folder / "resources/videos")

    process = remote.start(TABLE)
    try:
        when(lambda: node_of(cluster, "mine_patches"))
        number = node_of(cluster, "mine_patches")
        cluster.kill_node(number)
        time.sleep(2)
        cluster.revive_node(number)
        when(lambda: node_of(cluster, "pretrain"))
        cancelled = [job for job, comment in cluster.jobs("%i %k") if "pretrain" in comment]
        cluster.call("scancel", *cancelled)
        weights = remote.folder / "results/detection/networks"
        when(weights.is_dir, 900)  # a fine-tuning has ended, others go on
    finally:
        kill_group(process)
    process.communicate()
    for (job,) in cluster.jobs("%i"):
        cluster.call("scancel", job)
    when(lambda: not cluster.jobs())
    assert remote.run("--unlock")[0] == 0
    code, output = remote.run(TABLE)
    assert code == 0, output
    assert (remote.folder / TABLE).read_bytes() == wanted

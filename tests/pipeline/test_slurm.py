"""The pipeline on a real SLURM of several nodes: the same table, whatever happens to its jobs.

`make test-slurm` runs these; plain pytest leaves them out. What each mishap cost is printed (-s).
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from slurm_cluster import Cluster, missing
from snakemake_run import REPOSITORY, TINY, Pipeline, kill_group

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(1800)]
GUIDE = REPOSITORY / "docs/how-to-cluster.md"
TABLE = "results/voc_map.csv"
WEIGHTS = "results/pretraining/unsup/seed0/weights.safetensors"

# Small jobs in longer chains than the profile's: each job that waits for another also waits for
# Snakemake's next look at the queue.
CHAINS = (
    "--groups", "fetch_voc=voc", "propose_windows=voc", "mine_patches=shards",
    "track_patches=shards", "merge_pairs=ranking", "pretrain=ranking", "finetune_detector=rows",
    "extract_features=rows", "train_svms=rows", "detect=rows", "score_detections=rows",
    "--group-components", "shards=1", "rows=1", "voc=1", "ranking=1",
)  # fmt: skip


class OnSlurm(Pipeline):
    """The same pipeline, its jobs sent to a cluster by the profile."""

    def __init__(self, folder: Path, cluster: Cluster, *options: str) -> None:
        super().__init__(folder)
        folder.mkdir(exist_ok=True)
        self.cluster = cluster
        at = self.command.index("--cores")
        self.command[at : at + 2] = [
            *("--workflow-profile", str(REPOSITORY / "profiles/slurm"), "--max-threads", "2"),
            *("--slurm-init-seconds-before-status-checks", "2", "--latency-wait", "10"),
        ]
        self.options = options

    def start(self, *arguments: str) -> subprocess.Popen:
        os.environ.update(self.cluster.environment)
        return super().start(*arguments, *self.options)


@pytest.fixture(autouse=True)
def empty_queue(cluster: Cluster) -> Iterator[None]:
    """A test that failed leaves no jobs to the next one."""
    yield
    for (job,) in cluster.jobs("%i"):
        cluster.call("scancel", job)
    when(lambda: not cluster.jobs("%i"))


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    if why := missing():
        pytest.skip(why)
    with Cluster(tmp_path_factory.mktemp("slurm")) as running:
        yield running


def world() -> dict:
    tiny = json.loads(json.dumps(TINY))
    # Long enough to be caught at work, and a checkpoint before that.
    tiny["pretraining"]["sets"]["8m"]["epochs"] = 150
    tiny["pretraining"]["checkpoint_every_iterations"] = 50
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


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Pipeline, float]]:
    """The run on this machine alone, and its seconds."""
    folder = tmp_path_factory.mktemp("here")
    local = Pipeline(folder)
    local.configure(world())
    start = time.monotonic()
    code, output = local.run(TABLE)
    assert code == 0, output
    yield local, time.monotonic() - start
    shutil.rmtree(folder, ignore_errors=True)


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
    for comment, *state_and_node in cluster.jobs("%k %T %N"):  # one that waits has no node
        if job in comment and state_and_node[0] == "RUNNING":
            return int(state_and_node[1].removeprefix("n"))
    return 0


def copy_of(folder: Path, new: Path, *parts: str) -> None:
    """Some of a run's files as they are, times included."""
    for part in parts:
        (new / part).parent.mkdir(parents=True, exist_ok=True)
        if (folder / part).is_dir():
            shutil.copytree(folder / part, new / part, dirs_exist_ok=True)
        else:
            shutil.copy2(folder / part, new / part)


def test_a_run_on_two_nodes_ends_in_the_table_of_one_machine(
    here: tuple[Pipeline, float], cluster: Cluster, tmp_path: Path
) -> None:
    local, seconds = here
    remote = OnSlurm(tmp_path / "slurm", cluster, *CHAINS)
    remote.configure(world())
    start = time.monotonic()
    code, output = remote.run(TABLE)
    assert code == 0, output
    there = time.monotonic() - start
    print(f"\none machine {seconds:.0f} s, two nodes of SLURM on the same cores {there:.0f} s")
    assert (remote.folder / TABLE).read_bytes() == (local.folder / TABLE).read_bytes()
    assert {"SLURM node n1", "SLURM node n2"} <= machines(remote.folder)
    assert list((remote.folder / "logs/slurm").rglob("*.log")), "SLURM's logs are not where we say"
    again = subprocess.run(
        ["trackssl", "efficiency", "--json"],
        cwd=remote.folder, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert {"mine_patches", "pretrain"} <= {
        use["rule"] for use in json.loads(again.stdout)["rules"]
    }


def test_pretraining_on_two_nodes_ends_in_the_weights_of_one_process(
    here: tuple[Pipeline, float], cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The nodes' names are known to this SLURM alone, and all are this machine.
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "lo")
    values = world()
    # Rounding grows with each step, and in the end another negative is the hardest.
    values["pretraining"]["sets"]["8m"]["epochs"] = 20
    remote = OnSlurm(tmp_path / "slurm", cluster)
    local = Pipeline(tmp_path / "here")
    local.folder.mkdir()
    made = ("results/run.json", "results/patches", "results/pairs")
    for run, nodes in ((local, 1), (remote, 2)):
        run.configure({**values, "nodes": nodes})
        copy_of(here[0].folder, run.folder, "resources/manifests", "resources/videos", *made)
        code, output = run.run(WEIGHTS)
        assert code == 0, output
    one, two = load_file(local.folder / WEIGHTS), load_file(remote.folder / WEIGHTS)
    apart = max(float(np.abs(one[name] - two[name]).max()) for name in one)
    print(f"\ntwo processes on two nodes: no weight is more than {apart:.0e} from one process's")
    assert apart < 1e-6
    records = list((remote.folder / "provenance").rglob("weights*.json"))
    assert len(records) == 1, "one process of several writes the record"
    log = (remote.folder / "logs/pretrain/unsup_seed0.log").read_text()
    assert log.count("weights.safetensors: loss") == 1


def test_bad_input_on_two_nodes_is_told_once(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "lo")
    (tmp_path / "sets.parquet").write_bytes(b"no parquet")
    done = subprocess.run(
        [
            *("srun", "--nodes=2", "--ntasks=2", "--ntasks-per-node=1", "--mem=2000"),
            *("--kill-on-bad-exit=1", "trackssl", "pretrain", "--pairs", "sets.parquet"),
            *("--set", "8m", "--out", "w.safetensors", "--log", "l.jsonl", "--progress", "p"),
        ],
        cwd=tmp_path, env={**os.environ, **cluster.environment},
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode != 0
    assert done.stderr.count("error: sets.parquet") == 1, done.stderr


class Running:
    """A run on the cluster with what can be seen of its work, for as long as the block lasts."""

    def __init__(self, remote: OnSlurm, *arguments: str) -> None:
        self.remote, self.cluster = remote, remote.cluster
        self._arguments = arguments
        self._training = remote.folder / "progress/pretrain/unsup_seed0"

    def __enter__(self) -> "Running":
        self.process = self.remote.start(TABLE, *self._arguments)
        self._output: list[str] = []
        self._reader = Thread(target=lambda: self._output.extend(self.process.stdout or ()))
        self._reader.start()
        return self

    def __exit__(self, *_: object) -> None:
        kill_group(self.process)
        self.process.wait()
        self._reader.join()

    @property
    def output(self) -> str:
        """What Snakemake said until now."""
        return "".join(self._output)

    def when(self, ready: Callable[[], object], seconds: float = 600) -> None:
        """Wait for a moment of this run."""

        def ended_or_ready() -> object:
            return ready() or self.process.poll() is not None

        when(ended_or_ready, seconds)
        assert self.process.poll() is None, self.output

    def ends(self, seconds: float = 1200) -> int:
        """Wait for its end -> exit status."""
        code = self.process.wait(seconds)
        self._reader.join()
        return code

    def lose_node_of(self, rule: str) -> None:
        """Cut the power of the node that works on a rule, and switch it on again."""
        number = node_of(self.cluster, rule)
        self.cluster.kill_node(number)
        time.sleep(1)
        self.cluster.revive_node(number)

    def mined(self) -> dict[Path, int]:
        """Videos that are mined already, of shards that are not done, and when, in ns."""
        found = {}
        for path in (self.remote.folder / "progress/mine_patches").rglob("*.json"):
            with suppress(FileNotFoundError):  # a shard that ends takes its notes with it
                if path.name != "settings.json":
                    found[path] = path.stat().st_mtime_ns
        return found

    def iteration(self) -> int:
        """The last one that the training logged; 0 before."""
        try:
            lines = (self._training / "log.jsonl").read_text().splitlines()
            return max((json.loads(line).get("iteration", 0) for line in lines), default=0)
        except (OSError, ValueError):  # not there, or a line that is being written
            return 0

    def checkpoint(self) -> int:
        """The iteration that a training would go on from; 0 where there is no checkpoint."""
        path = self._training / "checkpoint.pt"
        with suppress(OSError):
            return int(torch.load(path, weights_only=True)["run"][0])
        return 0


def test_lost_nodes_too_little_memory_and_cancelled_jobs_change_nothing(
    here: tuple[Pipeline, float], cluster: Cluster, tmp_path: Path
) -> None:
    local, _ = here
    remote = OnSlurm(
        tmp_path / "slurm", cluster,
        *("--set-resources", "pretrain:mem_mb=300 if attempt == 1 else 6000"),
        *(word for word in CHAINS if "=ranking" not in word and word != "ranking=1"),
    )  # fmt: skip
    remote.configure(world())
    logs = remote.folder / "logs/slurm/rule_pretrain"
    with Running(remote) as run:
        run.when(lambda: node_of(cluster, "mine_patches") and run.mined())
        run.lose_node_of("mine_patches")
        before = run.mined()
        seen = set(before.items())

        def mining_has_ended() -> bool:
            seen.update(run.mined().items())
            return (remote.folder / "results/pairs/sets.parquet").exists()

        run.when(mining_has_ended)
        twice = len(seen) - len(dict(seen))
        print(f"\na node lost while mining: {len(before)} of 10 videos done, {twice} mined again")
        assert twice == 0

        run.when(lambda: any("memory" in path.read_text() for path in logs.rglob("*.log")))
        print("too little memory: killed while it loaded its modules, sent again with more")

        run.when(lambda: run.checkpoint() and run.iteration() > run.checkpoint())
        reached, start = run.iteration(), run.checkpoint()
        run.lose_node_of("pretrain")
        print(f"a node lost in training: {reached} iterations done, it goes on from {start}")
        run.when(lambda: node_of(cluster, "pretrain") and run.iteration() > reached)

        reached, start = run.iteration(), run.checkpoint()
        jobs = [job for job, comment in cluster.jobs("%i %k") if "pretrain" in comment]
        cluster.call("scancel", *jobs)
        print(f"training cancelled: {reached} iterations done, it goes on from {start}")
        assert run.ends() == 0, run.output
    assert len(list(logs.rglob("*.log"))) == 3, "as killed, as requeued and cancelled, as ended"
    assert (remote.folder / TABLE).read_bytes() == (local.folder / TABLE).read_bytes()
    assert (remote.folder / WEIGHTS).read_bytes() == (local.folder / WEIGHTS).read_bytes()


def test_a_killed_snakemake_is_started_again_by_one_line_of_the_guide(
    here: tuple[Pipeline, float], cluster: Cluster, tmp_path: Path
) -> None:
    local, _ = here
    remote = OnSlurm(tmp_path / "slurm", cluster, *CHAINS)
    remote.configure(world())
    made = ("results/run.json", "results/patches", "results/pairs", "results/pretraining")
    copy_of(local.folder, remote.folder, "resources", *made, "results/detection/proposals")
    locks = remote.folder / ".snakemake/locks"

    with Running(remote) as run:
        run.when(lambda: node_of(cluster, "finetune_detector"))
        planned = total(run.output)
        run.process.send_signal(signal.SIGINT)
        run.ends(300)
        assert "on user request" in run.output, run.output
    when(lambda: not cluster.jobs("%i"))
    assert not list(locks.glob("*")), "an interrupted Snakemake leaves no locks"
    print("\nSnakemake interrupted (Ctrl-C): it cancels its jobs and leaves no locks")

    with Running(remote) as run:
        run.when(lambda: node_of(cluster, "finetune_detector"))
    assert cluster.jobs(), "the jobs of a killed Snakemake go on"
    line = re.findall(r"^squeue --me .*$", GUIDE.read_text(), re.M)[0]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, **cluster.environment, "PATH": path}
    snakefile = f"snakemake --snakefile {REPOSITORY / 'Snakefile'}"
    subprocess.run(
        ["bash", "-c", line.replace("snakemake", snakefile)],
        cwd=remote.folder, env=environment, check=True, timeout=120,
    )  # fmt: skip
    when(lambda: not cluster.jobs("%i"))
    code, output = remote.run(TABLE)
    assert code == 0, output
    print(f"Snakemake killed: {planned} jobs were to do before, {total(output)} after")
    assert (remote.folder / TABLE).read_bytes() == (local.folder / TABLE).read_bytes()


def total(output: str) -> int:
    """The number of jobs that Snakemake planned."""
    return int(re.findall(r"^total +(\d+)", output, re.M)[0])

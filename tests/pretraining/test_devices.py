import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch

from trackssl.pairs.dataset import PairDataset
from trackssl.pairs.store import PairShard, write_pairs

SETTINGS = {
    "sets": {"small": {"size": 20, "iterations": 120, "lr_step_iterations": 70}},
    "batch_pairs": 7,  # two processes get four and three
    "checkpoint_every_seconds": 1000.0,
    "checkpoint_every_iterations": 20,
    "learning_rate": 0.01,
    "hard_share": 0.5,
}


def command(pairs: Path, folder: Path, *options: object, **changed) -> list[str]:
    given = {
        "--pairs": pairs,
        "--set": "small",
        "--settings": json.dumps(SETTINGS | changed),
        "--network": '{"width": 0.1, "input_px": 67}',
        "--seed": 3,
        "--out": folder / "weights.safetensors",
        "--log": folder / "log.jsonl",
        "--progress": folder / "progress",
        "--device": "cpu",
    }
    values = [str(part) for item in given.items() for part in item]
    return [sys.executable, "-m", "trackssl.cli", "pretrain", *values, *map(str, options)]


def run(*arguments, code: int = 0, **changed) -> str:
    """Run the command to its end -> its stderr."""
    done = subprocess.run(
        command(*arguments, **changed), capture_output=True, text=True, timeout=600
    )
    assert done.returncode == code, done.stderr
    return done.stderr


def steps(path: Path) -> list[tuple[int, float]]:
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return [(line["iteration"], line["loss"]) for line in lines if "iteration" in line]


def one_error(said: str) -> str:
    """The one sentence of a run that failed, and nothing of its inside."""
    assert "Traceback" not in said
    (sentence,) = [line for line in said.splitlines() if line.startswith("error:")]
    return sentence


@pytest.fixture(scope="module")
def alone(few_pairs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of one process that nothing disturbed."""
    folder = tmp_path_factory.mktemp("alone")
    run(few_pairs, folder)
    return folder


@pytest.fixture(scope="module")
def together(few_pairs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two processes that nothing disturbed."""
    folder = tmp_path_factory.mktemp("together")
    run(few_pairs, folder, "--devices", 2)
    return folder


def test_two_processes_learn_what_one_does(alone: Path, together: Path) -> None:
    ours, theirs = steps(together / "log.jsonl"), steps(alone / "log.jsonl")
    assert [i for i, _ in ours] == [i for i, _ in theirs] == list(range(10, 121, 10))
    # 40 steps with random negatives, then with hard ones; later, rounding decides which are hard.
    for (_, loss), (_, wanted) in zip(ours[:4], theirs[:4], strict=True):
        assert loss == pytest.approx(wanted, rel=1e-4)
    assert ours != theirs  # so they did compute by themselves


def start(arguments: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True)


def wait_for_lines(log: Path, count: int, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 600
    while not log.exists() or len(log.read_bytes().splitlines()) < count:
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.005)


def rank_of(parent: int, rank: int) -> int:
    """The id of the process of a rank that a launcher started."""
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    wanted = f"RANK={rank}".encode()
    return next(
        int(child)
        for child in children
        if wanted in Path(f"/proc/{child}/environ").read_bytes().split(b"\0")
    )


@pytest.mark.parametrize("devices", [1, 2])
def test_a_run_that_was_killed_again_and_again_writes_the_same_bits(
    few_pairs: Path, tmp_path: Path, alone: Path, together: Path, devices: int
) -> None:
    arguments = command(few_pairs, tmp_path, "--devices", devices)
    log = tmp_path / "progress/log.jsonl"
    for lines in (3, 8):
        process = start(arguments)
        wait_for_lines(log, lines, process)
        # Once the program, at the other time one process of two: the other cannot go on.
        other = devices == 2 and lines == 8
        os.kill(rank_of(process.pid, 1) if other else process.pid, signal.SIGKILL)
        process.communicate()
        assert process.returncode != 0
        logged = steps(log)[-1][0]
        done = torch.load(tmp_path / "progress/checkpoint.pt")["run"][0]
        assert done % 20 == 0
        assert logged - done <= 40  # one that is being written, and what came since
    process = start(arguments)
    _, said = process.communicate(timeout=600)
    assert process.returncode == 0, said
    whole = together if devices == 2 else alone
    assert steps(tmp_path / "log.jsonl") == steps(whole / "log.jsonl")
    files = [folder / "weights.safetensors" for folder in (tmp_path, whole)]
    assert files[0].read_bytes() == files[1].read_bytes()
    assert {path.name for path in tmp_path.iterdir()} == {"weights.safetensors", "log.jsonl"}


def test_bad_input_of_two_processes_is_one_sentence(few_pairs: Path, tmp_path: Path) -> None:
    said = run(tmp_path / "none", tmp_path, "--devices", 2, code=2)
    assert "there is no such list of pairs" in one_error(said)


def test_a_patch_that_only_the_second_process_reads_is_named(
    few_pairs: Path, tmp_path: Path
) -> None:
    table = pq.read_table(few_pairs).slice(0, 7)  # one batch
    pairs = list(PairShard(Path(table["shard"][0].as_py())))[:7]
    bad = int(PairDataset(few_pairs, 7, 7, 67, seed=3).indices(0)[-1])  # of the second part
    pairs[bad] = replace(pairs[bad], first_jpeg=b"no JPEG")
    write_pairs(tmp_path / "broken.arrow", pairs, {}, {})
    frame = table.to_pandas().assign(shard=str(tmp_path / "broken.arrow"), row=range(7))
    frame.to_parquet(tmp_path / "sets.parquet", index=False)
    said = run(
        tmp_path / "sets.parquet",
        tmp_path,
        "--devices",
        2,
        code=2,
        sets={"small": {"size": 7, "iterations": 120}},
    )
    assert f"broken.arrow, row {bad}" in said
    assert "Traceback" not in said

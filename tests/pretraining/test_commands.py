import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import typer
from safetensors import safe_open
from typer.testing import CliRunner, Result

from trackssl.errors import InputError
from trackssl.networks import DETECTOR, DetectorNetwork, RankingNetwork, save_weights
from trackssl.networks.weights import load_convolutions
from trackssl.pretraining.commands import register

torch.set_num_threads(1)

NETWORK = json.dumps({"width": 0.1, "input_px": 67})
PROGRAM = """
import typer
from trackssl.pretraining.commands import register
app = typer.Typer()
register(app)
app()
"""


def settings(**changed) -> str:
    values = {
        "sets": {"small": {"size": 16, "iterations": 150}},
        "batch_pairs": 6,
        "checkpoint_every_seconds": 0.1,
    }
    return json.dumps(values | changed)


def options(pairs: Path, folder: Path, text: str) -> list[str]:
    given = {
        "--pairs": pairs,
        "--set": "small",
        "--settings": text,
        "--network": NETWORK,
        "--seed": 3,
        "--out": folder / "weights.safetensors",
        "--log": folder / "log.jsonl",
        "--progress": folder / "progress",
    }
    return [str(part) for item in given.items() for part in item]


def invoke(command: str, *arguments: str) -> Result:
    app = typer.Typer()
    register(app)
    result = CliRunner().invoke(app, [command, *arguments])
    if isinstance(result.exception, InputError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result


def metadata(path: Path) -> dict[str, str]:
    with safe_open(path, framework="pt") as file:
        return file.metadata()


def steps(path: Path) -> list[tuple[int, float]]:
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return [(line["iteration"], line["loss"]) for line in lines if "iteration" in line]


def test_a_killed_run_that_is_started_again_writes_the_same_bits(
    few_pairs: Path, tmp_path: Path
) -> None:
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    command = ["pretrain", *options(few_pairs, killed, settings())]
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *command], stderr=subprocess.PIPE, text=True
    )
    checkpoint, deadline = killed / "progress" / "checkpoint.pt", time.monotonic() + 600
    while not checkpoint.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    _, said = process.communicate()
    assert process.returncode == -signal.SIGKILL, said
    assert checkpoint.exists()
    assert not (killed / "weights.safetensors").exists()

    invoke(*command)
    invoke("pretrain", *options(few_pairs, whole, settings()))
    names = {path.name for path in killed.iterdir()}
    assert names == {"weights.safetensors", "log.jsonl"}  # the progress is forgotten
    assert steps(killed / "log.jsonl") == steps(whole / "log.jsonl")
    assert [i for i, _ in steps(whole / "log.jsonl")] == list(range(10, 151, 10))
    files = [folder / "weights.safetensors" for folder in (killed, whole)]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_weights_say_what_they_were_made_of(few_pairs: Path, tmp_path: Path) -> None:
    text = settings(sets={"small": {"size": 500, "epochs": 2}})
    result = invoke("pretrain", *options(few_pairs, tmp_path, text))
    found = metadata(tmp_path / "weights.safetensors")
    assert found["format"] == "trackssl.ranking"
    assert (found["pairs"], found["rounds"], found["seed"]) == ("20", "0", "3")
    assert found["iterations"] == "7"  # 2 epochs of 20 pairs in batches of 6
    assert float(found["loss"]) == steps(tmp_path / "log.jsonl")[-1][1]
    assert json.loads(found["settings"])["pretraining"]["batch_pairs"] == 6
    assert {"config", "version"} <= found.keys()
    assert f"asks for 500 pairs, but {few_pairs} holds 20" in result.stderr


def test_a_size_may_count_patches(few_pairs: Path, tmp_path: Path) -> None:
    text = settings(sets={"small": {"size": 16, "iterations": 2}}, set_unit="patches")
    invoke("pretrain", *options(few_pairs, tmp_path, text))
    assert metadata(tmp_path / "weights.safetensors")["pairs"] == "8"


def test_readaptation_starts_from_the_detectors_convolutions_alone(
    few_pairs: Path, tmp_path: Path
) -> None:
    detector = tmp_path / "detector.safetensors"
    save_weights(
        detector, DetectorNetwork(21, 0.1, 67, seed=9), {"format": DETECTOR, "rounds": "1"}
    )
    text = settings(sets={"small": {"size": 16, "iterations": 24}})
    still = ["--readaptation", '{"learning_rate": 1e-30}', "--weights", str(detector)]
    invoke("readapt", *options(few_pairs, tmp_path, text), *still)
    out = tmp_path / "weights.safetensors"
    assert (metadata(out)["rounds"], metadata(out)["iterations"]) == ("2", "12")
    log = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert all(line.get("hard_negatives", True) for line in log)
    source, found = RankingNetwork(0.1, 67, seed=3), RankingNetwork(0.1, 67, seed=3)
    load_convolutions(source, detector)
    load_convolutions(found, out)
    for name, tensor in source.state_dict().items():
        torch.testing.assert_close(found.state_dict()[name], tensor)


def test_progress_of_another_config_is_refused(few_pairs: Path, tmp_path: Path) -> None:
    progress = tmp_path / "progress"
    progress.mkdir()
    (progress / "settings.json").write_text("{}")
    with pytest.raises(InputError, match="holds the unfinished training of another config"):
        invoke("pretrain", *options(few_pairs, tmp_path, settings()))


def test_bad_input_leaves_no_output(few_pairs: Path, tmp_path: Path) -> None:
    absent = tmp_path / "absent.parquet"
    with pytest.raises(InputError, match="no such list of pairs"):
        invoke("pretrain", *options(absent, tmp_path, settings()))
    never = settings(hard_negatives_from_iteration=150)
    with pytest.raises(InputError, match="hard negatives would never begin"):
        invoke("pretrain", *options(few_pairs, tmp_path, never))
    ranking = tmp_path / "ranking.safetensors"
    save_weights(ranking, RankingNetwork(0.1, 67), {"format": "trackssl.ranking"})
    with pytest.raises(InputError, match=r"trackssl\.detector is needed"):
        invoke("readapt", *options(few_pairs, tmp_path, settings()), "--weights", str(ranking))
    assert {path.name for path in tmp_path.iterdir()} == {"ranking.safetensors"}

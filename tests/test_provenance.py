"""Records of a chain of real commands, run as the rules run them."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from torch import nn

from trackssl.lineage import chain, seeds
from trackssl.networks.weights import load_weights, save_weights
from trackssl.provenance import Watch, note_inputs, read_record

TRACKSSL = str(Path(sys.executable).with_name("trackssl"))
RECORDS = Path("provenance")
VIDEOS = {"source": "miniworld", "count": 1, "shards": 1}
MINING = {"frame_height_px": 240, "frame_width_px": 320, "patch_px": 99}


def trackssl(folder: Path, *arguments: object, recorded: bool = True) -> str:
    environment = {**os.environ, "TRACKSSL_CONFIG_HASH": "c0ffee"}
    if recorded:
        environment["TRACKSSL_PROVENANCE"] = str(RECORDS)
    done = subprocess.run(
        [TRACKSSL, *map(str, arguments)],
        cwd=folder, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two steps: a drawn video, and the windows found in it."""
    folder = tmp_path_factory.mktemp("run")
    trackssl(
        folder, "fetch-videos", "--settings", json.dumps(VIDEOS), "--shard", 0, "--out",
        "resources/manifests/0000.parquet", "--store", "resources/videos",
        "--progress", "progress/0",
    )  # fmt: skip
    trackssl(
        folder, "mine-patches", "--manifest", "resources/manifests/0000.parquet", "--settings",
        json.dumps(MINING), "--out", "results/0000.parquet", "--summary", "results/0000.json",
        "--progress", "progress/1",
    )  # fmt: skip
    return folder


@pytest.fixture
def run(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(finished, tmp_path / "run")
    monkeypatch.chdir(tmp_path / "run")
    return tmp_path / "run"


def test_a_file_knows_its_command_code_and_what_it_was_made_of(run: Path) -> None:
    record = read_record(RECORDS, "results/0000.parquet")
    assert record.command[0] == "mine-patches" and record.config == "c0ffee"
    assert list(record.inputs) == ["resources/manifests/0000.parquet"]
    assert record.start <= record.end and record.version and record.machine
    assert read_record(RECORDS, "results/0000.json").inputs == record.inputs
    steps = list(chain("results/0000.parquet", RECORDS))
    assert [(step.depth, step.path, step.oddity) for step in steps[:2]] == [
        (0, "results/0000.parquet", ""),
        (1, "resources/manifests/0000.parquet", ""),
    ]
    told = trackssl(run, "provenance", "results/0000.parquet", recorded=False)
    assert "by mine-patches" in told and "by fetch-videos" in told
    assert "holds the SHA-256 of each of 1 videos" in told
    told = trackssl(run, "provenance", "results/0000.parquet", "--json", recorded=False)
    assert json.loads(told)["steps"][0]["record"]["made"]["sha256"] == record.made.sha256


def test_a_file_that_was_changed_or_made_again_is_told(run: Path) -> None:
    manifest = Path("resources/manifests/0000.parquet")
    content = manifest.read_bytes()
    manifest.write_bytes(content)  # touched alone
    assert not list(chain("results/0000.parquet", RECORDS))[1].oddity
    manifest.write_bytes(content + b"x")
    assert list(chain("results/0000.parquet", RECORDS))[1].oddity == "changed since it was made"
    manifest.unlink()
    assert list(chain("results/0000.parquet", RECORDS))[1].oddity == "no longer there"
    other = RECORDS / "resources/manifests/0000.parquet.json"
    values = json.loads(other.read_text())
    values["made"]["sha256"] = "0" * 64
    other.write_text(json.dumps(values))
    step = list(chain("results/0000.parquet", RECORDS))[1]
    assert step.oddity == "made again since it was used here"


def test_a_folder_is_told_apart_by_its_files_but_not_by_hidden_marks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    made = Watch(["make", "--out", "made"])
    Path("made").mkdir()
    Path("made/a.npy").write_bytes(b"a")
    assert made.write(RECORDS) == [RECORDS / "made.json"]
    Path("made/.snakemake_timestamp").touch()
    used = Watch(["use", "made", "--settings", '{"out": "table.csv"}'])
    Path("table.csv").write_text("x")
    used.write(RECORDS)
    assert [(step.path, step.oddity) for step in chain("table.csv", RECORDS)] == [
        ("table.csv", ""),
        ("made", ""),
    ]
    Path("made/b.npy").write_bytes(b"b")
    assert list(chain("table.csv", RECORDS))[1].oddity == "changed since it was made"


def test_a_command_that_fails_or_has_no_folder_leaves_no_record(tmp_path: Path) -> None:
    (tmp_path / "out.json").write_text("{}")
    environment = {**os.environ, "TRACKSSL_PROVENANCE": "provenance"}
    failed = [TRACKSSL, "fetch-mit67", "--settings", '{"source": "folder", "folder": "absent"}']
    done = subprocess.run(
        [*failed, "--out", "out.json"], cwd=tmp_path, env=environment, check=False
    )
    assert done.returncode == 2
    trackssl(tmp_path, "start-run", "mine", "--out", "run.json", recorded=False)
    assert not (tmp_path / "provenance").exists()


def test_a_copy_is_known_by_its_content(run: Path, tmp_path: Path) -> None:
    copy = tmp_path / "elsewhere.parquet"
    shutil.copyfile("results/0000.parquet", copy)
    told = trackssl(run, "provenance", copy, recorded=False)
    assert told == trackssl(run, "provenance", "results/0000.parquet", recorded=False)


def test_a_chain_tells_its_seeds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, before, seed in (("a", "none", "0"), ("b", "a", "10000"), ("c", "b", "0")):
        made = Watch(["make", before, "--seed", seed, "--out", name])
        Path(name).write_text(name)
        made.write(RECORDS)
    assert seeds(list(chain("c", RECORDS))) == [0, 10000]


def test_inputs_that_no_argument_names_can_be_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("one.arrow").write_text("pairs")
    made = Watch(["merge", "{shard}.arrow", "--out", "sets"])
    monkeypatch.setattr("trackssl.provenance._noted", {})
    note_inputs(["one.arrow"])
    Path("sets").write_text("order")
    made.write(RECORDS)
    assert list(read_record(RECORDS, "sets").inputs) == ["one.arrow"]


def test_weights_say_which_run_made_them_and_equal_runs_give_equal_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TRACKSSL_RUN", raising=False)
    network = nn.Linear(2, 2)
    save_weights(tmp_path / "by_hand", network, {"format": "x"})
    assert load_weights(tmp_path / "by_hand")[1] == {"format": "x"}
    (tmp_path / "lock").write_text("a==1")
    for name, value in (("RUN", "mine"), ("CONFIG_HASH", "c0ffee"), ("LOCK", tmp_path / "lock")):
        monkeypatch.setenv(f"TRACKSSL_{name}", str(value))
    for name in ("one", "two"):
        save_weights(tmp_path / name, network, {"format": "x"})
    made_by = json.loads(load_weights(tmp_path / "one")[1]["made_by"])
    assert set(made_by) == {"run", "config", "lock", "commit"}
    assert (made_by["run"], made_by["config"], len(made_by["lock"])) == ("mine", "c0ffee", 64)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_an_unknown_file_is_one_sentence(tmp_path: Path) -> None:
    command = [TRACKSSL, "provenance", "absent.csv"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "has no record of it" in " ".join(done.stderr.split())

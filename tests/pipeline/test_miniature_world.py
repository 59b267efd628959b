"""The whole graph on a tiny drawn world: unbroken, and killed in the middle of its long stages."""

import contextlib
import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from trackssl.lineage import chain, seeds
from trackssl.networks.weights import load_weights


@pytest.fixture
def world(tiny) -> dict:
    return {
        "name": "tiny",
        "videos": {"source": "miniworld", "count": 10, "shards": 2},
        "voc": {
            "source": "miniworld",
            "devkit": "resources/miniworld/VOCdevkit",
            "train_images": 24,
            "test_images": 12,
        },
        **tiny,
        "networks": {
            "scratch": {"init": "random"},
            "unsup": {"init": "pairs", "set": "8m"},
            "iterative": {"init": "readapted", "after": "unsup"},
        },
        "methods": {
            "iterative": {"networks": ["iterative"]},
            "unsup_ensemble_3": {"networks": ["scratch", "unsup", "iterative"]},
        },
    }


@pytest.mark.timeout(1800)
def test_a_killed_run_ends_in_the_same_files_as_an_unbroken_one(pipeline, world) -> None:
    pipeline.configure(world)
    stages = [
        ("mine_patches/0000", "results/patches/0000.parquet"),
        ("pretrain/unsup_seed0", "results/pretraining/unsup/seed0/weights.safetensors"),
        ("finetune/scratch_seed0", "results/detection/networks/scratch/seed0/weights.safetensors"),
    ]
    for stage, target in stages:
        folder = pipeline.folder / "progress" / stage
        pipeline.kill_when(folder.is_dir, target)
        assert not (pipeline.folder / target).exists()
        assert pipeline.run("--unlock")[0] == 0
    code, output = pipeline.run("results/voc_map.csv")
    assert code == 0, output
    broken = made_files(pipeline.folder / "results")
    check_table(pipeline.folder / "results/voc_map.csv")
    check_records(pipeline.folder)
    for log in (pipeline.folder / "results").rglob("log.jsonl"):
        lines = [json.loads(line) for line in log.read_text().splitlines()]
        steps = [line["iteration"] for line in lines if "warning" not in line]
        assert steps == sorted(set(steps)), f"{log} tells a step twice"

    code, output = pipeline.run("results/voc_map.csv")
    assert "Nothing to be done" in output

    keep_only_the_data(pipeline.folder / "results")
    code, output = pipeline.run("results/voc_map.csv")
    assert code == 0, output
    assert made_files(pipeline.folder / "results") == broken


def check_records(folder: Path) -> None:
    """Every table and network knows how it was made, and those of pairs from which videos."""
    with contextlib.chdir(folder):
        manifests = {str(path) for path in Path("resources/manifests").glob("*.parquet")}
        tables = sorted(Path("results").rglob("*.csv"))
        networks = sorted(Path("results").rglob("weights.safetensors"))
        for path in tables + networks:
            steps = list(chain(str(path), Path("provenance")))
            record = steps[0].record
            assert record is not None, f"{path} has no record"
            assert record.config and record.lock and record.machine, path
            assert record.start <= record.end
            if "scratch" in path.parts:
                continue
            assert manifests <= {step.path for step in steps}, path
            odd = {step.path: step.oddity for step in steps if step.oddity}
            assert set(odd.values()) <= {"no longer there"}, odd  # features are removed after use
            assert all(name.endswith(".npy") for name in odd), odd
            assert seeds(steps) == [0], path
        for path in networks:
            made_by = json.loads(load_weights(path)[1]["made_by"])
            assert (made_by["run"], made_by["config"]) == ("tiny", record.config)


def made_files(results: Path) -> dict[str, bytes]:
    """Pairs, networks, detections and tables, which must be the same to the last bit."""
    files = {
        str(path.relative_to(results)): path.read_bytes()
        for pattern in ("*.arrow", "weights.safetensors", "*.csv", "detections/**/*.txt")
        for path in results.rglob(pattern)
    }
    assert {Path(name).suffix for name in files} == {".arrow", ".safetensors", ".csv", ".txt"}
    return files


def keep_only_the_data(results: Path) -> None:
    """Leave videos, VOC images and their proposals, whose stages were not killed."""
    for made in ("patches", "pairs", "pretraining", "detection/networks", "detection/methods"):
        shutil.rmtree(results / made)
    for table in results.glob("voc_map*.csv"):
        table.unlink()


def check_table(path: Path) -> None:
    table = pd.read_csv(path).set_index("method")
    assert list(table.index) == ["iterative", "unsup_ensemble_3"]
    assert table["mAP"].between(0, 100).all()
    assert not table["comparable"].any()
    assert 0 < table.loc["iterative", "pairs"] <= 30
    assert table.loc["unsup_ensemble_3", "pairs"] == table.loc["iterative", "pairs"]
    assert list(table["rounds"]) == [1, 1]
    assert list(table["members"]) == [1, 3]
    assert table.loc["unsup_ensemble_3", "paper_value"] == 52
    assert table.loc["unsup_ensemble_3", "paper_source"] == "abstract of arXiv 1505.00687"
    assert pd.isna(table.loc["iterative", "paper_value"]), "the paper has no such row"

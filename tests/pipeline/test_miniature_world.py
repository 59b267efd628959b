"""The whole graph on a tiny drawn world: unbroken, and killed in the middle of its long stages."""

import json

import pandas as pd
import pytest

METHODS = {
    "scratch", "unsup_1_5m", "unsup_5m", "unsup_8m", "unsup_5m_iterative_1", "unsup_5m_iterative",
    "scratch_ensemble_3", "unsup_ensemble_2", "unsup_ensemble_3",
}  # fmt: skip


@pytest.fixture
def world(tiny) -> dict:
    return {
        "name": "tiny",
        "videos": {"source": "miniworld", "count": 10, "shards": 2},
        "voc": {
            "source": "miniworld",
            "devkit": "resources/miniworld/VOCdevkit",
            "train_images": 24,
            "test_images": 24,
        },
        **tiny,
    }


@pytest.mark.timeout(600)
def test_a_killed_run_ends_in_the_same_table_as_an_unbroken_one(pipeline, world, tmp_path) -> None:
    pipeline.configure(world)
    stages = [
        ("mine_patches/0000", "results/patches/0000.parquet"),
        ("pretrain/unsup_8m_seed0", "results/pretraining/unsup_8m/seed0/weights.safetensors"),
        ("finetune/scratch_seed1", "results/detection/networks/scratch/seed1/weights.safetensors"),
    ]
    for stage, target in stages:
        folder = pipeline.folder / "progress" / stage
        pipeline.kill_when(folder.is_dir, target)
        assert not (pipeline.folder / target).exists()
        assert pipeline.run("--unlock")[0] == 0
    code, output = pipeline.run("results/voc_map.csv")
    assert code == 0, output
    broken = (pipeline.folder / "results/voc_map.csv").read_bytes()
    check_table(pipeline.folder / "results/voc_map.csv")
    for log in (pipeline.folder / "results").rglob("log.jsonl"):
        steps = [json.loads(line)["iteration"] for line in log.read_text().splitlines()]
        assert steps == sorted(set(steps)), f"{log} tells a step twice"

    code, output = pipeline.run("results/voc_map.csv")
    assert "Nothing to be done" in output

    for made in ("results", "resources", "progress"):
        (pipeline.folder / made).rename(tmp_path / f"first_{made}")
    code, output = pipeline.run("results/voc_map.csv")
    assert code == 0, output
    assert (pipeline.folder / "results/voc_map.csv").read_bytes() == broken


def check_table(path) -> None:
    table = pd.read_csv(path).set_index("method")
    assert set(table.index) == METHODS
    assert table["mAP"].between(0, 100).all()
    assert not table["comparable"].any()
    assert table.loc["scratch", "pairs"] == 0
    assert 0 < table.loc["unsup_1_5m", "pairs"] <= 10
    assert table.loc["unsup_ensemble_3", "pairs"] == table.loc["unsup_8m", "pairs"]
    assert table.loc["unsup_5m_iterative", "rounds"] == 2
    assert table.loc["scratch_ensemble_3", "members"] == 3
    assert table.loc["unsup_8m", "paper_source"]
    assert table.loc["unsup_5m_iterative_1", "paper_value"] != table.loc["scratch", "paper_value"]

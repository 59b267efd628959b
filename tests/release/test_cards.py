"""The cards of a release say what the run's own files say, and nothing of what it does not have."""

import json
from pathlib import Path

import pandas as pd
import pytest
import torch
import yaml
from typer.testing import CliRunner

from trackssl.cli import app
from trackssl.networks.weights import save_weights

CONFIG = {
    "name": "tiny",
    "videos": {"source": "folder", "folder": "clips", "shards": 1},
    "networks": {"mine": {"init": "pairs", "set": "8m"}},
    "methods": {"mine": {"networks": ["mine"]}},
    "comparisons": [],
    "tables": ["voc_map"],
    "release": {"pairs": True},
}
WEIGHTS = "results/pretraining/mine/seed0/weights.safetensors"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The files of a run of one network that the cards tell of."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(CONFIG))
    facts = {"format": "trackssl-ranking", "pairs": "920", "iterations": "400", "seed": "0"}
    Path(WEIGHTS).parent.mkdir(parents=True)
    save_weights(Path(WEIGHTS), torch.nn.Linear(1, 1), facts)
    table = {"method": "mine", "seed": 0, "mAP": 21.5, "data": "VOC 2012", "split": "val"}
    pd.DataFrame([{**table, "protocol": "R-CNN", "comparable": True}]).to_csv(
        "results/voc_map.csv", index=False
    )
    pd.DataFrame([{"method": "mine", "seeds": 1, "mAP_mean": 21.5, "mAP_std": None}]).to_csv(
        "results/voc_map_summary.csv", index=False
    )
    for folder, counts in (("patches", {"frames_still": 7}), ("pairs", {"tracks_lost": 31})):
        (tmp_path / "results" / folder).mkdir()
        (tmp_path / f"results/{folder}/0000.json").write_text(json.dumps(counts))
    pd.DataFrame({"row": [0, 1]}).to_parquet("results/pairs/sets.parquet")
    (tmp_path / "results/pairs/0000.arrow").touch()
    return tmp_path


def test_models_come_with_what_they_are_and_what_they_are_worth(run: Path) -> None:
    done = CliRunner().invoke(app, ["release", "models"])
    assert done.exit_code == 0, done.output
    card = (run / "release/models/MODEL_CARD.md").read_text()
    assert (
        "| `pretraining/mine/seed0/weights.safetensors` | trackssl-ranking | 920 |  | 400 | 0 |"
        in card
    )
    assert "| mine | 1 | 21.5 |" in card and "VOC 2012, val: R-CNN. Comparable" in card
    assert "drawn by a program" not in card
    assert "frames still | 7" in (run / "release/models/DATA_CARD.md").read_text()


def test_pairs_come_with_how_they_were_mined_and_what_to_ask_before_sharing_them(run: Path) -> None:
    done = CliRunner().invoke(app, ["release", "pairs"])
    assert done.exit_code == 0, done.output
    card = (run / "release/pairs/DATA_CARD.md").read_text()
    assert "2 pairs of 227 x 227 pixels" in card
    assert "tracks lost | 31" in card
    assert "Before you give it to others" in card


def test_where_no_network_is_released_there_is_no_card(run: Path) -> None:
    (run / WEIGHTS).unlink()
    done = CliRunner().invoke(app, ["release", "models"])
    assert done.exit_code == 0, done.output
    assert not list((run / "release/models").glob("*.md"))

"""What `dvc plots` draws: the paper's number only beside numbers of its kind."""

import json
from pathlib import Path

import pandas as pd
import pytest

from trackssl.config import Config, parse
from trackssl.release.plots import losses, methods, precision_recall

CONFIG = parse(
    Config, {"name": "tiny", "videos": {"source": "miniworld", "count": 4, "shards": 1}}, "config"
)


def table(comparable: bool) -> pd.DataFrame:
    rows = [
        ("unsup_8m", 0, 50.0, 47.5),
        ("unsup_8m", 1, 48.0, 47.5),
        ("scratch", 0, 44.0, None),
    ]
    shared = {"run": "tiny", "data": "voc2012", "split": "val", "items": 9, "pairs": 0}
    return pd.DataFrame(
        [
            {"method": method, "seed": seed, "mAP": value, "paper_value": paper}
            | shared
            | {"rounds": 0, "members": 1, "paper_source": "", "comparable": comparable}
            | {"protocol": ""}
            for method, seed, value, paper in rows
        ]
    )


def test_methods_keep_the_table_s_order_and_span_their_seeds() -> None:
    drawn = methods(table(comparable=True))
    assert list(drawn["method"]) == ["unsup_8m", "scratch"]
    assert drawn.loc[0, ["value", "low", "high", "paper"]].tolist() == [49, 48, 50, 47.5]
    assert pd.isna(drawn.loc[1, "paper"])
    assert drawn.loc[0, "about"] == "run tiny on voc2012 val"


def test_the_paper_s_numbers_are_not_drawn_beside_a_miniature_s() -> None:
    drawn = methods(table(comparable=False))
    assert drawn["paper"].isna().all()
    assert drawn.loc[0, "about"].endswith("not comparable with the paper's")


def test_long_logs_are_thinned_and_short_ones_kept(tmp_path: Path) -> None:
    for network, lines in (("unsup_5m", 3), ("unsup_8m", 1000)):
        log = tmp_path / f"results/pretraining/{network}/seed0/log.jsonl"
        log.parent.mkdir(parents=True)
        entries = [{"iteration": i, "loss": 1.0, "spread": 0.5, "other": 1} for i in range(lines)]
        log.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    drawn = losses(CONFIG, tmp_path)
    assert drawn["network"].value_counts().to_dict() == {"unsup_8m": 300, "unsup_5m": 3}
    assert drawn["loss"].eq(1).all()
    assert losses(CONFIG, tmp_path / "nothing").empty


def test_precision_is_the_best_at_a_recall_or_above_and_the_mean_over_classes(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "results/detection/methods/scratch/seed0"
    folder.mkdir(parents=True)
    pd.DataFrame(
        {
            "class": ["cat", "cat", "dog"],
            "recall": [0.5, 1.0, 0.5],
            "precision": [0.2, 0.4, 1.0],
        }
    ).to_parquet(folder / "precision_recall.parquet")
    drawn = precision_recall(CONFIG, tmp_path).set_index("recall")["precision"]
    assert len(drawn) == 101
    assert drawn[0] == drawn[50] == pytest.approx(70)
    assert drawn[51] == drawn[100] == pytest.approx(20)

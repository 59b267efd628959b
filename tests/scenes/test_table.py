import json
from pathlib import Path

import numpy as np
import pytest

from trackssl.config import Network, Scenes
from trackssl.datasets.image_index import ImageIndex, ImageList
from trackssl.errors import InputError
from trackssl.networks import RANKING, RankingNetwork, save_weights
from trackssl.report.mit67_accuracy import Row, mit67_rows, write_mit67_accuracy


def index_of(train: int, test: int, name: str = "MIT Indoor 67") -> ImageIndex:
    splits = {
        split: ImageList([Path("a")] * count, np.ones((count, 1), np.int8))
        for split, count in (("train", train), ("test", test))
    }
    return ImageIndex(name, ["bar"], splits, "")


@pytest.fixture
def rows(tmp_path: Path) -> list[Row]:
    """A row of each kind at two seeds; the pre-trained one has seen 1,234 pairs."""
    weights = tmp_path / "weights.safetensors"
    save_weights(weights, RankingNetwork(0.1, 67, 5), {"format": RANKING, "pairs": "1234"})
    made = []
    for seed in (0, 1):
        for method, networks in (("random", []), ("unsup_8m", [str(weights)]), ("gist", [])):
            path = tmp_path / f"{method}{seed}.json"
            shares = {"accuracy_per_class": 0.25 + seed / 4, "accuracy": 0.5}
            path.write_text(json.dumps({**shares, "made": {"protocol": "linear softmax"}}))
            made.append(Row(method=method, seed=seed, networks=networks, metrics=str(path)))
    return made


def test_rows_are_in_percent_beside_the_papers_values(rows: list[Row], tmp_path: Path):
    (tmp_path / "run.json").write_text('{"name": "mine"}')
    out, summary = tmp_path / "t.csv", tmp_path / "s.csv"
    given = (Scenes(), Network(), out, summary)
    table = write_mit67_accuracy(rows, tmp_path / "run.json", index_of(5360, 1340), *given)
    first = table[table.seed == 0].set_index("method")
    assert first.accuracy_per_class.tolist() == [25, 25, 25]
    assert first.paper_value.to_dict() == {"random": 16, "unsup_8m": 41, "gist": 21}
    assert first.paper_source.str.contains("unconfirmed").all()
    assert first.pairs.to_dict() == {"random": 0, "unsup_8m": 1234, "gist": 0}
    assert first["items"].tolist() == [1340] * 3
    assert first.comparable.all()
    assert "gist,2,37.5,17.6777,50,0" in summary.read_text()


@pytest.mark.parametrize(
    ("index", "scenes", "network"),
    [
        (index_of(200, 150, "miniworld"), Scenes(source="miniworld"), Network()),
        (index_of(5360, 1339, "MIT Indoor 67, 1 broken images left out"), Scenes(), Network()),
        (index_of(5360, 1340), Scenes(), Network(width=0.25)),
    ],
)
def test_other_data_or_networks_are_not_comparable(rows, index, scenes, network):
    found = {row["method"]: row for row in mit67_rows(rows, "mine", index, scenes, network)}
    assert found["unsup_8m"]["comparable"] == "false"
    assert found["unsup_8m"]["data"] == index.name


def test_absent_metrics_are_told(rows: list[Row]):
    Path(rows[0].metrics).write_text('{"accuracy": 1}')
    with pytest.raises(InputError, match=r"random0\.json: cannot be read as metrics of scenes"):
        mit67_rows(rows, "mine", index_of(1, 1), Scenes(), Network())

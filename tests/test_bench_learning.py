"""The benchmark of learning: it runs from end to end, and tells a good network from a dead one."""

import importlib.util
import subprocess
import sys
from contextlib import chdir
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
import yaml

from trackssl.config import load_config
from trackssl.datasets.voc import Devkit, make_index
from trackssl.files import write_json
from trackssl.images import encode_jpeg
from trackssl.pairs.dataset import Batch
from trackssl.pairs.store import Pair, write_pairs

SCRIPT = Path(__file__).parents[1] / "bench/learning.py"
SIDE = 67
COLOURS = {"blue": (200, 30, 30), "green": (30, 200, 30)}
ROWS, COLUMNS = 4, 6  # of the objects of an image
OBJECT = (
    "<object><name>{}</name><bndbox><xmin>{}</xmin><ymin>{}</ymin><xmax>{}</xmax><ymax>{}</ymax>"
    "</bndbox></object>"
)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run in small: 12 pairs of noise, and VOC images of 24 objects of one colour."""
    folder = tmp_path_factory.mktemp("run")
    draws = np.random.default_rng(0)
    box = (0.0, 0.0, float(SIDE), float(SIDE))
    pairs = []
    for number in range(12):
        coarse = draws.integers(0, 256, (6, 6, 3), np.uint8)
        jpeg = encode_jpeg(cv2.resize(coarse, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC))
        pairs.append(Pair(f"video{number}", 0, 30, box, box, 9, 9, 9.0, 1.0, jpeg, jpeg))
    (folder / "results/pairs").mkdir(parents=True)
    write_pairs(folder / "results/pairs/0000.arrow", pairs, {}, {})
    videos = [pair.video for pair in pairs]
    table = pd.DataFrame({"shard": "results/pairs/0000.arrow", "row": range(12), "video": videos})
    table.assign(first_frame=0).to_parquet(folder / "results/pairs/sets.parquet", index=False)

    root = folder / "VOCdevkit/VOC2012"
    for name in ("JPEGImages", "Annotations", "ImageSets/Main"):
        (root / name).mkdir(parents=True)
    for split in ("train", "val"):
        for name, colour in COLOURS.items():
            image = np.full((40 * ROWS, 40 * COLUMNS, 3), colour, np.uint8)
            (root / f"JPEGImages/{name}_{split}.jpg").write_bytes(encode_jpeg(image))
            objects = [
                OBJECT.format(name, 40 * x + 1, 40 * y + 1, 40 * x + 40, 40 * y + 40)
                for x in range(COLUMNS)
                for y in range(ROWS)
            ]
            size = f"<size><width>{40 * COLUMNS}</width><height>{40 * ROWS}</height></size>"
            text = f"<annotation>{size}{''.join(objects)}</annotation>"
            (root / f"Annotations/{name}_{split}.xml").write_text(text)
        lines = "".join(f"{name}_{split}\n" for name in COLOURS)
        (root / f"ImageSets/Main/{split}.txt").write_text(lines)
    with chdir(folder):  # an index names its devkit as the run's folder sees it
        index = make_index(Devkit(Path("VOCdevkit"), 2012), ["train", "val"])
    write_json(folder / "resources/voc/index.json", index.to_json())

    config = {
        "name": "small",
        "torch_threads": 1,
        "videos": {"source": "miniworld", "count": 1},
        "network": {"width": 0.125, "input_px": SIDE},
        "pretraining": {
            "sets": {"all": {"size": 12, "epochs": 3}},
            "batch_pairs": 4,
            "hard_share": 0.5,
        },
        "networks": {"scratch": {"init": "random"}},
        "methods": {"scratch": {"networks": ["scratch"]}},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    return folder


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch, run: Path) -> ModuleType:
    """The script as a module, in the run's folder."""
    spec = importlib.util.spec_from_file_location("learning", SCRIPT)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.chdir(run)
    return module


class Stub(torch.nn.Module):
    """Features of an image: its mean colour, or of a dead network always the same."""

    def __init__(self, dead: bool) -> None:
        super().__init__()
        self.dead = dead

    def pool5(self, images: torch.Tensor) -> torch.Tensor:
        colours = images.float().mean(dim=(2, 3), keepdim=True)  # (N, 3, 1, 1)
        return torch.ones_like(colours) if self.dead else colours

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.pool5(images).flatten(1)


def test_the_exam_tells_a_perfect_network_from_a_dead_one(script: ModuleType) -> None:
    patches = torch.zeros(3, 3, SIDE, SIDE, dtype=torch.uint8)
    for number in range(3):
        patches[number, number] = 200
    exam = script.Exam(load_config(Path("config.yaml")), Batch(patches, patches, torch.arange(3)))
    assert (exam.chance, exam.best) == (0.5, 1)
    network = Stub(dead=False).train()
    found = exam(network)
    assert network.training
    for layer in ("fc7", "pool5"):
        assert (found[f"{layer}_top20"], found[f"{layer}_p1"]) == (1, 1)
    assert found["misranked"] == 0
    found = exam(Stub(dead=True))
    assert found["misranked"] == 0.5
    # All are equally near, so the gallery's first 20 are the neighbours: all of one class.
    assert found["fc7_top20"] == 0.5


def test_the_settings_differ_in_what_a_preset_says_alone(script: ModuleType) -> None:
    config = load_config(Path("config.yaml"))
    section = yaml.safe_load(Path("config.yaml").read_text())["pretraining"]
    tried = script.settings_to_try(config, section)
    assert list(tried) == ["small", "paper", "released"]
    assert [s.hard_share for s in tried.values()] == [0.5, 1, 0.5]
    assert [s.margin for s in tried.values()] == [0.5, 0.5, 1]
    assert all(s.sets == config.pretraining.sets for s in tried.values())


def test_a_run_gives_a_row_an_epoch_a_figure_and_a_table(run: Path, tmp_path: Path) -> None:
    command = [sys.executable, SCRIPT, "--run", run, "--config", run / "config.yaml"]
    command += ["--seeds", "0", "--seeds", "1", "--out", tmp_path]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    rows = pd.read_csv(tmp_path / "learning.csv")
    counts = rows.groupby(["settings", "seed"])["epoch"].apply(list).to_dict()
    assert counts == {
        (name, seed): [0, 1, 2, 3] for name in ("small", "paper", "released") for seed in (0, 1)
    }
    shares = rows[["violated", "misranked", "fc7_top20", "fc7_p1", "pool5_top20", "pool5_p1"]]
    assert shares.ge(0).all(axis=None) and shares.le(1).all(axis=None)
    first = rows[rows.epoch == 0].groupby("seed")
    assert (first["fc7_top20"].nunique() == 1).all(), "all settings start from one network"
    assert (first["misranked"].nunique() == 1).all()
    assert rows.groupby("settings")["loss"].nunique().min() > 1
    image = cv2.imread(str(tmp_path / "learning.png"))
    assert image is not None and image.std() > 5
    assert "epoch 0" in done.stdout and "released" in done.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == ["learning.csv", "learning.png"]

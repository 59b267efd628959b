"""The worked examples of the documentation, applied to a copy of the project and run."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import yaml
from markdown import blocks
from snakemake_run import REPOSITORY, TINY

EXTEND = REPOSITORY / "docs/how-to-extend.md"
CONTRIBUTING = REPOSITORY / "CONTRIBUTING.md"


class Copy:
    """The project's files in a folder of their own, which is the one that is imported."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("src", "workflow", "profiles", "envs", "Snakefile", "config.yaml"):
            source = REPOSITORY / name
            if source.is_dir():
                ignored = shutil.ignore_patterns("__pycache__")
                shutil.copytree(source, folder / name, symlinks=True, ignore=ignored)
            else:
                shutil.copy(source, folder)

    def apply(self, page: Path, containing: str) -> str:
        """Apply the page's one diff that says so -> its text."""
        (found,) = [b.text for b in blocks(page, "diff") if containing in b.text]
        self.run("git", "apply", "--unsafe-paths", "--directory", ".", "-", input=found)
        return found

    def run(self, *command: str, input: str | None = None) -> str:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        done = subprocess.run(
            command, cwd=self.folder, input=input, capture_output=True, text=True, check=False,
            env={**os.environ, "PATH": path, "PYTHONPATH": str(self.folder / "src")},
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    return Copy(tmp_path)


@pytest.mark.parametrize("page", [EXTEND, CONTRIBUTING], ids=lambda page: page.name)
def test_an_example_is_short(page: Path) -> None:
    for block in blocks(page, "diff"):
        lines = block.text.splitlines()
        added = [line for line in lines if line.startswith("+") and not line.startswith("+++")]
        assert len(added) < 40, f"{page.name}:{block.line}"


def test_a_new_backbone_gives_features_and_has_its_costs(copy: Copy) -> None:
    copy.apply(EXTEND, "resnet34")
    program = """
import torch
from trackssl.config import Network
from trackssl.networks.build import build_ranking
from trackssl.planning.layers import trunk
network = Network(backbone="resnet34", input_px=67)
assert trunk(network)
print(build_ranking(network)(torch.zeros(2, 3, 67, 67, dtype=torch.uint8)).shape)
"""
    assert "torch.Size([2, 1024])" in copy.run(sys.executable, "-c", program)


def test_a_new_loss_is_learnt(copy: Copy) -> None:
    copy.apply(EXTEND, "squared")
    program = """
import torch
from torch.nn.functional import normalize
from trackssl.config import Pretraining
from trackssl.pretraining.ranking import ranking_loss
draws = torch.Generator().manual_seed(0)
first, last = (normalize(torch.randn(6, 8, generator=draws)).requires_grad_() for _ in range(2))
settings = Pretraining(loss="squared", sets={"a": {"size": 6, "iterations": 1}})
loss = ranking_loss(first, last, torch.arange(6), True, settings, draws).loss
loss.backward()
print(float(loss) > 0, bool(first.grad.any()))
"""
    assert "True True" in copy.run(sys.executable, "-c", program)


def test_a_new_source_of_videos_fills_a_manifest(copy: Copy) -> None:
    copy.apply(CONTRIBUTING, "frames")
    frames = copy.folder / "frames/one"
    frames.mkdir(parents=True)
    for number in range(12):
        grey = np.full((90, 121, 3), 20 * number, np.uint8)
        cv2.imwrite(str(frames / f"{number:03d}.jpg"), grey)
    settings = '{"source": "frames", "folder": "frames", "count": null, "shards": 1}'
    said = copy.run(
        sys.executable, "-m", "trackssl.cli", "fetch-videos", "--settings", settings,
        "--out", "manifest.parquet", "--store", "store",
    )  # fmt: skip
    assert "1 of 1 videos could be had" in said
    (video,) = (copy.folder / "store").rglob("*.mp4")
    with av.open(str(video)) as opened:
        assert sum(1 for _ in opened.decode(video=0)) == 12


def test_a_new_method_is_planned_as_a_row(copy: Copy) -> None:
    (row,) = [b.text for b in blocks(CONTRIBUTING, "yaml") if "methods:" in b.text]
    given = yaml.safe_load(row)
    config = yaml.safe_load((copy.folder / "config.yaml").read_text())
    config["methods"] = {
        "unsup_ensemble_3": {"networks": ["unsup_1_5m", "unsup_5m", "unsup_8m"]}, **given["methods"]
    }  # fmt: skip
    config["comparisons"] = given["comparisons"]
    (copy.folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    planned = copy.run("snakemake", "-n", "results/voc_map.csv", "results/voc_map_differences.csv")
    assert "SVMs of unsup_8m_ensemble_3, seed 0" in planned
    assert planned.count("Pre-training unsup_8m, seed") == 3


def test_a_new_benchmark_runs(copy: Copy) -> None:
    copy.apply(CONTRIBUTING, "scene_centroids")
    config = yaml.safe_load((copy.folder / "config.yaml").read_text())
    for section, values in TINY.items():
        kept = config[section] if isinstance(values, dict) else {}
        config[section] = {**kept, **values} if isinstance(values, dict) else values
    config["networks"] = {"scratch": {"init": "random"}}
    config["methods"] = {"scratch": {"networks": ["scratch"]}}
    config["comparisons"] = []
    (copy.folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    target = "results/scenes/centroids/scratch/seed0"
    copy.run("snakemake", "--cores", "1", target)
    assert (copy.folder / target / "metrics.json").is_file()

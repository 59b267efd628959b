"""The worked examples of the documentation, applied to a copy of the project and run."""

import sys
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import yaml
from copied_project import CopiedProject
from fenced_blocks import blocks
from snakemake_run import REPOSITORY

EXTEND = REPOSITORY / "docs/how-to-extend.md"
CONTRIBUTING = REPOSITORY / "CONTRIBUTING.md"


def apply(project: CopiedProject, page: Path, containing: str) -> None:
    """Apply the page's one diff that says so."""
    (found,) = [block.text for block in blocks(page, "diff") if containing in block.text]
    project.run("git", "apply", "--unsafe-paths", "--directory", ".", "-", text=found)


@pytest.fixture
def project(tmp_path: Path) -> CopiedProject:
    return CopiedProject(tmp_path)


@pytest.mark.parametrize("page", [EXTEND, CONTRIBUTING], ids=lambda page: page.name)
def test_an_example_is_short(page: Path) -> None:
    for block in blocks(page, "diff"):
        lines = block.text.splitlines()
        added = [line for line in lines if line.startswith("+") and not line.startswith("+++")]
        assert len(added) < 40, f"{page.name}:{block.line}"


def test_a_new_backbone_gives_features_and_has_its_costs(project: CopiedProject) -> None:
    apply(project, EXTEND, "resnet34")
    program = """
import torch
from trackssl.config import Network
from trackssl.networks.build import build_ranking
from trackssl.planning.layers import trunk
network = Network(backbone="resnet34", input_px=67)
assert trunk(network)
print(build_ranking(network)(torch.zeros(2, 3, 67, 67, dtype=torch.uint8)).shape)
"""
    assert "torch.Size([2, 1024])" in project.run(sys.executable, "-c", program)


def test_a_new_loss_is_learnt(project: CopiedProject) -> None:
    apply(project, EXTEND, "squared")
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
    assert "True True" in project.run(sys.executable, "-c", program)


def test_a_new_source_of_videos_fills_a_manifest(project: CopiedProject) -> None:
    apply(project, CONTRIBUTING, "frames")
    frames = project.folder / "frames/one"
    frames.mkdir(parents=True)
    for number in range(12):
        grey = np.full((90, 121, 3), 20 * number, np.uint8)
        cv2.imwrite(str(frames / f"{number:03d}.jpg"), grey)
    settings = '{"source": "frames", "folder": "frames", "count": null, "shards": 1}'
    said = project.run(
        sys.executable, "-m", "trackssl.cli", "fetch-videos", "--settings", settings,
        "--out", "manifest.parquet", "--store", "store",
    )  # fmt: skip
    assert "1 of 1 videos could be had" in said
    (video,) = (project.folder / "store").rglob("*.mp4")
    with av.open(str(video)) as opened:
        assert sum(1 for _ in opened.decode(video=0)) == 12


def test_a_new_method_is_planned_as_a_row(project: CopiedProject) -> None:
    (row,) = [b.text for b in blocks(CONTRIBUTING, "yaml") if "methods:" in b.text]
    given = yaml.safe_load(row)
    config = project.config
    config["methods"] = {
        "unsup_ensemble_3": {"networks": ["unsup_1_5m", "unsup_5m", "unsup_8m"]}, **given["methods"]
    }  # fmt: skip
    config["comparisons"] = given["comparisons"]
    project.config = config
    planned = project.run(
        "snakemake", "-n", "results/voc_map.csv", "results/voc_map_differences.csv"
    )
    assert "SVMs of unsup_8m_ensemble_3, seed 0" in planned
    assert planned.count("Pre-training unsup_8m, seed") == 3


def test_a_new_benchmark_runs(project: CopiedProject) -> None:
    apply(project, CONTRIBUTING, "scene_centroids")
    project.make_tiny()
    config = project.config
    config["networks"] = {"scratch": {"init": "random"}}
    config["methods"] = {"scratch": {"networks": ["scratch"]}}
    config["comparisons"] = []
    project.config = config
    target = "results/scenes/centroids/scratch/seed0"
    project.run("snakemake", "--cores", "1", target)
    assert (project.folder / target / "metrics.json").is_file()

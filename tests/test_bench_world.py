"""The judge of the drawn world; what it says of a world, its long run tells."""

import importlib.util
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from trackssl.config import Proposals, Voc
from trackssl.datasets.fetch import fetch_voc
from trackssl.detection.feature_files import FeatureTable
from trackssl.detection.proposals import ProposalFile, propose_split

REPOSITORY = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def world():
    spec = importlib.util.spec_from_file_location("world", REPOSITORY / "bench/world.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def rows(scratch: float, more: float, histogram: float, pixels: float) -> pd.DataFrame:
    values = [
        ("scratch", 1, scratch), ("scratch", 10, more),
        ("colour histogram", 1, 1.0), ("colour histogram", 10, histogram),
        ("raw pixels", 1, 1.0), ("raw pixels", 10, pixels),
    ]  # fmt: skip
    columns = ["method", "labels", "seed", "mAP"]
    spread = [(m, labels, seed, v + seed) for m, labels, v in values for seed in (-1, 1)]
    return pd.DataFrame(spread, columns=columns)


@pytest.mark.parametrize(
    ("values", "worth", "fair"),
    [
        ((20, 40, 19, 5), True, True),
        ((20, 39, 19, 5), False, True),
        ((20, 40, 20, 5), True, False),
        ((20, 60, 5, 31), True, False),
    ],
)
def test_a_world_is_judged_by_means_over_the_seeds(world, values, worth, fair) -> None:
    verdict = world.judge(rows(*values))
    assert verdict["labels_are_worth_something"] is worth
    assert verdict["no_simple_cue"] is fair


@pytest.mark.parametrize("name", ["colour histogram", "raw pixels"])
def test_a_control_stands_in_for_a_networks_features(world, name, tmp_path: Path) -> None:
    settings = Voc(source="miniworld", devkit=str(tmp_path / "kit"), train_images=2, test_images=1)
    index = fetch_voc(settings)
    found = tmp_path / "train.arrow"
    propose_split(index, "train", Proposals(max_windows=20), 1, found, tmp_path / "progress")
    proposals = ProposalFile(found, index.images("train"))
    world.write_control(world.CONTROLS[name], index, "train", proposals, tmp_path / "f.npy")
    windows = index.splits["train"]["objects"] + proposals.windows
    features = FeatureTable([tmp_path / "f.npy"], windows, 20)[np.arange(windows)]
    assert np.linalg.norm(features, axis=1).mean() == pytest.approx(20, rel=1e-3)
    assert len(np.unique(features, axis=0)) > windows / 2


def test_colour_alone_makes_the_histogram_and_layout_alone_the_pixels(world) -> None:
    left, right = np.zeros((2, 32, 32, 3), np.uint8)
    left[:, :16] = right[:, 16:] = 255
    histograms = world.colour_histogram(np.stack([left, right]))
    pixels = world.raw_pixels(np.stack([left, right]))
    np.testing.assert_allclose(histograms[0], histograms[1])
    np.testing.assert_allclose(pixels[0], -pixels[1], atol=1e-6)
